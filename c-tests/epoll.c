// The kernel returns the program's own data instead of descriptors: who was ready follows only from
// what was registered.
// exercises: epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
//: socketpair -> 0 made=a,b
//: epoll_create -> e
//: epoll_create1 -> f
//: epoll_ctl e -> 0
//: epoll_wait e -> 0
//: write a -> 1 sent=x
//: epoll_wait e -> 1
//: epoll_pwait e -> 1
//: epoll_pwait2 e -> 1
//: epoll_ctl e -> 0
//: epoll_ctl e -> EEXIST
//: epoll_ctl e -> 0
//: epoll_wait e -> 0
//: epoll_wait e -> EINVAL
//: epoll_create1 -> EINVAL
//: ...
//: close a -> 0
//: close b -> 0
#include "harness.h"
#include <sys/epoll.h>

int main(void)
{
    int fds[2];
    struct epoll_event in = {.events = EPOLLIN, .data.u64 = 0x1122334455667788}, out[4];
    struct timespec second = {.tv_sec = 1};
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    int e = epoll_create(1);
    int f = epoll_create1(EPOLL_CLOEXEC);
    CHECK(e >= 0 && f >= 0);
    CHECK(epoll_ctl(e, EPOLL_CTL_ADD, fds[1], &in) == 0);
    CHECK(epoll_wait(e, out, 4, 0) == 0);
    CHECK(write(fds[0], "x", 1) == 1);
    CHECK(epoll_wait(e, out, 4, -1) == 1);
    printf("%#x %#lx\n", out[0].events, (long)out[0].data.u64);
    CHECK(epoll_pwait(e, out, 4, 1000, NULL) == 1);
    CHECK(epoll_pwait2(e, out, 4, &second, NULL) == 1);
    in.events = EPOLLIN | EPOLLOUT;
    CHECK(epoll_ctl(e, EPOLL_CTL_MOD, fds[1], &in) == 0);
    printf("add again: %s\n", outcome(epoll_ctl(e, EPOLL_CTL_ADD, fds[1], &in)));
    CHECK(epoll_ctl(e, EPOLL_CTL_DEL, fds[1], NULL) == 0);
    CHECK(epoll_wait(e, out, 4, 0) == 0);
    printf("room for none: %s\n", outcome(epoll_wait(e, out, 0, 0)));
    printf("unknown flags: %s\n", outcome(epoll_create1(4711)));
    CHECK(close(e) == 0);
    CHECK(close(f) == 0);
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
