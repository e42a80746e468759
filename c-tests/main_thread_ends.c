// The main thread leaves with pthread_exit and the program goes on without it, to be ended by another.
// exercises: socketpair write read
//: socketpair -> 0 made=a,b
//: write a -> 4 sent=last
//:t read b -> 4 received=last
//:t close b -> 0
#include "harness.h"

static int fds[2];
static pthread_t main_thread;

static void *outlive(void *unused)
{
    char text[8];
    CHECK(pthread_join(main_thread, NULL) == 0);
    CHECK(read(fds[1], text, sizeof text) == 4);
    printf("%.4s\n", text);
    CHECK(close(fds[1]) == 0);
    exit(0);
    return unused;
}

int main(void)
{
    pthread_t thread;
    begin();
    main_thread = pthread_self();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(pthread_create(&thread, NULL, outlive, NULL) == 0);
    CHECK(write(fds[0], "last", 4) == 4);
    pthread_exit(NULL);
}
