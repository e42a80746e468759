// accept4 sets flags on the new descriptor in the same step; the flags must reach the kernel as they
// were given.
// exercises: accept4 fcntl
//: ...
//: socket -> a
//: connect a -> 0
//: accept4 l -> b
//: fcntl b
//: fcntl b
//: read b -> EAGAIN
//: accept4 l -> EINVAL
//: close b -> 0
//: close a -> 0
//: close l -> 0
#include "harness.h"

int main(void)
{
    struct sockaddr_in where;
    char byte;
    begin();
    int listener = tcp_listener(&where);
    int a = tcp_connect(&where);
    int b = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    CHECK(b >= 0);
    printf("close on exec %d\n", (fcntl(b, F_GETFD) & FD_CLOEXEC) != 0);
    printf("non-blocking %d\n", (fcntl(b, F_GETFL) & O_NONBLOCK) != 0);
    printf("read: %s\n", outcome(read(b, &byte, 1)));
    printf("unknown flags: %s\n", outcome(accept4(listener, NULL, NULL, 0x40000000)));
    CHECK(close(b) == 0);
    CHECK(close(a) == 0);
    CHECK(close(listener) == 0);
}
