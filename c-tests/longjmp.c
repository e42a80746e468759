// A handler may leave a blocking call by siglongjmp and never come back: what comes after it has to
// be recorded like what came before.
// exercises: read write
//: socketpair -> 0 made=a,b
//: read b -> ?
//: write a -> 5 sent=after
//: read b -> 5 received=after
//: read b -> ?
//: write a -> 5 sent=after
//: read b -> 5 received=after
//: close a -> 0
//: close b -> 0
#include "harness.h"
#include <setjmp.h>

static sigjmp_buf out;
static pthread_t main_thread;
static pid_t main_tid;

static void handle(int number)
{
    (void)number;
    siglongjmp(out, 1);
}

static void *interrupt(void *unused)
{
    (void)unused;
    wait_until_asleep(main_tid);
    CHECK(pthread_kill(main_thread, SIGUSR1) == 0);
    return NULL;
}

__attribute__((noinline)) static void round_trip(const int *fds)
{
    char text[8];
    static pthread_t thread;
    CHECK(pthread_create(&thread, NULL, interrupt, NULL) == 0);
    if (sigsetjmp(out, 1) == 0) {
        printf("returned %s\n", outcome(read(fds[1], text, sizeof text)));
        exit(1);
    }
    puts("jumped");
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(write(fds[0], "after", 5) == 5);
    CHECK(read(fds[1], text, sizeof text) == 5);
    printf("%.5s\n", text);
}

int main(void)
{
    int fds[2];
    struct sigaction action = {.sa_handler = handle};
    begin();
    main_thread = pthread_self();
    main_tid = getpid();
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    round_trip(fds);
    round_trip(fds);
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
