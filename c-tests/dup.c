// One socket under several numbers: it ends with the last of them.
// exercises: dup dup2 __dup2 dup3
//: socketpair -> 0 made=a,b
//: dup a -> c
//: dup2 a -> 100
//: dup2 a -> 101 symbol=__dup2
//: dup3 a -> 102
//: fcntl -
//: dup3 a -> EINVAL
//: dup2 a -> EBADF
//: close a -> 0
//: write c -> 1 sent=c socket=a
//: write - -> 1 sent=2 socket=a
//: write - -> 1 sent=_ socket=a
//: write - -> 1 sent=3 socket=a
//: close c -> 0
//: close - -> 0
//: close - -> 0
//: read b -> 4 received=c2_3
//: recv b -> EAGAIN
//: close - -> 0
//: read b -> 0
//: close b -> 0
#include "harness.h"

extern int __dup2(int from, int to);

int main(void)
{
    int fds[2];
    char text[8];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    int copy = dup(fds[0]);
    CHECK(copy >= 0);
    CHECK(dup2(fds[0], 100) == 100);
    CHECK(__dup2(fds[0], 101) == 101);
    CHECK(dup3(fds[0], 102, O_CLOEXEC) == 102);
    printf("close on exec %d\n", fcntl(102, F_GETFD) & FD_CLOEXEC);
    printf("dup3 to itself: %s\n", outcome(dup3(fds[0], fds[0], 0)));
    printf("dup2 to -1: %s\n", outcome(dup2(fds[0], -1)));
    CHECK(close(fds[0]) == 0);
    CHECK(write(copy, "c", 1) == 1);
    CHECK(write(100, "2", 1) == 1);
    CHECK(write(101, "_", 1) == 1);
    CHECK(write(102, "3", 1) == 1);
    CHECK(close(copy) == 0);
    CHECK(close(100) == 0);
    CHECK(close(101) == 0);
    CHECK(read(fds[1], text, sizeof text) == 4);
    printf("%.4s\n", text);
    printf("still open: %s\n", outcome(recv(fds[1], text, 1, MSG_DONTWAIT)));
    CHECK(close(102) == 0);
    printf("end: %s\n", outcome(read(fds[1], text, sizeof text)));
    CHECK(close(fds[1]) == 0);
}
