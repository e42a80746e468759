// A descriptor passed in a message to a program that was executed meanwhile, as privileged helpers and
// graceful restarts do it: it is the connection that its sender opened.
// without edges: what is received is met anew
// exercises: sendmsg recvmsg fork execv
//: ...
//: connect a -> 0
//: accept l -> b
//: ...
//: sendmsg c -> 1 passed=b
//: close b -> 0
//: read a -> 9 received=from_exec
//: ...
//:t recvmsg -> 1 made=e
//:t write e -> 9 sent=from_exec socket=b
#include "harness.h"
#include <sys/uio.h>

union control {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int))];
};

int main(int argc, char **argv)
{
    union control control = {0};
    char byte = 'x', text[16];
    struct iovec data = {&byte, 1};
    struct msghdr msg = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int tcp[2], channel[2], fd;
    begin();
    if (argc > 1) {
        CHECK(recvmsg(atoi(argv[1]), &msg, 0) == 1);
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof fd);
        CHECK(write(fd, "from_exec", 9) == 9);
        return 0;
    }
    tcp_pair(tcp);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, channel) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(tcp[0]), close(tcp[1]), close(channel[0]);
        snprintf(text, sizeof text, "%d", channel[1]);
        execv("/proc/self/exe", (char *[]){argv[0], text, NULL});
        _exit(1);
    }
    control.head = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
    memcpy(CMSG_DATA(&control.head), &tcp[1], sizeof fd);
    CHECK(sendmsg(channel[0], &msg, 0) == 1);
    CHECK(close(tcp[1]) == 0);
    CHECK(read(tcp[0], text, sizeof text) == 9);
    printf("%.9s, child %d\n", text, reap(pid));
}
