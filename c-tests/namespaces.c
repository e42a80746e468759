// Containers and sandboxes move into namespaces of their own: sockets from before go on, new ones live
// in the new network, and a child in a new process namespace has a small number for its pid.
// exercises: socket bind listen connect accept fork write read
//: socketpair -> 0 made=a,b
//: ...
//:t write -> 6 sent=inside
#include "harness.h"
#include <net/if.h>
#include <sys/ioctl.h>

static void exchange(int *fds, const char *word)
{
    char text[16] = "";
    ssize_t n = (ssize_t)strlen(word);
    CHECK(write(fds[0], word, (size_t)n) == n && read(fds[1], text, sizeof text) == n);
    printf("%s\n", text);
}

static void loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0 && close(fd) == 0);
}

int main(void)
{
    int fds[2], tcp[2];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    exchange(fds, "before");
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWPID) != 0)
        return SKIP;
    exchange(fds, "after");
    printf("uid %d\n", getuid());
    loopback_up();
    tcp_pair(tcp);
    exchange(tcp, "network");
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        begin();
        printf("pid %d, parent %d\n", getpid(), getppid());
        exchange(fds, "inside");
        int own[2];
        tcp_pair(own);
        exchange(own, "own");
        exit(0);
    }
    printf("child %d\n", reap(pid));
}
