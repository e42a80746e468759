// Which calls a signal ends with EINTR, and which go on after a handler with SA_RESTART, is the
// kernel's to say, call by call: poll never goes on, read does. Nobody may retry, or fail to.
// exercises: read readv preadv2 recv recvfrom recvmsg recvmmsg write writev pwritev2 send sendto
// exercises: sendmsg sendmmsg accept accept4 connect poll ppoll select pselect epoll_wait epoll_pwait
// exercises: epoll_pwait2 splice sendfile fcntl dprintf syscall
//= calls accept 2
//= calls poll 0
#include "blocking.h"
#include <stdatomic.h>

static atomic_int tid, handled, returned;
static long ret;
static int error;

static void handle(int number)
{
    (void)number;
    handled++;
}

static void *run(void *row)
{
    atomic_store(&tid, gettid());
    errno = 0;
    ret = ((const struct blocking *)row)->call();
    error = errno;
    atomic_store(&returned, 1);
    return NULL;
}

static void interrupt(pthread_t thread, int flags)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = flags};
    int before = atomic_load(&handled);
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(pthread_kill(thread, SIGUSR1) == 0);
    while (atomic_load(&handled) == before)
        sched_yield();
    while (!atomic_load(&returned) && !asleep(atomic_load(&tid)))
        sched_yield();
}

int main(void)
{
    begin();
    prepare_to_block();
    for (size_t i = 0; i < BLOCKING; i++) {
        pthread_t thread;
        if (!(blocking[i].may & RETURN))
            continue;
        for (int restart = 0; restart < 2; restart++) {
            atomic_store(&tid, 0);
            atomic_store(&returned, 0);
            CHECK(pthread_create(&thread, NULL, run, (void *)&blocking[i]) == 0);
            while (atomic_load(&tid) == 0)
                sched_yield();
            wait_until_asleep(atomic_load(&tid));
            interrupt(thread, restart ? SA_RESTART : 0);
            const char *word = atomic_load(&returned) ? "returns" : "goes on, then returns";
            if (!atomic_load(&returned))
                interrupt(thread, 0);
            CHECK(pthread_join(thread, NULL) == 0);
            errno = error;
            printf("%s%s: %s %s\n", blocking[i].name, restart ? " with SA_RESTART" : "", word, outcome(ret));
        }
    }
}
