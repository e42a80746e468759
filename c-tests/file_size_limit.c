// Under RLIMIT_FSIZE whoever lets a file grow is killed with SIGXFSZ. A program that writes no file has
// nothing to fear, and must not because of us.
// exercises: write read _exit
//: socketpair -> 0 made=a,b
//: fork -> ?
//: close a -> 0
//: close b -> 0
//= calls write 1000
//= calls read 1000
#include "harness.h"
#include <sys/resource.h>

int main(void)
{
    struct rlimit none = {0, 0};
    int fds[2];
    char byte = 'x';
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        // In a child that prints nothing, because stdout may be a file.
        alarm(20);
        if (setrlimit(RLIMIT_FSIZE, &none) != 0)
            _exit(1);
        for (int i = 0; i < 1000; i++)
            if (write(fds[0], &byte, 1) != 1 || read(fds[1], &byte, 1) != 1)
                _exit(2);
        _exit(0);
    }
    printf("child %d\n", reap(pid));
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
