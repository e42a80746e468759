// Several datagrams in one call: the result counts messages, the bytes stand in each header.
// exercises: sendmmsg recvmmsg
//: socketpair -> 0 made=a,b
//: sendmmsg a -> 3
//: recvmmsg b -> 2
//: recvmmsg b -> 1
//: recvmmsg b -> EAGAIN
//: close a -> 0
//: close b -> 0
#include "harness.h"
#include <sys/uio.h>

int main(void)
{
    int fds[2];
    char text[4][8];
    struct iovec parts[3] = {{"one", 3}, {"three", 5}, {"seven77", 7}}, into[4];
    struct mmsghdr out[3] = {0}, in[4] = {0};
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) == 0);
    for (int i = 0; i < 4; i++) {
        into[i] = (struct iovec){text[i], sizeof text[i]};
        in[i].msg_hdr = (struct msghdr){.msg_iov = &into[i], .msg_iovlen = 1};
        if (i < 3)
            out[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    CHECK(sendmmsg(fds[0], out, 3, 0) == 3);
    printf("sent %u %u %u\n", out[0].msg_len, out[1].msg_len, out[2].msg_len);
    CHECK(recvmmsg(fds[1], in, 2, 0, NULL) == 2);
    printf("received %u %u\n", in[0].msg_len, in[1].msg_len);
    CHECK(recvmmsg(fds[1], in, 4, MSG_DONTWAIT, NULL) == 1);
    printf("received %.7s\n", text[0]);
    printf("nothing left: %s\n", outcome(recvmmsg(fds[1], in, 4, MSG_DONTWAIT, NULL)));
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
