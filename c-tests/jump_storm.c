// A handler may jump away at any instruction of a call, of its recording too, again and again:
// runtimes of languages with timeouts do. What was under way is lost to the program, and nothing
// after it.
// gaps: a jump may leave a call before it is on record, and before it is made
// exercises: write read
//: socketpair -> 0 made=a,b
//: ...
//: write a -> 5 sent=final
//: read b -> 5 received=final
//: close a -> 0
//: close b -> 0
#include "harness.h"
#include <setjmp.h>
#include <time.h>

#define JUMPS 2000

static sigjmp_buf out;
static volatile sig_atomic_t jumps, armed;

static void handle(int number)
{
    (void)number;
    if (!armed)
        return;
    // Once for each time that it is armed: the next signal may be on its way.
    armed = 0;
    jumps++;
    siglongjmp(out, 1);
}

int main(void)
{
    int fds[2];
    struct sigaction action = {.sa_handler = handle};
    struct itimerspec every = {{0, 50000}, {0, 50000}};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    timer_t timer;
    char text[8];
    begin();
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &every, NULL) == 0);
    // Only calls stand between the two stores: they are all that a jump can leave.
    sigsetjmp(out, 1);
    if (jumps < JUMPS) {
        armed = 1;
        for (;;) {
            write(fds[0], "x", 1);
            read(fds[1], text, 1);
        }
    }
    CHECK(timer_delete(timer) == 0);
    while (read(fds[1], text, sizeof text) > 0)
        ;
    CHECK(write(fds[0], "final", 5) == 5 && read(fds[1], text, sizeof text) == 5);
    printf("%.5s, %d jumps\n", text, (int)jumps);
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
