// Build systems and test runners fork hundreds of times, several processes deep, from programs that
// have threads. Every process is told apart from every other, and none of its calls is lost.
// settings: SOCKSHIM_SIZE=16M
// exercises: fork socketpair write read close _exit
//= calls write 310
//= calls read 310
#include "harness.h"
#include <stdatomic.h>

static atomic_int stop;

static void *busy(void *unused)
{
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    for (int i = 0; !atomic_load(&stop); i++) {
        struct pollfd wait = {.fd = fds[0], .events = POLLOUT};
        // In the middle of a call at first, and of nothing later: the trace has an end.
        if (i < 10000)
            CHECK(poll(&wait, 1, -1) == 1);
        else
            sched_yield();
    }
    return unused;
}

static void exchange(void)
{
    int fds[2];
    char byte = 'x';
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(write(fds[0], &byte, 1) == 1 && read(fds[1], &byte, 1) == 1);
    CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
}

// Ten children, each of which has `depth` generations below it. Gives the number of descendants.
static int generation(int depth, int width)
{
    int descendants = 0;
    for (int i = 0; i < width; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            begin();
            exchange();
            _exit(1 + (depth > 0 ? generation(depth - 1, 1) : 0));
        }
        descendants += reap(pid);
    }
    return descendants;
}

int main(void)
{
    pthread_t thread;
    begin();
    CHECK(pthread_create(&thread, NULL, busy, NULL) == 0);
    int descendants = 0;
    // 50 times five generations, and sixty without issue.
    for (int i = 0; i < 50; i++)
        descendants += generation(4, 1);
    descendants += generation(0, 60);
    atomic_store(&stop, 1);
    CHECK(pthread_join(thread, NULL) == 0);
    printf("descendants %d\n", descendants);
}
