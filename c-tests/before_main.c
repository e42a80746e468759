// Constructors run before main, and destructors and atexit handlers after it: sockets work there too.
// exercises: socketpair write read close
//: socketpair -> 0 made=a,b
//: write a -> 5 sent=early
//: read b -> 5 received=early
//: write a -> 4 sent=late
//: read b -> 4 received=late
//: close a -> 0
//: close b -> 0
#include "harness.h"

static int fds[2];

__attribute__((constructor)) static void early(void)
{
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(write(fds[0], "early", 5) == 5);
}

__attribute__((destructor)) static void after_everything(void)
{
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
    puts("destructor");
}

static void late(void)
{
    char text[8];
    CHECK(write(fds[0], "late", 4) == 4);
    CHECK(read(fds[1], text, sizeof text) == 4);
    printf("%.4s\n", text);
}

int main(void)
{
    char text[8];
    CHECK(atexit(late) == 0);
    CHECK(read(fds[1], text, sizeof text) == 5);
    printf("%.5s\n", text);
}
