// Destructors of thread-specific data run when a thread is nearly gone, in several rounds, and may
// make calls until the last of them.
// exercises: write close
//: socketpair -> 0 made=a,b
//: recv b -> 3 received=ddd
//: close b -> 0
//:t close a -> 0
//= calls write 3
#include "harness.h"

static int fds[2], rounds;
static pthread_key_t key;

static void destroy(void *value)
{
    CHECK(write(fds[0], "d", 1) == 1);
    if (++rounds < 3)
        CHECK(pthread_setspecific(key, value) == 0);
    else
        CHECK(close(fds[0]) == 0);
}

static void *live(void *value)
{
    CHECK(pthread_setspecific(key, value) == 0);
    return NULL;
}

int main(void)
{
    pthread_t thread;
    char text[8];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(pthread_key_create(&key, destroy) == 0);
    CHECK(pthread_create(&thread, NULL, live, text) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(recv(fds[1], text, 3, MSG_WAITALL) == 3);
    printf("%.3s, rounds %d\n", text, rounds);
    CHECK(close(fds[1]) == 0);
}
