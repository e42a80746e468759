// Servers with a thread per request: 1,000 threads live for one call each, and cost the recording
// little more than that.
// exercises: write
//: socketpair -> 0 made=a,b
//: ...
//: close a -> 0
//: close b -> 0
//= calls write 1000
//= calls read 1000
#include "harness.h"

static int fds[2];

static void *one_call(void *unused)
{
    (void)unused;
    CHECK(write(fds[0], "x", 1) == 1);
    return NULL;
}

int main(void)
{
    char byte;
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    for (int i = 0; i < 1000; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, one_call, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(read(fds[1], &byte, 1) == 1);
    }
    puts("1,000 threads");
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
