// A process ends while its other threads sleep in calls, or are in the middle of one: every way to
// exit has to work then, handlers included, and the calls stay on record as unfinished.
// exercises: fork read write poll accept _exit quick_exit
//: ...
//:t accept
#include "harness.h"
#include <stdatomic.h>

enum { EXIT, RETURN, UNDER_EXIT, QUICK, ABORT, KILL, WAYS };
static int fds[2], listener;
static atomic_int started, rounds;

static void *sleeper(void *which)
{
    char byte;
    struct pollfd wait = {.fd = fds[0], .events = POLLIN};
    started++;
    switch ((uintptr_t)which) {
    case 0: read(fds[0], &byte, 1); break;
    case 1: poll(&wait, 1, -1); break;
    case 2: accept(listener, NULL, NULL); break;
    case 3: recv(fds[0], &byte, 1, 0); break;
    }
    return NULL;
}

static void *worker(void *unused)
{
    int own[2];
    char byte = 'x';
    (void)unused;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, own) == 0);
    for (;;) {
        CHECK(write(own[0], &byte, 1) == 1 && read(own[1], &byte, 1) == 1);
        rounds++;
    }
}

static void handler(void)
{
    char byte = 'h';
    printf("handler: %s\n", outcome(write(fds[1], &byte, 0)));
}

static int leave(int way)
{
    struct sockaddr_in where;
    begin();
    CHECK(atexit(handler) == 0 && at_quick_exit(handler) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    listener = tcp_listener(&where);
    pthread_t thread;
    for (uintptr_t i = 0; i < 4; i++)
        CHECK(pthread_create(&thread, NULL, sleeper, (void *)i) == 0);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&thread, NULL, worker, NULL) == 0);
    while (atomic_load(&started) < 4 || atomic_load(&rounds) < 200)
        sched_yield();
    switch (way) {
    case EXIT: exit(11);
    case UNDER_EXIT: _exit(12);
    case QUICK: quick_exit(13);
    case ABORT: abort();
    case KILL: kill(getpid(), SIGKILL);
    }
    return 14;
}

int main(void)
{
    begin();
    for (int way = 0; way < WAYS; way++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
            return leave(way);
        printf("%d: %d\n", way, reap(pid));
    }
}
