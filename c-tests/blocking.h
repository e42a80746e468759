/* Every hooked call that can block, made so that it does: for the programs that do something to a
 * thread that sleeps in one of them. Each row is a call that would return only if something happened
 * that never does. */
#ifndef BLOCKING_H
#define BLOCKING_H

#include "harness.h"
#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* What may be done to a call. */
enum {
    CANCEL = 1,  /* it is a cancellation point of glibc */
    ASYNC = 2,   /* asynchronous cancellation leaves nothing broken */
    RETURN = 4,  /* a handler may interrupt it and return: it fails or goes on, and nothing else */
    LEAVE = 8,   /* a handler may leave it for good, by pthread_exit, an exception or a jump */
    ALL = 15,
};

struct blocking {
    const char *name;
    long (*call)(void);
    int may;
};

#ifdef __cplusplus
extern "C" {
#endif
extern int __connect(int fd, const struct sockaddr *address, socklen_t len);
extern ssize_t __read(int fd, void *buffer, size_t len);
extern ssize_t __write(int fd, const void *buffer, size_t len);
extern ssize_t __send(int fd, const void *buffer, size_t len, int flags);
extern int __poll(struct pollfd *fds, nfds_t count, int timeout);
extern int __select(int count, fd_set *in, fd_set *out, fd_set *except, struct timeval *timeout);
#ifdef __cplusplus
}
#endif

static int empty[2], full[2], listener, queue, epoll, held[2], outlet[2], mute, body;
static struct sockaddr_un where_queue;
static socklen_t where_queue_len;
static __thread char byte = 'x';
static __thread struct iovec iov;
static __thread struct mmsghdr message;
static __thread struct epoll_event event;
static __thread fd_set set;

static struct iovec *one_byte(void)
{
    iov.iov_base = &byte;
    iov.iov_len = 1;
    return &iov;
}
static struct msghdr *one_message(void)
{
    memset(&message, 0, sizeof message);
    message.msg_hdr.msg_iov = one_byte();
    message.msg_hdr.msg_iovlen = 1;
    return &message.msg_hdr;
}
static fd_set *one_set(void)
{
    FD_ZERO(&set);
    FD_SET(empty[0], &set);
    return &set;
}
static struct pollfd one_poll(void)
{
    struct pollfd wait = {empty[0], POLLIN, 0};
    return wait;
}

