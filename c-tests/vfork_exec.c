// vfork and exec, the way shells and runtimes start programs: the parent sleeps until the exec, and
// its sockets are untouched by the child's redirections.
// exercises: vfork execv
//: socketpair -> 0 made=a,b
//: vfork
//: ...
//: close b -> 0
//: read a -> 5 received=words
//: read a -> 0
//: close a -> 0
//= calls read 2
#include "harness.h"

static int fds[2];

__attribute__((noinline)) static pid_t start(char *const *arguments)
{
    pid_t pid = vfork();
    if (pid == 0) {
        close(fds[0]);
        dup2(fds[1], STDOUT_FILENO);
        close(fds[1]);
        execv(arguments[0], arguments);
        _exit(127);
    }
    return pid;
}

int main(void)
{
    char text[8];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    pid_t pid = start((char *[]){"/bin/echo", "-n", "words", NULL});
    CHECK(pid > 0);
    CHECK(close(fds[1]) == 0);
    CHECK(read(fds[0], text, sizeof text) == 5);
    printf("%.5s\n", text);
    CHECK(read(fds[0], text, sizeof text) == 0);
    printf("child %d\n", reap(pid));
    CHECK(close(fds[0]) == 0);
}
