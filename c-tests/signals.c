// A handler may interrupt anything, the recording of a call included, and make the same calls itself.
// Every one of them counts.
// exercises: write read
//= calls write 20200
//= calls read 20200
#include "harness.h"
#include <time.h>

#define HANDLED 200
#define EXCHANGES 20000

static int inner[2], outer[2];
static volatile sig_atomic_t handled, wrong;

static void handle(int number)
{
    char byte = 'h';
    int saved = errno;
    (void)number;
    if (handled >= HANDLED)
        return;
    if (write(inner[0], &byte, 1) != 1 || read(inner[1], &byte, 1) != 1 || byte != 'h')
        wrong = 1;
    handled++;
    errno = saved;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    struct itimerspec every = {{0, 100000}, {0, 100000}};
    timer_t timer;
    char byte = 'm';
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, inner) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, outer) == 0);
    // Not SIGALRM: that one ends the program when it hangs.
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    CHECK(timer_settime(timer, 0, &every, NULL) == 0);
    for (int i = 0; i < EXCHANGES; i++) {
        errno = 77;
        CHECK(write(outer[0], &byte, 1) == 1);
        CHECK(read(outer[1], &byte, 1) == 1);
        CHECK(byte == 'm' && errno == 77);
    }
    while (handled < HANDLED)
        sched_yield();
    CHECK(timer_delete(timer) == 0);
    printf("handled %d, wrong %d\n", (int)handled, (int)wrong);
}
