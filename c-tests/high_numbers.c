// Descriptors beyond any table of fixed size: servers with a hundred thousand connections have them.
// exercises: dup2 write read close
//: socketpair -> 0 made=a,b
//: dup2 a -> 70000
//: write - -> 4 sent=high
//: read b -> 4 received=high
//: close - -> 0
//: close a -> 0
//: read b -> 0
//: close b -> 0
#include "harness.h"
#include <sys/resource.h>

int main(void)
{
    struct rlimit many = {70100, 70100};
    int fds[2];
    char text[8];
    begin();
    if (setrlimit(RLIMIT_NOFILE, &many) != 0)
        return SKIP;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(dup2(fds[0], 70000) == 70000);
    CHECK(write(70000, "high", 4) == 4);
    CHECK(read(fds[1], text, sizeof text) == 4);
    printf("%.4s\n", text);
    CHECK(close(70000) == 0);
    CHECK(close(fds[0]) == 0);
    printf("end: %s\n", outcome(read(fds[1], text, sizeof text)));
    CHECK(close(fds[1]) == 0);
}
