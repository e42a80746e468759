// A call that succeeds leaves errno alone, and programs rely on it: they look at errno later than
// they should.
// exercises: socket bind listen accept4 connect send recv sendmsg recvmsg write read shutdown
// exercises: close poll getsockopt setsockopt getsockname getpeername fcntl dup dup2 epoll_create1
// exercises: epoll_ctl epoll_wait fork
//: ...
#include "harness.h"
#include <sys/epoll.h>
#include <sys/uio.h>

static int kept;

// Makes a call with a strange errno and counts those after which it is still there.
#define KEEP(call)                                                                               \
    ({                                                                                           \
        errno = 9731;                                                                            \
        long ret_ = (long)(call);                                                                \
        int errno_ = errno;                                                                      \
        if (ret_ < 0 || errno_ != 9731)                                                          \
            printf("%s gives %ld and errno %d\n", #call, ret_, errno_);                          \
        kept++;                                                                                  \
        ret_;                                                                                    \
    })

int main(void)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, name;
    socklen_t len = sizeof where, int_len = sizeof(int), name_len = sizeof name;
    int one = 1, pair[2];
    char text[16];
    begin();
    int l = (int)KEEP(socket(AF_INET, SOCK_STREAM, 0));
    KEEP(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    KEEP(getsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, &int_len));
    KEEP(bind(l, (struct sockaddr *)&where, sizeof where));
    KEEP(listen(l, 5));
    KEEP(getsockname(l, (struct sockaddr *)&where, &len));
    int a = (int)KEEP(socket(AF_INET, SOCK_STREAM, 0));
    KEEP(connect(a, (struct sockaddr *)&where, len));
    int b = (int)KEEP(accept4(l, NULL, NULL, SOCK_CLOEXEC));
    KEEP(getpeername(a, (struct sockaddr *)&name, &name_len));
    struct iovec part = {text, 4};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
    memset(text, 't', sizeof text);
    KEEP(send(a, text, 4, 0));
    KEEP(write(a, text, 4));
    KEEP(sendmsg(a, &msg, 0));
    KEEP(recv(b, text, 4, MSG_WAITALL));
    KEEP(recvmsg(b, &msg, MSG_WAITALL));
    KEEP(recv(b, text, 2, MSG_WAITALL | MSG_PEEK));
    KEEP(read(b, text, 4));
    struct pollfd wait = {.fd = a, .events = POLLOUT};
    KEEP(poll(&wait, 1, -1));
    int e = (int)KEEP(epoll_create1(0));
    struct epoll_event event = {.events = EPOLLOUT};
    KEEP(epoll_ctl(e, EPOLL_CTL_ADD, a, &event));
    KEEP(epoll_wait(e, &event, 1, -1));
    KEEP(fcntl(a, F_GETFL));
    int c = (int)KEEP(dup(a));
    KEEP(dup2(a, c));
    KEEP(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    pid_t pid = (pid_t)KEEP(fork());
    if (pid == 0)
        _exit(errno == 9731 ? 8 : 9);
    KEEP(close(pair[0]));
    KEEP(close(pair[1]));
    KEEP(close(c));
    KEEP(shutdown(a, SHUT_WR));
    KEEP(close(a));
    KEEP(close(b));
    KEEP(close(e));
    KEEP(close(l));
    printf("%d calls, child %d\n", kept, reap(pid));
}
