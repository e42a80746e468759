// One thread sleeps in vfork while its child runs in the same memory, and the other threads go on:
// none of their calls may be lost or booked on the child.
// exercises: vfork write read _exit
//= calls write 12000
//= calls read 12000
#include "harness.h"

static void *exchange(void *unused)
{
    int fds[2];
    char byte = 'x';
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    for (int i = 0; i < 6000; i++) {
        CHECK(write(fds[0], &byte, 1) == 1);
        CHECK(read(fds[1], &byte, 1) == 1);
    }
    return unused;
}

__attribute__((noinline)) static pid_t start(void)
{
    pid_t pid = vfork();
    if (pid == 0) {
        _exit(write(1000, "x", 1) == -1 && close(1000) == -1);
    }
    return pid;
}

int main(void)
{
    pthread_t threads[2];
    int sum = 0;
    begin();
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, exchange, NULL) == 0);
    for (int i = 0; i < 50; i++)
        sum += reap(start());
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    printf("children %d\n", sum);
}
