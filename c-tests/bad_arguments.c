// Wrong arguments are the kernel's to judge: bad descriptors, wild pointers and absurd lengths give
// the same result and errno as ever, and nobody looks at the memory before the kernel did.
// exercises: connect bind accept read write send recv sendto recvfrom sendmsg recvmsg sendmmsg
// exercises: readv writev poll select epoll_ctl epoll_wait getsockopt socket listen shutdown close
// exercises: ioctl fcntl getaddrinfo execve
#include "harness.h"
#include <netdb.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/uio.h>

// The same wild pointer stands in several places of one call.
#pragma GCC diagnostic ignored "-Wrestrict"

#define SHOW(call) (errno = 0, printf("%-36s %s\n", #call, outcome((long)(call))))

int main(void)
{
    // Volatile, so that the compiler does not see what is wrong.
    void *volatile wild_pointer = (void *)16, *volatile null_pointer = NULL;
    volatile int minus_one = -1, unused_number = 4711;
    volatile size_t huge_size = SIZE_MAX;
    begin();
    signal(SIGPIPE, SIG_IGN);
    void *wild = wild_pointer, *null = null_pointer;
    int bad = minus_one, unused = unused_number, file = STDIN_FILENO, fds[2];
    size_t huge = huge_size;
    char byte = 'x';
    struct iovec wild_iov = {wild, 10}, huge_iov = {&byte, huge};
    struct msghdr wild_msg = {.msg_iov = wild, .msg_iovlen = 1}, wild_bytes = {.msg_iov = &wild_iov,
        .msg_iovlen = 1};
    struct msghdr wild_name = {.msg_name = wild, .msg_namelen = 16, .msg_iov = &(struct iovec){&byte,
        1}, .msg_iovlen = 1};
    struct msghdr wild_control = {.msg_iov = &(struct iovec){&byte, 1}, .msg_iovlen = 1,
        .msg_control = wild, .msg_controllen = 64};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0),
        pair = fds[0];

    SHOW(socket(4711, SOCK_STREAM, 0));
    SHOW(socket(AF_INET, 4711, 0));
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, wild));
    SHOW(connect(bad, wild, 16));
    SHOW(connect(unused, null, 0));
    SHOW(connect(file, wild, 16));
    SHOW(connect(tcp, wild, 16));
    SHOW(connect(tcp, null, 16));
    SHOW(connect(tcp, null, 0));
    SHOW(connect(tcp, wild, (socklen_t)huge));
    SHOW(bind(tcp, wild, 16));
    SHOW(bind(file, null, 0));
    SHOW(listen(bad, 5));
    SHOW(listen(file, 5));
    SHOW(listen(udp, 5));
    SHOW(accept(tcp, wild, wild));
    SHOW(accept(file, null, null));
    SHOW(accept4(bad, null, null, 0));

    SHOW(read(bad, wild, huge));
    SHOW(read(unused, null, 1));
    SHOW(read(pair, wild, 1));
    SHOW(write(bad, wild, 1));
    SHOW(write(pair, wild, 10));
    SHOW(write(pair, null, 0));
    SHOW(write(pair, wild, huge));
    SHOW(send(bad, wild, 10, 0));
    SHOW(send(file, &byte, 1, 0));
    SHOW(send(pair, wild, 10, 0));
    SHOW(send(udp, &byte, 1, 0));
    SHOW(send(udp, wild, 100000, 0));
    SHOW(recv(file, &byte, 1, 0));
    SHOW(recv(unused, wild, huge, 0));
    SHOW(recv(pair, wild, 1, MSG_DONTWAIT));
    SHOW(sendto(udp, &byte, 1, 0, wild, 16));
    SHOW(sendto(udp, &byte, 1, 0, null, 16));
    SHOW(recvfrom(udp, wild, 1, 0, wild, wild));
    SHOW(readv(pair, wild, 1));
    SHOW(readv(bad, wild, 1));
    SHOW(writev(pair, &wild_iov, 1));
    SHOW(writev(pair, &huge_iov, 1));
    SHOW(writev(pair, wild, 5000));
    SHOW(sendmsg(pair, wild, 0));
    SHOW(sendmsg(pair, null, 0));
    SHOW(sendmsg(pair, &wild_msg, 0));
    SHOW(sendmsg(pair, &wild_bytes, 0));
    SHOW(sendmsg(udp, &wild_name, 0));
    SHOW(sendmsg(pair, &wild_control, 0));
    SHOW(sendmsg(bad, wild, 0));
    SHOW(recvmsg(pair, wild, 0));
    SHOW(recvmsg(file, wild, 0));
    SHOW(sendmmsg(pair, wild, 3, 0));
    SHOW(recvmmsg(pair, wild, 3, 0, wild));

    SHOW(poll(wild, 1, 0));
    SHOW(poll(wild, (nfds_t)huge, 0));
    SHOW(select(1, wild, null, null, null));
    SHOW(epoll_ctl(bad, EPOLL_CTL_ADD, pair, wild));
    SHOW(epoll_ctl(pair, EPOLL_CTL_ADD, pair, &(struct epoll_event){0}));
    SHOW(epoll_wait(pair, wild, 1, 0));
    SHOW(epoll_create(0));

    SHOW(getsockopt(tcp, SOL_SOCKET, SO_TYPE, null, null));
    SHOW(getsockopt(tcp, SOL_SOCKET, SO_TYPE, wild, wild));
    SHOW(getsockname(bad, wild, wild));
    SHOW(getpeername(file, wild, wild));
    SHOW(ioctl(pair, FIONREAD, wild));
    SHOW(ioctl(bad, FIONREAD, wild));
    SHOW(fcntl(pair, F_DUPFD, bad));
    SHOW(fcntl(unused, F_GETFL));
    SHOW(dup(bad));
    SHOW(dup2(unused, pair));
    SHOW(shutdown(tcp, 4711));
    SHOW(shutdown(bad, SHUT_WR));
    SHOW(shutdown(file, SHUT_WR));
    SHOW(close(bad));
    SHOW(close(unused));
    SHOW(getaddrinfo(null, null, null, wild));
    SHOW(execve(wild, null, null));
    SHOW(execve(null, null, null));

    // What was refused has changed nothing.
    CHECK(write(fds[1], "alive", 5) == 5);
    char text[8];
    CHECK(read(pair, text, sizeof text) == 5);
    printf("%.5s\n", text);
}
