// Every hooked call that is a cancellation point still is one: the thread that sleeps in it is taken
// down at once, its cleanup handlers run, and nothing of ours is left behind. With the asynchronous
// kind it may be taken down even where there is no such point.
// exercises: read __read readv preadv2 recv recvfrom recvmsg recvmmsg write __write writev pwritev2
// exercises: send __send sendto sendmsg sendmmsg accept accept4 connect __connect poll __poll ppoll
// exercises: select __select pselect epoll_wait epoll_pwait epoll_pwait2 splice sendfile fcntl close
// exercises: dprintf fclose system res_query syscall
//= calls accept 2
#include "blocking.h"
#include <stdatomic.h>

static atomic_int tid, cleanups;
static int type;

static void clean(void *number)
{
    cleanups += *(int *)number;
}

static void *run(void *row)
{
    int one = 1, ten = 10, unused;
    pthread_cleanup_push(clean, &one);
    pthread_cleanup_push(clean, &ten);
    CHECK(pthread_setcanceltype(type, &unused) == 0);
    atomic_store(&tid, gettid());
    long ret = ((const struct blocking *)row)->call();
    printf("returned %s\n", outcome(ret));
    pthread_cleanup_pop(0);
    pthread_cleanup_pop(0);
    return NULL;
}

int main(void)
{
    begin();
    prepare_to_block();
    for (int pass = 0; pass < 2; pass++) {
        type = pass == 0 ? PTHREAD_CANCEL_DEFERRED : PTHREAD_CANCEL_ASYNCHRONOUS;
        for (size_t i = 0; i < BLOCKING; i++) {
            pthread_t thread;
            void *result = NULL;
            if (!(blocking[i].may & (pass == 0 ? CANCEL : ASYNC)))
                continue;
            atomic_store(&tid, 0);
            atomic_store(&cleanups, 0);
            CHECK(pthread_create(&thread, NULL, run, (void *)&blocking[i]) == 0);
            while (atomic_load(&tid) == 0)
                sched_yield();
            wait_until_asleep(atomic_load(&tid));
            CHECK(pthread_cancel(thread) == 0);
            CHECK(pthread_join(thread, &result) == 0);
            printf("%s %s: cancelled %d, cleanups %d\n", pass == 0 ? "deferred" : "asynchronous",
                blocking[i].name, result == PTHREAD_CANCELED, atomic_load(&cleanups));
        }
    }
    // What is left works.
    CHECK(write(empty[1], "x", 1) == 1 && read(empty[0], &byte, 1) == 1);
    // A dprintf that never came back leaves glibc a stream on a stack that is gone, natively too: exit
    // would stumble over it.
    fflush(stdout);
    _exit(0);
}
