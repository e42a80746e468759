// Redirection in small steps: close a number, then dup2 onto it. The socket that was there has ended
// with the close, not a second time with the dup2.
// exercises: close dup2 fcntl
//: socketpair -> 0 made=a,b
//: socketpair -> 0 made=c,d
//: close c -> 0
//: dup2 a -> c closed=
//: write c -> 1 sent=x socket=a
//: read b -> 1
//: close c -> 0
//: fcntl a -> c
//: write c -> 1 sent=y socket=a
//: read b -> 1
//: read d -> 0
#include "harness.h"

int main(void)
{
    int one[2], two[2];
    char byte;
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, one) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, two) == 0);
    CHECK(close(two[0]) == 0);
    CHECK(dup2(one[0], two[0]) == two[0]);
    CHECK(write(two[0], "x", 1) == 1);
    CHECK(read(one[1], &byte, 1) == 1);
    CHECK(close(two[0]) == 0);
    CHECK(fcntl(one[0], F_DUPFD, two[0]) == two[0]);
    CHECK(write(two[0], "y", 1) == 1);
    CHECK(read(one[1], &byte, 1) == 1);
    printf("end of the other: %s\n", outcome(read(two[1], &byte, 1)));
}
