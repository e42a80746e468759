// A process may be made by the kernel's clone alone, past every name of fork. The child is a process
// of its own all the same.
// exercises: syscall write _exit
//: socketpair -> 0 made=a,b
//: read a -> 5 received=clone
//: close a -> 0
//: close b -> 0
//:2 write b -> 5 sent=clone
//:2 _exit
#include "harness.h"
#include <sys/syscall.h>

int main(void)
{
    int fds[2];
    char text[8];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    CHECK(pid >= 0);
    if (pid == 0)
        _exit(write(fds[1], "clone", 5) == 5 ? 3 : 1);
    CHECK(read(fds[0], text, sizeof text) == 5);
    printf("%.5s, child %d\n", text, reap((pid_t)pid));
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
