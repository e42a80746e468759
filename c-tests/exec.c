// Nine ways to become another program; the variadic ones must pass on every argument, however many.
// exercises: execve execv execvp execvpe execl execlp execle execveat fexecve
//: ...
//: execve -> ENOENT path=/nonexistent/program
//: execve -> EACCES path=/
//: execvp -> ENOENT path=sockshim-no-such-program
//:t execve path=/bin/echo
//:t execv path=/bin/echo
//:t execvp path=echo
//:t execvpe path=echo
//:t execl path=/bin/echo
//:t execlp path=echo
//:t execle path=/bin/echo
//:t execveat
//:t fexecve
#include "harness.h"

static int run(int how)
{
    char *arguments[] = {"echo", "vector", NULL};
    const char *path = "/bin/echo";
    pid_t pid = fork();
    if (pid != 0)
        return reap(pid);
    switch (how) {
    case 0: execve(path, arguments, environ); break;
    case 1: execv(path, arguments); break;
    case 2: execvp("echo", arguments); break;
    case 3: execvpe("echo", arguments, environ); break;
    case 4: execl(path, "echo", "1", "2", "3", "4", "5", "6", "7", "8", "9", (char *)NULL); break;
    case 5: execlp("echo", "echo", "a", "b", "c", "d", "e", "f", "g", (char *)NULL); break;
    case 6: execle(path, "echo", "one", "two", "three", "four", "five", "six", (char *)NULL,
        environ); break;
    case 7: execveat(AT_FDCWD, path, arguments, environ, 0); break;
    case 8: fexecve(open(path, O_RDONLY | O_CLOEXEC), arguments, environ); break;
    }
    _exit(127);
}

int main(void)
{
    begin();
    for (int how = 0; how < 9; how++)
        printf("%d: status %d\n", how, run(how));
    char *arguments[] = {"x", NULL};
    printf("missing: %s\n", outcome(execve("/nonexistent/program", arguments, environ)));
    printf("a folder: %s\n", outcome(execve("/", arguments, environ)));
    printf("missing: %s\n", outcome(execvp("sockshim-no-such-program", arguments)));
}
