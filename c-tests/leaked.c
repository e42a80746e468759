// Sockets that are never closed end with the process; the last words in the pipe are still there.
// exercises: socketpair
//: socketpair -> 0 made=a,b
//: write a -> 4 sent=left
//: socket -> c
#include "harness.h"

int main(void)
{
    int fds[2];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(write(fds[0], "left", 4) == 4);
    CHECK(socket(AF_INET, SOCK_DGRAM, 0) >= 0);
    puts("gone");
}
