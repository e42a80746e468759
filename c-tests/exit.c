// A process can leave at once, past every handler, or run only those of at_quick_exit: the exit of a
// traced process has to do exactly what it did.
// exercises: _exit _Exit quick_exit
//: fork -> ?
//: fork -> ?
//: fork -> ?
//: fork -> ?
//:2 socketpair -> 0
//:2 _exit
//:t _Exit
//:t quick_exit
#include "harness.h"

static int fd;

static void at_exit_handler(void)
{
    printf("atexit\n");
}

static void at_quick_exit_handler(void)
{
    printf("at_quick_exit, write %s\n", outcome(write(fd, "q", 1)));
}

int main(void)
{
    int fds[2];
    begin();
    CHECK(atexit(at_exit_handler) == 0);
    CHECK(at_quick_exit(at_quick_exit_handler) == 0);
    for (int how = 0; how < 4; how++) {
        pid_t pid = fork();
        if (pid == 0) {
            begin();
            CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
            fd = fds[0];
            if (how == 0)
                _exit(30);
            if (how == 1)
                _Exit(31);
            if (how == 2)
                quick_exit(32);
            exit(33);
        }
        printf("%d\n", reap(pid));
    }
}
