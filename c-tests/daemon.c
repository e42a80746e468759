// daemon forks inside libc and the parent leaves through libc's own _exit: we see one call that
// returns in a process that did not make it.
// exercises: daemon fork
//: socketpair -> 0 made=a,b
//: fork -> ?
//: close b -> 0
//: read a -> 6 received=daemon
//: read a -> 0
//: close a -> 0
//:t daemon
//:t write b -> 6 sent=daemon
#include "harness.h"

int main(void)
{
    int fds[2];
    char text[8];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(daemon(1, 1) == 0);
        alarm(20);
        CHECK(getppid() != getpid() && getsid(0) == getpid());
        CHECK(write(fds[1], "daemon", 6) == 6);
        _exit(0);
    }
    CHECK(close(fds[1]) == 0);
    printf("child %d\n", reap(pid));
    CHECK(read(fds[0], text, sizeof text) == 6);
    printf("%.6s\n", text);
    printf("end: %s\n", outcome(read(fds[0], text, sizeof text)));
    CHECK(close(fds[0]) == 0);
}
