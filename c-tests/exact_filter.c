// Sandboxes list the system calls that a program makes, and kill it for any other: each hooked call
// runs under a filter that allows what glibc makes of it, and the end of the process, and nothing else.
// exercises: read readv write writev send recv sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg poll
// exercises: ppoll select pselect epoll_wait epoll_pwait epoll_ctl accept accept4 connect bind listen
// exercises: shutdown close dup dup2 dup3 fcntl ioctl getsockopt setsockopt getsockname getpeername
// exercises: socket socketpair sendfile splice close_range epoll_create1 prctl _exit syscall
//: ...
//:t read
//:t connect
#include "filter.h"
#include "harness.h"
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static int pair[2], tcp[2], listener, udp, fresh, epoll, pipes[2], file, value;
static struct sockaddr_in where, any = {.sin_family = AF_INET};
static struct sockaddr *to = (struct sockaddr *)&where;
static socklen_t len = sizeof where;
static char byte = 'x';
static struct iovec iov = {&byte, 1};
static struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
static struct mmsghdr several = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};
static struct epoll_event event = {.events = EPOLLOUT};
static struct pollfd wait_for;
static struct timespec none;
static struct timeval no_time;
static fd_set set;

#define CALLS(ROW)                                                                               \
    ROW(read, SYS_read, read(pair[0], &byte, 1))                                                 \
    ROW(readv, SYS_readv, readv(pair[0], &iov, 1))                                               \
    ROW(preadv2, SYS_preadv2, preadv2(pair[0], &iov, 1, -1, RWF_NOWAIT))                         \
    ROW(write, SYS_write, write(pair[0], &byte, 1))                                              \
    ROW(writev, SYS_writev, writev(pair[0], &iov, 1))                                            \
    ROW(send, SYS_sendto, send(pair[0], &byte, 1, MSG_NOSIGNAL))                                 \
    ROW(recv, SYS_recvfrom, recv(tcp[0], &byte, 1, MSG_PEEK))                                    \
    ROW(sendto, SYS_sendto, sendto(udp, &byte, 1, 0, to, sizeof where))                          \
    ROW(recvfrom, SYS_recvfrom, recvfrom(pair[0], &byte, 1, 0, NULL, NULL))                      \
    ROW(sendmsg, SYS_sendmsg, sendmsg(tcp[0], &msg, 0))                                          \
    ROW(recvmsg, SYS_recvmsg, recvmsg(tcp[0], &msg, 0))                                          \
    ROW(sendmmsg, SYS_sendmmsg, sendmmsg(tcp[0], &several, 1, 0))                                \
    ROW(recvmmsg, SYS_recvmmsg, recvmmsg(tcp[0], &several, 1, 0, NULL))                          \
    ROW(poll, SYS_poll, poll(&wait_for, 1, 0))                                                   \
    ROW(ppoll, SYS_ppoll, ppoll(&wait_for, 1, &none, NULL))                                      \
    ROW(select, SYS_pselect6, select(pair[0] + 1, NULL, &set, NULL, &no_time))                   \
    ROW(pselect, SYS_pselect6, pselect(pair[0] + 1, NULL, &set, NULL, &none, NULL))              \
    ROW(epoll_wait, SYS_epoll_wait, epoll_wait(epoll, &event, 1, 0))                             \
    ROW(epoll_pwait, SYS_epoll_pwait, epoll_pwait(epoll, &event, 1, 0, NULL))                    \
    ROW(epoll_pwait2, SYS_epoll_pwait2, epoll_pwait2(epoll, &event, 1, &none, NULL))             \
    ROW(epoll_ctl, SYS_epoll_ctl, epoll_ctl(epoll, EPOLL_CTL_ADD, tcp[0], &event))               \
    ROW(epoll_create1, SYS_epoll_create1, epoll_create1(0))                                      \
    ROW(accept, SYS_accept, accept(listener, to, &len))                                          \
    ROW(accept4, SYS_accept4, accept4(listener, NULL, NULL, 0))                                  \
    ROW(connect, SYS_connect, connect(fresh, to, sizeof where))                                  \
    ROW(bind, SYS_bind, bind(fresh, (struct sockaddr *)&any, sizeof any))                        \
    ROW(listen, SYS_listen, listen(fresh, 1))                                                    \
    ROW(shutdown, SYS_shutdown, shutdown(tcp[0], SHUT_WR))                                       \
    ROW(close, SYS_close, close(tcp[0]))                                                         \
    ROW(close_range, SYS_close_range, close_range(3, 1000, 0))                                   \
    ROW(dup, SYS_dup, dup(tcp[0]))                                                               \
    ROW(dup2, SYS_dup2, dup2(tcp[0], pair[0]))                                                   \
    ROW(dup3, SYS_dup3, dup3(tcp[0], pair[0], O_CLOEXEC))                                        \
    ROW(dupfd, SYS_fcntl, fcntl(tcp[0], F_DUPFD_CLOEXEC, 50))                                    \
    ROW(fcntl, SYS_fcntl, fcntl(tcp[0], F_SETFL, O_NONBLOCK))                                    \
    ROW(ioctl, SYS_ioctl, ioctl(tcp[0], FIONREAD, &value))                                       \
    ROW(getsockopt, SYS_getsockopt, getsockopt(tcp[0], SOL_SOCKET, SO_TYPE, &value, &len))       \
    ROW(setsockopt, SYS_setsockopt, setsockopt(tcp[0], IPPROTO_TCP, TCP_NODELAY, &value, 4))     \
    ROW(getsockname, SYS_getsockname, getsockname(tcp[0], to, &len))                             \
    ROW(getpeername, SYS_getpeername, getpeername(tcp[0], to, &len))                             \
    ROW(socket, SYS_socket, socket(AF_INET, SOCK_STREAM, 0))                                     \
    ROW(socketpair, SYS_socketpair, socketpair(AF_UNIX, SOCK_STREAM, 0, pipes))                  \
    ROW(sendfile, SYS_sendfile, sendfile(tcp[0], file, NULL, 1))                                 \
    ROW(splice, SYS_splice, splice(pair[0], NULL, pipes[1], NULL, 1, 0))                         \
    ROW(byNumber, SYS_sendto, syscall(SYS_sendto, tcp[0], &byte, 1, 0, NULL, 0))                 \
    ROW(after, SYS_write, (write(pair[0], "a", 1) + write(tcp[0], "b", 1) + write(fresh, "c", 1)))