static long b_read(void) { return read(empty[0], &byte, 1); }
static long b_under_read(void) { return __read(empty[0], &byte, 1); }
static long b_readv(void) { return readv(empty[0], one_byte(), 1); }
static long b_preadv2(void) { return preadv2(empty[0], one_byte(), 1, -1, 0); }
static long b_recv(void) { return recv(empty[0], &byte, 1, 0); }
static long b_recvfrom(void) { return recvfrom(empty[0], &byte, 1, 0, NULL, NULL); }
static long b_recvmsg(void) { return recvmsg(empty[0], one_message(), 0); }
static long b_recvmmsg(void) { return one_message(), recvmmsg(empty[0], &message, 1, 0, NULL); }
static long b_write(void) { return write(full[0], &byte, 1); }
static long b_under_write(void) { return __write(full[0], &byte, 1); }
static long b_writev(void) { return writev(full[0], one_byte(), 1); }
static long b_pwritev2(void) { return pwritev2(full[0], one_byte(), 1, -1, 0); }
static long b_send(void) { return send(full[0], &byte, 1, 0); }
static long b_under_send(void) { return __send(full[0], &byte, 1, 0); }
static long b_sendto(void) { return sendto(full[0], &byte, 1, 0, NULL, 0); }
static long b_sendmsg(void) { return sendmsg(full[0], one_message(), 0); }
static long b_sendmmsg(void) { return one_message(), sendmmsg(full[0], &message, 1, 0); }
static long b_accept(void) { return accept(listener, NULL, NULL); }
static long b_accept4(void) { return accept4(listener, NULL, NULL, SOCK_CLOEXEC); }
static long b_connect(void) { return connect(queue, (struct sockaddr *)&where_queue, where_queue_len); }
static long b_under_connect(void) { return __connect(queue, (struct sockaddr *)&where_queue, where_queue_len); }
static long b_poll(void)
{
    struct pollfd wait = one_poll();
    return poll(&wait, 1, -1);
}
static long b_under_poll(void)
{
    struct pollfd wait = one_poll();
    return __poll(&wait, 1, -1);
}
static long b_ppoll(void)
{
    struct pollfd wait = one_poll();
    return ppoll(&wait, 1, NULL, NULL);
}
static long b_select(void) { return select(empty[0] + 1, one_set(), NULL, NULL, NULL); }
static long b_under_select(void) { return __select(empty[0] + 1, one_set(), NULL, NULL, NULL); }
static long b_pselect(void) { return pselect(empty[0] + 1, one_set(), NULL, NULL, NULL, NULL); }
static long b_epoll_wait(void) { return epoll_wait(epoll, &event, 1, -1); }
static long b_epoll_pwait(void) { return epoll_pwait(epoll, &event, 1, -1, NULL); }
static long b_epoll_pwait2(void) { return epoll_pwait2(epoll, &event, 1, NULL, NULL); }
static long b_splice(void) { return splice(empty[0], NULL, outlet[1], NULL, 1, 0); }
static long b_sendfile(void)
{
    off_t from = 0;
    return sendfile(full[0], body, &from, 1);
}
static long b_syscall(void) { return syscall(SYS_recvfrom, empty[0], &byte, 1L, 0L, 0L, 0L); }
/* A lock that another descriptor of the file holds. */
static long b_fcntl(void)
{
    struct flock lock;
    memset(&lock, 0, sizeof lock);
    lock.l_type = F_WRLCK;
    return fcntl(held[1], F_OFD_SETLKW, &lock);
}
/* A close that lingers over bytes which nobody reads. */
static long b_close(void)
{
    struct linger linger = {1, 15};
    static char room[1 << 16];
    int fds[2];
    tcp_pair(fds);
    CHECK(setsockopt(fds[0], SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
    while (send(fds[0], room, sizeof room, MSG_DONTWAIT) > 0)
        ;
    return close(fds[0]);
}
static long b_dprintf(void) { return dprintf(full[0], "%s %d %g\n", "words", 1, 2.5); }
static long b_fclose(void)
{
    FILE *file = fdopen(dup(full[0]), "w");
    CHECK(file != NULL && fputs("words", file) >= 0);
    return fclose(file);
}
static long b_system(void) { return system("exec sleep 15"); }
/* A name server that never answers. */
static void ask_the_mute(void)
{
    struct sockaddr_in where;
    socklen_t len = sizeof where;
    CHECK(getsockname(mute, (struct sockaddr *)&where, &len) == 0);
    CHECK(res_init() == 0);
    _res.nscount = 1;
    _res.nsaddr_list[0] = where;
    _res.retrans = 15;
    _res.retry = 1;
}
static long b_res_query(void)
{
    unsigned char answer[512];
    ask_the_mute();
    return res_query("no.answer.test", ns_c_in, ns_t_a, answer, sizeof answer);
}

static const struct blocking blocking[] = {
    {"read", b_read, ALL}, {"__read", b_under_read, ALL}, {"readv", b_readv, ALL},
    {"preadv2", b_preadv2, ALL}, {"recv", b_recv, ALL}, {"recvfrom", b_recvfrom, ALL},
    {"recvmsg", b_recvmsg, ALL}, {"recvmmsg", b_recvmmsg, ALL}, {"write", b_write, ALL},
    {"__write", b_under_write, ALL}, {"writev", b_writev, ALL}, {"pwritev2", b_pwritev2, ALL},
    {"send", b_send, ALL}, {"__send", b_under_send, ALL}, {"sendto", b_sendto, ALL},
    {"sendmsg", b_sendmsg, ALL}, {"sendmmsg", b_sendmmsg, ALL}, {"accept", b_accept, ALL},
    {"accept4", b_accept4, ALL}, {"connect", b_connect, ALL}, {"__connect", b_under_connect, ALL},
    {"poll", b_poll, ALL}, {"__poll", b_under_poll, ALL}, {"ppoll", b_ppoll, ALL},
    {"select", b_select, ALL}, {"__select", b_under_select, ALL}, {"pselect", b_pselect, ALL},
    {"epoll_wait", b_epoll_wait, ALL}, {"epoll_pwait", b_epoll_pwait, ALL},
    {"epoll_pwait2", b_epoll_pwait2, ALL}, {"splice", b_splice, ALL}, {"fcntl", b_fcntl, ALL},
    {"close", b_close, ALL}, {"sendfile", b_sendfile, ASYNC | RETURN | LEAVE},
    {"syscall", b_syscall, ASYNC | RETURN | LEAVE}, {"dprintf", b_dprintf, CANCEL | RETURN | LEAVE},
    {"fclose", b_fclose, CANCEL | LEAVE}, {"system", b_system, CANCEL},
    {"res_query", b_res_query, CANCEL},
};
#define BLOCKING (sizeof blocking / sizeof *blocking)

/* Makes the sockets that the calls above block on. */
static void prepare_to_block(void)
{
    struct sockaddr_in unused;
    char room[4096] = {0};
    memset(&event, 0, sizeof event);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, empty) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, full) == 0);
    while (send(full[0], room, sizeof room, MSG_DONTWAIT) > 0)
        ;
    while (send(full[0], room, 1, MSG_DONTWAIT) > 0)
        ;
    listener = tcp_listener(&unused);
    CHECK((epoll = epoll_create1(0)) >= 0);
    CHECK(pipe(outlet) == 0);
    /* A queue for one that has one: the next connect waits. */
    int server = socket(AF_UNIX, SOCK_STREAM, 0), first = socket(AF_UNIX, SOCK_STREAM, 0);
    where_queue_len = unix_address(&where_queue, "queue");
    CHECK(bind(server, (struct sockaddr *)&where_queue, where_queue_len) == 0 && listen(server, 0) == 0);
    CHECK(connect(first, (struct sockaddr *)&where_queue, where_queue_len) == 0);
    CHECK((queue = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0);
    char path[64];
    CHECK((held[0] = memfd_create("lock", 0)) >= 0 && write(held[0], "words", 5) == 5);
    snprintf(path, sizeof path, "/proc/self/fd/%d", held[0]);
    CHECK((held[1] = open(path, O_RDWR)) >= 0);
    struct flock lock;
    memset(&lock, 0, sizeof lock);
    lock.l_type = F_WRLCK;
    CHECK(fcntl(held[0], F_OFD_SETLK, &lock) == 0);
    body = held[0];
    memset(&unused, 0, sizeof unused);
    unused.sin_family = AF_INET;
    unused.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK((mute = socket(AF_INET, SOCK_DGRAM, 0)) >= 0);
    CHECK(bind(mute, (struct sockaddr *)&unused, sizeof unused) == 0);
}

#endif
