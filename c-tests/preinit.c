// .preinit_array of the program runs before the constructor of any library, ours included: the first
// call may come before we are ready.
// exercises: socketpair write read close
//: ...
//: read b -> 7 received=preinit
//: close a -> 0
//: close b -> 0
#include "harness.h"

static int fds[2];

static void first(void)
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0 || write(fds[0], "preinit", 7) != 7)
        _exit(9);
}

__attribute__((section(".preinit_array"), used)) static void (*const entry)(void) = first;

int main(void)
{
    char text[8];
    begin();
    CHECK(read(fds[1], text, sizeof text) == 7);
    printf("%.7s\n", text);
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
