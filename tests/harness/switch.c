// Threads use sockets, print lines of it, and take signals, while the memory that is recorded in is replaced.

#include <sockshim.h>
#include <sockshim/harness.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 6, ROUNDS = 300 };

static atomic_int begun, wrong;

static void on_signal(int signal) {
    int pair[2];
    (void)signal;
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0) close(pair[0]), close(pair[1]);
}

static void *uses(void *argument) {
    atomic_fetch_add(&begun, 1);
    for (int round = 0; round < ROUNDS; round++) {
        int pair[2];
        char text[4];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) atomic_fetch_add(&wrong, 1);
        if (write(pair[0], "ping", 4) != 4 || read(pair[1], text, 4) != 4) atomic_fetch_add(&wrong, 1);
        if (close(pair[0]) != 0 || close(pair[1]) != 0) atomic_fetch_add(&wrong, 1);
    }
    return argument;
}

int main(void) {
    pthread_t threads[THREADS];
    struct itimerval often = {{0, 300}, {0, 300}};
    char why[4096] = "";
    signal(SIGALRM, on_signal);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, uses, NULL);
    while (atomic_load(&begun) < THREADS) {}
    if (sockshim_record(32 << 20) != 0) return 1;
    if (sockshim_test_begin("switched") != 0) return 2;
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
    // From here on everything is there, in children too.
    if (sockshim_test_begin("after") != 0) return 3;
    pid_t child = fork();
    if (child == 0) {
        uses(NULL);
        _exit(sockshim_connections(NULL, NULL, NULL) == 2 * ROUNDS ? 0 : 4);
    }
    int status = -1, there = 0;
    waitpid(child, &status, 0);
    uses(NULL);
    there = sockshim_connections(NULL, NULL, NULL);
    int verdict = sockshim_expect(NULL, "no-leaks", why, sizeof why);
    printf("%d wrong, child %d, %d connections, verdict %d %s", atomic_load(&wrong), status, there, verdict, why);
    return 0;
}
