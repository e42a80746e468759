// A signal ends a blocking call with EINTR unless the handler asked for restart. Nobody may retry on
// the program's behalf.
// exercises: read poll
//: socketpair -> 0 made=a,b
//: read b -> EINTR
//: poll - -> EINTR
//: close a -> 0
//: close b -> 0
#include "harness.h"

static pthread_t main_thread;
static pid_t main_tid;

static void handle(int number)
{
    (void)number;
}

static void *interrupt(void *unused)
{
    (void)unused;
    wait_until_asleep(main_tid);
    CHECK(pthread_kill(main_thread, SIGUSR1) == 0);
    return NULL;
}

int main(void)
{
    int fds[2];
    char byte;
    pthread_t thread;
    struct sigaction action = {.sa_handler = handle};
    begin();
    main_thread = pthread_self();
    main_tid = getpid();
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    for (int i = 0; i < 2; i++) {
        struct pollfd wait = {.fd = fds[1], .events = POLLIN};
        CHECK(pthread_create(&thread, NULL, interrupt, NULL) == 0);
        printf("%s\n", outcome(i == 0 ? read(fds[1], &byte, 1) : poll(&wait, 1, -1)));
        CHECK(pthread_join(thread, NULL) == 0);
    }
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
