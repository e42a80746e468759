// system blocks signals, waits and gives the status of a shell; with NULL it only asks for one.
// exercises: system
//: system -> 1280 path="exit 5"
//: system -> 1
//: socketpair -> 0 made=a,b
//: system -> 0 path=:
//: write a -> 1
//: read b -> 1
//: close a -> 0
//: close b -> 0
#include "harness.h"

int main(void)
{
    int fds[2];
    char byte;
    begin();
    printf("status %d\n", WEXITSTATUS(system("exit 5")));
    printf("is there a shell: %d\n", system(NULL));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(system(":") == 0);
    CHECK(write(fds[0], "x", 1) == 1);
    CHECK(read(fds[1], &byte, 1) == 1);
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
