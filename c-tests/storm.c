// A timer every 50 microseconds in each of four threads, whose handler makes calls of its own in the
// middle of the recording of others: profilers do that. No call is lost, none is counted twice.
// settings: SOCKSHIM_SIZE=16M
// exercises: write read send recv
//= calls send 24000
//= calls recv 24000
//= calls write 2000
//= calls read 2000
#include "harness.h"
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

#define THREADS 4
#define EXCHANGES 6000
#define HANDLED 500

static __thread int inner[2];
static __thread volatile sig_atomic_t handled, wrong;

static void handle(int number)
{
    char byte = 'h';
    int saved = errno;
    (void)number;
    if (handled >= HANDLED || inner[1] == 0)
        return;
    if (write(inner[0], &byte, 1) != 1 || read(inner[1], &byte, 1) != 1 || byte != 'h')
        wrong = 1;
    handled++;
    errno = saved;
}

static void *run(void *unused)
{
    int outer[2];
    timer_t timer;
    char byte = 'm';
    struct itimerspec every = {{0, 50000}, {0, 50000}};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    event._sigev_un._tid = gettid();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, outer) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, inner) == 0);
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &every, NULL) == 0);
    for (int i = 0; i < EXCHANGES; i++) {
        errno = 77;
        CHECK(send(outer[0], &byte, 1, 0) == 1 && recv(outer[1], &byte, 1, 0) == 1);
        CHECK(byte == 'm' && errno == 77);
    }
    while (handled < HANDLED)
        sched_yield();
    CHECK(timer_delete(timer) == 0 && !wrong);
    return unused;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    pthread_t threads[THREADS];
    begin();
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, run, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    printf("%d handled, %d exchanges\n", THREADS * HANDLED, THREADS * EXCHANGES);
}
