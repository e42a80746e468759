// A limit on address space hits whoever maps a lot inside the program: that should not be us.
// exercises: write read
//: socketpair -> 0 made=a,b
//: ...
//: close a -> 0
//: close b -> 0
//= calls write 2000
//= calls read 2000
#include "harness.h"
#include <sys/resource.h>

int main(void)
{
    struct rlimit some = {256 << 20, 256 << 20};
    int fds[2];
    char byte = 'x';
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(setrlimit(RLIMIT_AS, &some) == 0);
    CHECK(setrlimit(RLIMIT_DATA, &some) == 0);
    for (int i = 0; i < 2000; i++) {
        CHECK(write(fds[0], &byte, 1) == 1);
        CHECK(read(fds[1], &byte, 1) == 1);
    }
    puts("done");
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
