// A child inherits every socket. The connection lives until both have closed it, and the child's calls
// are the child's.
// exercises: fork _exit
//: socketpair -> 0 made=a,b
//: fork -> ?
//: close b -> 0
//: read a -> 4 received=born
//: write a -> 4 sent=well
//: read a -> 0
//: close a -> 0
//:2 close a -> 0
//:2 write b -> 4 sent=born
//:2 read b -> 4 received=well
//:2 close b -> 0
//:2 _exit
//= calls fork 1
#include "harness.h"

int main(void)
{
    int fds[2];
    char text[8];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        begin();
        CHECK(close(fds[0]) == 0);
        CHECK(write(fds[1], "born", 4) == 4);
        CHECK(read(fds[1], text, sizeof text) == 4);
        CHECK(close(fds[1]) == 0);
        _exit(7);
    }
    CHECK(close(fds[1]) == 0);
    CHECK(read(fds[0], text, sizeof text) == 4);
    printf("%.4s\n", text);
    CHECK(write(fds[0], "well", 4) == 4);
    printf("end: %s\n", outcome(read(fds[0], text, sizeof text)));
    printf("child %d\n", reap(pid));
    CHECK(close(fds[0]) == 0);
}
