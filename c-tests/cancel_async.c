// With asynchronous cancellation a thread may be taken down at any instruction of ours, and
// pthread_exit in a handler does the same in a blocking call.
// exercises: read recv
#include "harness.h"
#include <stdatomic.h>

static int fds[2];
static atomic_int calls, cleanups, tid;

static void clean(void *unused)
{
    (void)unused;
    cleanups++;
}

static void *spin(void *unused)
{
    char byte;
    CHECK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL) == 0);
    pthread_cleanup_push(clean, unused);
    for (;;) {
        recv(fds[0], &byte, 1, MSG_DONTWAIT);
        calls++;
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void leave(int number)
{
    (void)number;
    pthread_exit((void *)1234);
}

static void *block(void *unused)
{
    char byte;
    pthread_cleanup_push(clean, unused);
    atomic_store(&tid, gettid());
    CHECK(read(fds[0], &byte, 1) == 4711);
    pthread_cleanup_pop(0);
    return NULL;
}

int main(void)
{
    struct sigaction action = {.sa_handler = leave};
    pthread_t thread;
    void *result;
    int cancelled = 0, left = 0;
    begin();
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    for (int i = 0; i < 100; i++) {
        int before = calls;
        CHECK(pthread_create(&thread, NULL, spin, NULL) == 0);
        while (calls < before + 20)
            sched_yield();
        CHECK(pthread_cancel(thread) == 0);
        CHECK(pthread_join(thread, &result) == 0);
        cancelled += result == PTHREAD_CANCELED;
    }
    for (int i = 0; i < 10; i++) {
        atomic_store(&tid, 0);
        CHECK(pthread_create(&thread, NULL, block, NULL) == 0);
        while (atomic_load(&tid) == 0)
            sched_yield();
        wait_until_asleep(atomic_load(&tid));
        CHECK(pthread_kill(thread, SIGUSR1) == 0);
        CHECK(pthread_join(thread, &result) == 0);
        left += result == (void *)1234;
    }
    printf("cancelled %d, left %d, cleanups %d\n", cancelled, left, cleanups);
}
