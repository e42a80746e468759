// A handler may end its thread, or jump away, while the thread sleeps in any hooked call: programs use
// it for timeouts. And a debugger, or a handler that reports a crash, walks the stack from there: it
// must get past us, to the function that called.
// exercises: read recvmsg writev accept connect poll select epoll_wait dprintf fclose splice
//= calls accept 3
#include "blocking.h"
#include <setjmp.h>
#include <stdatomic.h>
#include <unwind.h>

enum way { EXIT, JUMP, WALK, WAYS };
static const char *const words[WAYS] = {"pthread_exit", "siglongjmp", "walk"};

static atomic_int tid, cleanups, reached;
static enum way way;
static __thread sigjmp_buf out;

static void clean(void *unused)
{
    (void)unused;
    cleanups++;
}

static void *run(void *row);

static _Unwind_Reason_Code frame(struct _Unwind_Context *context, void *unused)
{
    (void)unused;
    if (_Unwind_GetRegionStart(context) == (uintptr_t)run)
        reached++;
    return _URC_NO_REASON;
}

static void handle(int number)
{
    (void)number;
    if (way == WALK)
        _Unwind_Backtrace(frame, NULL);
    if (way == JUMP)
        siglongjmp(out, 1);
    pthread_exit((void *)1234);
}

static void *run(void *row)
{
    const struct blocking *volatile it = row;
    pthread_cleanup_push(clean, NULL);
    if (sigsetjmp(out, 1) == 0) {
        atomic_store(&tid, gettid());
        printf("returned %s\n", outcome(it->call()));
    }
    pthread_cleanup_pop(0);
    return NULL;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handle};
    begin();
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    prepare_to_block();
    for (way = EXIT; way < WAYS; way++) {
        for (size_t i = 0; i < BLOCKING; i++) {
            pthread_t thread;
            void *result = NULL;
            if (!(blocking[i].may & LEAVE))
                continue;
            atomic_store(&tid, 0);
            atomic_store(&cleanups, 0);
            atomic_store(&reached, 0);
            CHECK(pthread_create(&thread, NULL, run, (void *)&blocking[i]) == 0);
            while (atomic_load(&tid) == 0)
                sched_yield();
            wait_until_asleep(atomic_load(&tid));
            CHECK(pthread_kill(thread, SIGUSR1) == 0);
            CHECK(pthread_join(thread, &result) == 0);
            printf("%s from %s: left %d, cleanups %d, reached %d\n", words[way], blocking[i].name,
                result == (void *)1234, atomic_load(&cleanups), atomic_load(&reached));
        }
    }
    CHECK(write(empty[1], "x", 1) == 1 && read(empty[0], &byte, 1) == 1);
    // A dprintf that never came back leaves glibc a stream on a stack that is gone, natively too: exit
    // would stumble over it.
    fflush(stdout);
    _exit(0);
}
