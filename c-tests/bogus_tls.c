// Chromium's sandbox makes children whose thread-local storage is a block of zeros. There is no errno
// there, and no state of ours.
// exercises: syscall write close
//: socketpair -> 0 made=a,b
//: ...
//: read b -> 2 received=zz
//: close a -> 0
//: close b -> 0
#include "harness.h"
#include <sys/syscall.h>

static char tls[65536] __attribute__((aligned(64))), stack[65536] __attribute__((aligned(64)));
static int fds[2];

__attribute__((noinline, optimize("no-stack-protector"))) static int child(void *unused)
{
    (void)unused;
    syscall(SYS_write, fds[0], "z", 1);
    write(fds[0], "z", 1) == 1 ? close(fds[1]) : 0;
    syscall(SYS_exit_group, 3);
    return 0;
}

int main(void)
{
    char text[4];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    pid_t pid = clone(child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_SETTLS | SIGCHLD,
        NULL, NULL, tls + sizeof tls / 2, NULL);
    CHECK(pid > 0);
    printf("child %d\n", reap(pid));
    CHECK(read(fds[1], text, sizeof text) == 2);
    printf("%.2s\n", text);
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
