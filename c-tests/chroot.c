// Servers lock themselves into an empty folder and give up their rights: nothing of ours may need a
// path, or a permission, after the start.
// exercises: socketpair write read fork _exit
//: socketpair -> 0 made=a,b
//: fork -> ?
//: close b -> 0
//: read a -> 6 received=inside
//: close a -> 0
//:t write b -> 6 sent=inside
//= calls write 501
#include "harness.h"

int main(void)
{
    int fds[2], own[2];
    char text[8], folder[] = "/tmp/sockshim-XXXXXX";
    begin();
    if (getuid() != 0)
        return SKIP;
    CHECK(mkdtemp(folder) != NULL);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(20);
        if (chroot(folder) != 0 || chdir("/") != 0 || setgid(65534) != 0 || setuid(65534) != 0)
            _exit(1);
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, own) != 0)
            _exit(2);
        for (int i = 0; i < 500; i++)
            if (write(own[0], "x", 1) != 1 || read(own[1], text, 1) != 1)
                _exit(3);
        _exit(write(fds[1], "inside", 6) == 6 ? 0 : 4);
    }
    CHECK(close(fds[1]) == 0);
    CHECK(read(fds[0], text, sizeof text) == 6);
    printf("%.6s, child %d\n", text, reap(pid));
    CHECK(close(fds[0]) == 0);
    CHECK(rmdir(folder) == 0);
}
