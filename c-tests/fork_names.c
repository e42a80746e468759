// fork has three names, and one of them, _Fork, runs no atfork handlers: a shim that relies on those
// takes the child for its parent.
// exercises: fork __fork _Fork
//: socketpair -> 0 made=a,b
//: fork -> ? symbol=fork
//: read a -> 1 received=0
//: fork -> ? symbol=__fork
//: read a -> 1 received=1
//: fork -> ? symbol=_Fork
//: read a -> 1 received=2
//: close a -> 0
//: close b -> 0
//:2 write b -> 1 sent=0
//:2 _exit
//= calls fork 3
//= calls write 3
#include "harness.h"

extern pid_t __fork(void);

int main(void)
{
    int fds[2];
    char byte;
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    for (int i = 0; i < 3; i++) {
        pid_t pid = i == 0 ? fork() : i == 1 ? __fork() : _Fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(20);
            _exit(write(fds[1], &"012"[i], 1) == 1 ? 10 + i : 1);
        }
        CHECK(read(fds[0], &byte, 1) == 1);
        printf("%c, child %d\n", byte, reap(pid));
    }
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
