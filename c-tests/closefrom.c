// Daemons and sandboxes close everything from some number on, in one call: each socket among them ends.
// exercises: close_range closefrom
//: socketpair -> 0 made=a,b
//: socketpair -> 0 made=c,d
//: close_range - -> 0 closed=
//: fcntl c
//: close_range - -> 0 closed=a,b,c
//: read d -> 0
//: socketpair -> 0 made=e,f
//: close_range - -> EINVAL closed=
//: close_range - -> EINVAL closed=
//: write e -> 1 socket=e
//: closefrom - closed=e,f,d
//: socket -> g
//: close g -> 0
#include "harness.h"

int main(void)
{
    int one[2], two[2], three[2];
    char byte;
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, one) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, two) == 0);
    CHECK(close_range((unsigned)two[0], (unsigned)two[0], CLOSE_RANGE_CLOEXEC) == 0);
    printf("only marked: %d\n", fcntl(two[0], F_GETFD) & FD_CLOEXEC);
    CHECK(close_range((unsigned)one[0], (unsigned)two[0], 0) == 0);
    printf("peer reads: %s\n", outcome(read(two[1], &byte, 1)));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, three) == 0);
    printf("numbers used again: %d\n", three[0] == one[0] && three[1] == one[1]);
    printf("backwards: %s\n", outcome(close_range(9, 3, 0)));
    printf("unknown flags: %s\n", outcome(close_range((unsigned)three[0], (unsigned)three[1], 0x4000)));
    CHECK(write(three[0], "x", 1) == 1);
    closefrom(3);
    int next = socket(AF_UNIX, SOCK_STREAM, 0);
    printf("next %d\n", next);
    CHECK(close(next) == 0);
}
