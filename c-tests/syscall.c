// Some programs and runtimes make their socket calls by number. It is the same life.
// exercises: syscall
//: ...
//: socket -> a flag=syscall
//: connect a -> 0 flag=syscall
//: accept4 l -> b flag=syscall
//: write a -> 5 sent=hello flag=syscall
//: read b -> 5 received=hello flag=syscall
//: sendto b -> 5 sent=world flag=syscall
//: recvfrom a -> 5 received=world flag=syscall
//: preadv2 a -> EAGAIN flag=syscall
//: pwritev2 a -> 3 sent=vec flag=syscall
//: ppoll -> 1 flag=syscall
//: pselect -> 1 flag=syscall
//: epoll_create1 -> e flag=syscall
//: epoll_ctl e -> 0 flag=syscall
//: epoll_pwait e -> 1 flag=syscall
//: epoll_pwait2 e -> 1 flag=syscall
//: preadv2 b -> 3 received=vec flag=syscall
//: ppoll -> EINVAL flag=syscall
//: shutdown a -> 0 flag=syscall
//: close a -> 0 flag=syscall
//: close b -> 0 flag=syscall
//: close l -> 0 flag=syscall
//: connect - -> EBADF flag=syscall
#include "harness.h"
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/uio.h>

int main(void)
{
    struct sockaddr_in where;
    char text[8];
    begin();
    int listener = tcp_listener(&where);
    long a = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
    CHECK(a >= 0);
    CHECK(syscall(SYS_connect, a, &where, sizeof where) == 0);
    long b = syscall(SYS_accept4, listener, NULL, NULL, 0);
    CHECK(b >= 0);
    CHECK(syscall(SYS_write, a, "hello", 5) == 5);
    CHECK(syscall(SYS_read, b, text, sizeof text) == 5);
    printf("%.5s\n", text);
    CHECK(syscall(SYS_sendto, b, "world", 5, MSG_NOSIGNAL, NULL, 0) == 5);
    CHECK(syscall(SYS_recvfrom, a, text, sizeof text, 0, NULL, NULL) == 5);
    printf("%.5s\n", text);
    struct iovec iov = {text, sizeof text};
    printf("nothing: %s\n", outcome(syscall(SYS_preadv2, a, &iov, 1, -1L, -1L, RWF_NOWAIT)));
    iov = (struct iovec){"vec", 3};
    CHECK(syscall(SYS_pwritev2, a, &iov, 1, -1L, -1L, 0) == 3);
    struct pollfd entry = {.fd = (int)b, .events = POLLIN};
    struct timespec time = {.tv_sec = 10};
    CHECK(syscall(SYS_ppoll, &entry, 1, &time, NULL, 0) == 1);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(b, &set);
    CHECK(syscall(SYS_pselect6, b + 1, &set, NULL, NULL, &time, NULL) == 1);
    long epoll = syscall(SYS_epoll_create1, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = (int)b};
    CHECK(syscall(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, b, &event) == 0);
    CHECK(syscall(SYS_epoll_pwait, epoll, &event, 1, -1, NULL, 8) == 1);
    CHECK(syscall(SYS_epoll_pwait2, epoll, &event, 1, NULL, NULL, 8) == 1);
    iov = (struct iovec){text, sizeof text};
    CHECK(syscall(SYS_preadv2, b, &iov, 1, -1L, -1L, 0) == 3);
    printf("%.3s\n", text);
    sigset_t mask;
    sigemptyset(&mask);
    printf("a mask of another size: %s\n", outcome(syscall(SYS_ppoll, &entry, 1, &time, &mask, 4)));
    CHECK(close((int)epoll) == 0);
    CHECK(syscall(SYS_shutdown, a, SHUT_RDWR) == 0);
    CHECK(syscall(SYS_close, a) == 0);
    CHECK(syscall(SYS_close, b) == 0);
    CHECK(syscall(SYS_close, listener) == 0);
    printf("getpid: %d\n", syscall(SYS_getpid) == getpid());
    printf("no such call: %s\n", outcome(syscall(100000, 1, 2, 3)));
    printf("bad descriptor: %s\n", outcome(syscall(SYS_connect, -1, &where, sizeof where)));
}
