// forkpty forks inside libc and gives the child a terminal: how terminal programs and sshd make their
// shells.
// exercises: forkpty _exit
//: socketpair -> 0 made=a,b
//: forkpty -> ?
//: close b -> 0
//: read a -> 3 received=tty
//: close a -> 0
//:2 write b -> 3 sent=tty
//:2 _exit
#include "harness.h"
#include <pty.h>

int main(void)
{
    int fds[2], terminal;
    char text[8];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    pid_t pid = forkpty(&terminal, NULL, NULL, NULL);
    if (pid < 0)
        return SKIP;
    if (pid == 0) {
        alarm(20);
        _exit(write(fds[1], isatty(0) && isatty(1) && isatty(2) ? "tty" : "no!", 3) == 3 ? 4 : 1);
    }
    CHECK(close(fds[1]) == 0);
    CHECK(read(fds[0], text, sizeof text) == 3);
    printf("%.3s, child %d\n", text, reap(pid));
    CHECK(close(fds[0]) == 0);
    CHECK(close(terminal) == 0);
}
