// Shells and language runtimes arrange their child's descriptors between vfork and exec: they close,
// copy and redirect, in their parent's own memory. What the parent has open is open as before, and is
// still known as the same socket.
// exercises: vfork close dup dup2 dup3 fcntl close_range socket execv _exit
//: socketpair -> 0 made=a,b
//: vfork
//: ...
//: write a -> 5 sent=after socket=a
//: read b -> 5 received=after socket=b
//: close a -> 0
//: close b -> 0
#include "harness.h"

static int fds[2];

static void arrange(int how)
{
    switch (how) {
    case 0: close(fds[0]), close(fds[1]); break;
    case 1: dup2(fds[0], 0), dup2(fds[1], fds[0]); break;
    case 2: dup3(fds[0], 50, O_CLOEXEC), close(fds[0]), dup(50); break;
    case 3: fcntl(fds[0], F_DUPFD, 60), fcntl(fds[1], F_SETFD, FD_CLOEXEC); break;
    case 4: close_range(3, 1000, 0); break;
    case 5: close(fds[0]), dup2(socket(AF_INET, SOCK_DGRAM, 0), fds[1]); break;
    case 6: close_range(3, 1000, CLOSE_RANGE_UNSHARE); break;
    case 7: dup2(STDIN_FILENO, fds[0]), dup2(STDIN_FILENO, fds[1]); break;
    }
}

__attribute__((noinline)) static pid_t start(int how, char *const *program)
{
    pid_t pid = vfork();
    if (pid == 0) {
        arrange(how);
        execv(program[0], program);
        _exit(99);
    }
    return pid;
}

int main(void)
{
    static char *const good[] = {"/bin/true", NULL}, *const missing[] = {"/no/such/program", NULL};
    char text[8];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    for (int how = 0; how < 8; how++) {
        printf("%d: %d", how, reap(start(how, good)));
        printf(" %d\n", reap(start(how, missing)));
    }
    CHECK(write(fds[0], "after", 5) == 5);
    CHECK(read(fds[1], text, sizeof text) == 5);
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
