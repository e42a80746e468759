// A cancelled thread unwinds out of the middle of our frames: cleanup handlers run, the join returns,
// and nothing aborts.
// exercises: read recv recvfrom recvmsg accept connect poll select epoll_wait write
//: ...
//:t read
//:t accept
//= calls accept 0
//= calls recvmsg 0
#include "harness.h"
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/uio.h>

static int pair[2], full[2], listener, queue, epoll;
static struct sockaddr_un where;
static socklen_t where_len;
static atomic_int tid, cleanups;

static void clean(void *unused)
{
    (void)unused;
    cleanups++;
}

static void block(const char *call)
{
    char byte;
    struct msghdr msg = {.msg_iov = &(struct iovec){&byte, 1}, .msg_iovlen = 1};
    struct pollfd wait = {.fd = pair[0], .events = POLLIN};
    struct epoll_event event;
    fd_set in;
    FD_ZERO(&in);
    FD_SET(pair[0], &in);
    if (!strcmp(call, "read")) CHECK(read(pair[0], &byte, 1) == 4711);
    if (!strcmp(call, "recv")) CHECK(recv(pair[0], &byte, 1, 0) == 4711);
    if (!strcmp(call, "recvfrom")) CHECK(recvfrom(pair[0], &byte, 1, 0, NULL, NULL) == 4711);
    if (!strcmp(call, "recvmsg")) CHECK(recvmsg(pair[0], &msg, 0) == 4711);
    if (!strcmp(call, "accept")) CHECK(accept(listener, NULL, NULL) == 4711);
    if (!strcmp(call, "connect")) CHECK(connect(queue, (struct sockaddr *)&where, where_len) == 4711);
    if (!strcmp(call, "poll")) CHECK(poll(&wait, 1, -1) == 4711);
    if (!strcmp(call, "select")) CHECK(select(pair[0] + 1, &in, NULL, NULL, NULL) == 4711);
    if (!strcmp(call, "epoll_wait")) CHECK(epoll_wait(epoll, &event, 1, -1) == 4711);
    if (!strcmp(call, "write")) CHECK(write(full[0], "x", 1) == 4711);
}

static void *run(void *call)
{
    pthread_cleanup_push(clean, NULL);
    atomic_store(&tid, gettid());
    block(call);
    pthread_cleanup_pop(0);
    return NULL;
}

int main(void)
{
    static char *calls[] = {"read", "recv", "recvfrom", "recvmsg", "accept", "connect", "poll",
        "select", "epoll_wait", "write"};
    struct sockaddr_in unused;
    char room[4096] = {0};
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, full) == 0);
    while (send(full[0], room, sizeof room, MSG_DONTWAIT) > 0)
        ;
    listener = tcp_listener(&unused);
    CHECK((epoll = epoll_create1(0)) >= 0);
    // A queue for one that has one: the next connect waits.
    int server = socket(AF_UNIX, SOCK_STREAM, 0), first = socket(AF_UNIX, SOCK_STREAM, 0);
    where_len = unix_address(&where, "cancel");
    CHECK(bind(server, (struct sockaddr *)&where, where_len) == 0 && listen(server, 0) == 0);
    CHECK(connect(first, (struct sockaddr *)&where, where_len) == 0);
    queue = socket(AF_UNIX, SOCK_STREAM, 0);

    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        pthread_t thread;
        void *result = NULL;
        atomic_store(&tid, 0);
        CHECK(pthread_create(&thread, NULL, run, calls[i]) == 0);
        while (atomic_load(&tid) == 0)
            sched_yield();
        wait_until_asleep(atomic_load(&tid));
        CHECK(pthread_cancel(thread) == 0);
        CHECK(pthread_join(thread, &result) == 0);
        printf("%s: cancelled %d, cleanups %d\n", calls[i], result == PTHREAD_CANCELED,
            atomic_load(&cleanups));
    }
}
