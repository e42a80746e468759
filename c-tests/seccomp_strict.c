// Under strict seccomp a process may read, write and leave. One more syscall, or a look at the clock,
// kills it.
// exercises: prctl read write syscall
//: socketpair -> 0 made=a,b
//: fork -> ?
//: close b -> 0
//: read a -> 8 received=confined
//: write a -> 4 sent=good
//: read a -> 4 received=good
//: read a -> 0
//: close a -> 0
//:t write b -> 8 sent=confined
//:t read b -> 4 received=good
//:t write b -> 4 sent=good
#include "harness.h"
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

int main(void)
{
    int fds[2];
    char text[16];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(20);
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0) != 0)
            _exit(SKIP);
        if (write(fds[1], "confined", 8) == 8 && read(fds[1], text, 4) == 4 && write(fds[1], text,
            4) == 4)
            syscall(SYS_exit, 6);
        syscall(SYS_exit, 1);
    }
    CHECK(close(fds[1]) == 0);
    if (read(fds[0], text, 8) != 8)
        return reap(pid) == SKIP ? SKIP : 1;
    printf("%.8s\n", text);
    CHECK(write(fds[0], "good", 4) == 4);
    CHECK(read(fds[0], text, sizeof text) == 4);
    printf("%.4s\n", text);
    printf("end: %s\n", outcome(read(fds[0], text, sizeof text)));
    printf("child %d\n", reap(pid));
    CHECK(close(fds[0]) == 0);
}
