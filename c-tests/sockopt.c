// Options explain behaviour later on (Nagle, buffers, timeouts), so their values belong to the story.
// exercises: getsockopt setsockopt
//: socket -> a
//: setsockopt a -> 0
//: getsockopt a -> 0
//: getsockopt a -> 0
//: getsockopt a -> 0
//: setsockopt a -> 0
//: recv a -> ENOTCONN
//: getsockopt a -> ENOPROTOOPT
//: setsockopt a -> EINVAL
//: setsockopt a -> EFAULT
//: close a -> 0
//: setsockopt - -> ENOTSOCK
#include "harness.h"
#include <sys/time.h>

int main(void)
{
    int value = 1;
    socklen_t len = sizeof value;
    char byte;
    begin();
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value) == 0);
    value = -1;
    CHECK(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len) == 0);
    printf("TCP_NODELAY %d, %u bytes\n", value, len);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len) == 0);
    printf("SO_TYPE %d\n", value);
    len = 1;
    CHECK(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &len) == 0);
    printf("one byte of SO_DOMAIN: %d, %u bytes\n", value & 0xff, len);
    struct timeval timeout = {.tv_usec = 1000};
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0);
    printf("recv: %s\n", outcome(recv(fd, &byte, 1, 0)));
    printf("unknown option: %s\n", outcome(getsockopt(fd, SOL_SOCKET, 4711, &value, &len)));
    printf("too short: %s\n", outcome(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, 1)));
    printf("wild pointer: %s\n", outcome(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, (void *)16, 4)));
    CHECK(close(fd) == 0);
    printf("on a file: %s\n", outcome(setsockopt(STDIN_FILENO, SOL_SOCKET, SO_KEEPALIVE, &value, 4)));
}
