// Servers begin as root, bind, and give up their rights; what they create afterwards is another
// user's. Where nothing may be opened any more, nothing needs to be.
// exercises: socket bind listen connect accept send recv fork
//: ...
//:t send -> 6 sent=nobody
//:t recv -> 6 received=nobody
#include "harness.h"
#include <grp.h>
#include <sys/prctl.h>

int main(void)
{
    int fds[2];
    char text[8];
    struct sockaddr_in where;
    struct ucred who;
    socklen_t len = sizeof who;
    begin();
    if (getuid() != 0)
        return SKIP;
    int listener = tcp_listener(&where);
    CHECK(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
    printf("uid %d, gid %d, dumpable %d\n", getuid(), getgid(), prctl(PR_GET_DUMPABLE));
    int a = tcp_connect(&where), b = accept(listener, NULL, NULL);
    CHECK(b >= 0 && send(a, "nobody", 6, 0) == 6 && recv(b, text, sizeof text, 0) == 6);
    printf("%.6s\n", text);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(getsockopt(fds[0], SOL_SOCKET, SO_PEERCRED, &who, &len) == 0);
    printf("peer's uid %d\n", (int)who.uid);
    pid_t pid = fork();
    if (pid == 0)
        _exit(send(fds[0], "child", 5, 0) == 5 ? 0 : 1);
    CHECK(recv(fds[1], text, 5, MSG_WAITALL) == 5);
    printf("%.5s %d\n", text, reap(pid));
    struct sockaddr_in low = {.sin_family = AF_INET, .sin_port = htons(1)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    len = sizeof low;
    printf("socket of the raw kind: %s\n", outcome(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)));
    CHECK(close(fd) == 0);
}
