// The kernel gives the lowest free number, and programs count on it: the classic way to redirect is
// close(0) and open. A descriptor that somebody else keeps shifts everything.
// exercises: socket socketpair dup close accept
//: socket -> 3
//: socketpair -> 0
//: dup - -> 6
//: close - -> 0
//: socket -> 4
//: close - -> 0
//: close - -> 0
//: socketpair -> 0
//: ...
#include "harness.h"

int main(void)
{
    int fds[2];
    struct sockaddr_in where;
    begin();
    printf("%d\n", socket(AF_INET, SOCK_DGRAM, 0));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    printf("%d %d\n", fds[0], fds[1]);
    printf("%d\n", dup(3));
    CHECK(close(4) == 0);
    printf("%d\n", socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK(close(3) == 0);
    CHECK(close(5) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    printf("%d %d\n", fds[0], fds[1]);
    int listener = tcp_listener(&where), a = tcp_connect(&where), b = accept(listener, NULL, NULL);
    printf("%d %d %d\n", listener, a, b);
    CHECK(close(STDIN_FILENO) == 0);
    int lowest = socket(AF_INET, SOCK_STREAM, 0);
    printf("%d\n", lowest);
}
