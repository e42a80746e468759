// A process with busy threads forks: only the forking thread exists in the child, whatever state the
// others were in.
// exercises: fork
//= calls fork 40
#include "harness.h"
#include <stdatomic.h>

static atomic_int stop;

static void *chatter(void *unused)
{
    int fds[2];
    char byte;
    (void)unused;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    while (!atomic_load(&stop)) {
        CHECK(write(fds[0], "x", 1) == 1);
        CHECK(read(fds[1], &byte, 1) == 1);
    }
    CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
    return NULL;
}

int main(void)
{
    pthread_t threads[3];
    int sum = 0;
    begin();
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, chatter, NULL) == 0);
    for (int i = 0; i < 40; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            int fds[2];
            char byte;
            alarm(20);
            CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
            CHECK(write(fds[0], "x", 1) == 1);
            CHECK(read(fds[1], &byte, 1) == 1);
            _exit(1);
        }
        sum += reap(pid);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    printf("children %d\n", sum);
}
