// A socket moves to another process inside a message. Its bytes go on being the same connection's,
// under another number in another process.
// without edges: what is received is met anew
// exercises: sendmsg recvmsg fork _exit
//: ...
//: connect a -> 0
//: accept l -> b
//: close l -> 0
//: socketpair -> 0 made=c,d
//: fork -> ?
//: close d -> 0
//: sendmsg c -> 1 passed=b
//: close b -> 0
//: read a -> 10 received=from_child
//: read a -> 0
//: close a -> 0
//: close c -> 0
//:2 close c -> 0
//:2 close a -> 0
//:2 close b -> 0
//:2 recvmsg d -> 1 made=e
//:2 write e -> 10 sent=from_child socket=b
//:2 close e -> 0
//:2 _exit
#include "harness.h"
#include <sys/uio.h>

union control {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int))];
};

static void pass(int through, int fd)
{
    union control control = {0};
    char byte = 'x';
    struct iovec data = {&byte, 1};
    struct msghdr msg = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
        .msg_controllen = sizeof control};
    control.head = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
        .cmsg_len = CMSG_LEN(sizeof fd)};
    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    CHECK(sendmsg(through, &msg, 0) == 1);
}

static int take(int through)
{
    union control control;
    char byte;
    int fd;
    struct iovec data = {&byte, 1};
    struct msghdr msg = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
        .msg_controllen = sizeof control};
    CHECK(recvmsg(through, &msg, 0) == 1);
    struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
    CHECK(head != NULL && head->cmsg_type == SCM_RIGHTS);
    memcpy(&fd, CMSG_DATA(head), sizeof fd);
    return fd;
}

int main(void)
{
    int tcp[2], channel[2];
    char text[16];
    begin();
    tcp_pair(tcp);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, channel) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        begin();
        CHECK(close(channel[0]) == 0);
        CHECK(close(tcp[0]) == 0);
        CHECK(close(tcp[1]) == 0);
        int fd = take(channel[1]);
        CHECK(write(fd, "from_child", 10) == 10);
        CHECK(close(fd) == 0);
        _exit(0);
    }
    CHECK(close(channel[1]) == 0);
    pass(channel[0], tcp[1]);
    CHECK(close(tcp[1]) == 0);
    CHECK(read(tcp[0], text, sizeof text) == 10);
    printf("%.10s\n", text);
    CHECK(read(tcp[0], text, sizeof text) == 0);
    printf("child %d\n", reap(pid));
    CHECK(close(tcp[0]) == 0);
    CHECK(close(channel[0]) == 0);
}
