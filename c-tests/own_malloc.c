// Real-time and embedded programs bring an allocator of their own, which is entered only where they
// expect it. Within a call on a socket nobody expects it: not in a hook, not in the hooks of a handler
// that interrupted it, not in a child, not in a thread's first call.
// exercises: socket socketpair bind listen accept connect read write send recv sendto recvfrom sendmsg
// exercises: recvmsg readv writev poll select epoll_wait epoll_ctl shutdown close dup dup2 fcntl ioctl
// exercises: getsockopt setsockopt getsockname getpeername fork vfork _exit
//: ...
//:t recvmsg -> 1
#include "harness.h"
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <time.h>

static char arena[16 << 20] __attribute__((aligned(16)));
static size_t used;
static __thread volatile int inside;

static void entered(void)
{
    static const char text[] = "an allocation inside a call\n";
    if (!inside)
        return;
    inside = 0;
    write(STDOUT_FILENO, text, sizeof text - 1);
    abort();
}

void *malloc(size_t size)
{
    entered();
    size_t *block = (size_t *)(arena + __atomic_fetch_add(&used, (size + 31) / 16 * 16, __ATOMIC_RELAXED));
    if ((char *)block + size + 16 > arena + sizeof arena)
        return NULL;
    *block = size;
    return block + 2;
}

void free(void *block)
{
    (void)block;
    entered();
}

void *calloc(size_t count, size_t size)
{
    return malloc(count * size);
}

void *realloc(void *block, size_t size)
{
    void *other = malloc(size);
    if (block != NULL && other != NULL)
        memcpy(other, block, size < ((size_t *)block)[-2] ? size : ((size_t *)block)[-2]);
    return other;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    char *block = malloc(size + alignment);
    return block + (alignment - (uintptr_t)block % alignment) % alignment;
}

void *memalign(size_t alignment, size_t size)
{
    return aligned_alloc(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    *block = aligned_alloc(alignment, size);
    return *block == NULL ? ENOMEM : 0;
}

static long inner_calls;

/* Every call, flagged. */
#define IN(call)                                                                                 \
    ({                                                                                           \
        int saved = inside;                                                                      \
        inside = 1;                                                                              \
        long ret = (long)(call);                                                                 \
        inside = saved;                                                                          \
        inner_calls++;                                                                           \
        ret;                                                                                     \
    })

static void everything(void)
{
    int fds[2], value = 1;
    char byte = 'x';
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *any = (struct sockaddr *)&where;
    socklen_t len = sizeof where;
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    CHECK(IN(socketpair(AF_UNIX, SOCK_STREAM, 0, fds)) == 0);
    CHECK(IN(write(fds[0], &byte, 1)) == 1 && IN(read(fds[1], &byte, 1)) == 1);
    CHECK(IN(send(fds[0], &byte, 1, 0)) == 1 && IN(recv(fds[1], &byte, 1, 0)) == 1);
    CHECK(IN(writev(fds[0], &iov, 1)) == 1 && IN(readv(fds[1], &iov, 1)) == 1);
    CHECK(IN(sendto(fds[0], &byte, 1, 0, NULL, 0)) == 1 && IN(recvfrom(fds[1], &byte, 1, 0, NULL, NULL)) == 1);
    CHECK(IN(sendmsg(fds[0], &msg, 0)) == 1 && IN(recvmsg(fds[1], &msg, 0)) == 1);
    int listener = (int)IN(socket(AF_INET, SOCK_STREAM, 0)), a = (int)IN(socket(AF_INET, SOCK_STREAM, 0));
    CHECK(IN(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &value, sizeof value)) == 0);
    CHECK(IN(bind(listener, any, len)) == 0 && IN(listen(listener, 1)) == 0);
    CHECK(IN(getsockname(listener, any, &len)) == 0 && IN(connect(a, any, len)) == 0);
    int b = (int)IN(accept(listener, any, &len));
    CHECK(b >= 0 && IN(getpeername(a, any, &len)) == 0);
    socklen_t size = sizeof value;
    CHECK(IN(getsockopt(a, SOL_SOCKET, SO_TYPE, &value, &size)) == 0 && IN(ioctl(a, FIONREAD, &value)) == 0);
    struct pollfd wait = {a, POLLOUT, 0};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(a, &set);
    CHECK(IN(poll(&wait, 1, -1)) == 1 && IN(select(a + 1, NULL, &set, NULL, NULL)) == 1);
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLOUT};
    CHECK(IN(epoll_ctl(epoll, EPOLL_CTL_ADD, a, &event)) == 0 && IN(epoll_wait(epoll, &event, 1, -1)) == 1);
    int copy = (int)IN(dup(a));
    CHECK(IN(dup2(a, copy)) == copy && IN(fcntl(copy, F_GETFL)) >= 0 && IN(shutdown(a, SHUT_WR)) == 0);
    CHECK(IN(close(copy)) == 0 && IN(close(a)) == 0 && IN(close(b)) == 0 && IN(close(listener)) == 0);
    CHECK(close(epoll) == 0 && IN(close(fds[0])) == 0 && IN(close(fds[1])) == 0);
}

static volatile sig_atomic_t handled;

static void handle(int number)
{
    int saved = errno;
    (void)number;
    if (handled < 200)
        everything();
    handled++;
    errno = saved;
}

static void *run(void *unused)
{
    everything();
    return unused;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    struct itimerspec every = {{0, 1000000}, {0, 1000000}};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    timer_t timer;
    pthread_t thread;
    sigset_t set;
    begin();
    everything();
    // Handlers come to this thread alone: another's first call is a thing of its own.
    CHECK(sigemptyset(&set) == 0 && sigaddset(&set, SIGUSR1) == 0 && pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    CHECK(pthread_create(&thread, NULL, run, NULL) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &every, NULL) == 0);
    while (handled < 20)
        everything();
    CHECK(timer_delete(timer) == 0);
    puts("handlers");
    pid_t pid = (pid_t)IN(fork());
    if (pid == 0) {
        begin();
        everything();
        _exit(30);
    }
    printf("child %d\n", reap(pid));
    pid = vfork();
    if (pid == 0) {
        inside = 1;
        close(STDIN_FILENO);
        _exit(31);
    }
    inside = 0;
    printf("vfork %d\n", reap(pid));
}
