// The traditional daemon forks twice, starts a session, leaves its folder and closes what it inherited.
// It is followed to where it ends up.
// exercises: fork close write _exit
//: socketpair -> 0 made=a,b
//: fork -> ?
//: close b -> 0
//: read a -> 6 received=daemon
//: read a -> 0
//: close a -> 0
//:t write b -> 6 sent=daemon
//= calls fork 2
#include "harness.h"
#include <sys/stat.h>

int main(void)
{
    int fds[2];
    char text[8];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        if (setsid() < 0)
            _exit(1);
        pid = fork();
        if (pid != 0)
            _exit(pid < 0 ? 2 : 0);
        alarm(20);
        umask(0);
        if (chdir("/") != 0)
            _exit(3);
        for (int fd = 0; fd < 64; fd++)
            if (fd != fds[1])
                close(fd);
        if (open("/dev/null", O_RDWR) != 0 || dup(0) != 1 || dup(0) != 2)
            _exit(4);
        _exit(write(fds[1], "daemon", 6) == 6 ? 0 : 5);
    }
    CHECK(close(fds[1]) == 0);
    printf("child %d\n", reap(pid));
    CHECK(read(fds[0], text, sizeof text) == 6);
    printf("%.6s\n", text);
    printf("end: %s\n", outcome(read(fds[0], text, sizeof text)));
    CHECK(close(fds[0]) == 0);
}
