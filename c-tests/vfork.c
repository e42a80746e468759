// A vfork child runs in its parent's memory with descriptors of its own. Whatever it closes or copies
// is still as it was in the parent, and a wrapper that returns twice must not break the stack.
// exercises: vfork __vfork
//: socketpair -> 0 made=a,b
//: vfork symbol=vfork
//: write a -> 5 sent=after
//: read b -> 5 received=after
//: vfork symbol=__vfork
//: write a -> 5 sent=again
//: read b -> 5 received=again
//: close a -> 0
//: read b -> 0
//: close b -> 0
//= calls close 2
#include "harness.h"

extern pid_t __vfork(void) __attribute__((returns_twice));

static int fds[2];

__attribute__((noinline)) static int child_closes(int which)
{
    pid_t pid = which ? __vfork() : vfork();
    if (pid == 0) {
        if (close(fds[0]) != 0 || dup2(STDIN_FILENO, fds[1]) != fds[1])
            _exit(1);
        _exit(40 + which);
    }
    CHECK(pid > 0);
    return reap(pid);
}

int main(void)
{
    char text[8];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    printf("child %d\n", child_closes(0));
    CHECK(write(fds[0], "after", 5) == 5);
    CHECK(read(fds[1], text, sizeof text) == 5);
    printf("%.5s\n", text);
    printf("child %d\n", child_closes(1));
    CHECK(write(fds[0], "again", 5) == 5);
    CHECK(read(fds[1], text, sizeof text) == 5);
    printf("%.5s\n", text);
    CHECK(close(fds[0]) == 0);
    printf("end: %s\n", outcome(read(fds[1], text, sizeof text)));
    CHECK(close(fds[1]) == 0);
}