#define FUNCTION(name, number, call) static long call_##name(void) { return call; }
CALLS(FUNCTION)

static const struct {
    const char *name;
    unsigned number;
    long (*call)(void);
} rows[] = {
#define ENTRY(name, number, call) {#name, number, call_##name},
    CALLS(ENTRY)
};

static void confine(unsigned number, int by_syscall)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(number), ALLOW(SYS_exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog filter = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        _exit(SKIP);
    if (by_syscall ? syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter)
            : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
        _exit(SKIP);
}

// Everything that the calls above need; two clients wait to be accepted, bytes wait to be read.
static void prepare(void)
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && write(pair[1], "abcdef", 6) == 6);
    tcp_pair(tcp);
    CHECK(write(tcp[1], "abcdef", 6) == 6);
    listener = tcp_listener(&where);
    CHECK(tcp_connect(&where) >= 0 && tcp_connect(&where) >= 0);
    CHECK((udp = socket(AF_INET, SOCK_DGRAM, 0)) >= 0);
    CHECK((fresh = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
    CHECK((epoll = epoll_create1(0)) >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, pair[0], &event) == 0);
    CHECK(pipe(pipes) == 0);
    CHECK((file = open("/proc/self/exe", O_RDONLY)) >= 0);
    wait_for = (struct pollfd){.fd = tcp[0], .events = POLLOUT};
    FD_SET(pair[0], &set);
}

int main(void)
{
    begin();
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(20);
            prepare();
            confine(rows[i].number, i % 2);
            long ret = rows[i].call();
            _exit(ret < 0 ? 100 : ret > 5 ? 5 : (int)ret);
        }
        int status = reap(pid);
        if (status == SKIP)
            return SKIP;
        printf("%s: %d\n", rows[i].name, status);
    }
}
