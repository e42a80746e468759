// A number is somebody else's as soon as the kernel has closed it, while `close` has not yet returned;
// and a program that closes twice closes what another thread has opened meanwhile. Whose bytes they are
// must be right even then: each thread's calls are on the socket that it made itself.
// settings: SOCKSHIM_SIZE=16M
// exercises: socketpair close write read
//= own sockets
//= calls write 6000
#include "harness.h"
#include <stdatomic.h>

#define THREADS 3
#define ROUNDS 2000

static void *race(void *unused)
{
    char byte = 'x';
    for (int i = 0; i < ROUNDS; i++) {
        int fds[2];
        // The lowest free numbers: very likely those that another thread is just closing.
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
        CHECK(write(fds[0], &byte, 1) == 1 && read(fds[1], &byte, 1) == 1);
        CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
    }
    return unused;
}

static void *open_another(void *fds)
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS], other;
    int first[2], second[2];
    begin();
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, race, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    // The mistake, in slow motion.
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, first) == 0 && close(first[0]) == 0);
    CHECK(pthread_create(&other, NULL, open_another, second) == 0 && pthread_join(other, NULL) == 0);
    printf("the same number: %d\n", second[0] == first[0]);
    printf("closed twice: %s\n", outcome(close(first[0])));
    char byte;
    printf("its peer reads: %s\n", outcome(read(second[1], &byte, 1)));
    printf("the owner closes: %s\n", outcome(close(second[0])));
    CHECK(close(first[1]) == 0 && close(second[1]) == 0);
}
