// On TCP, MSG_TRUNC throws bytes away and never touches the buffer, which may then be anything: what is
// in it was not received.
// exercises: recv recvmsg
//= bytes sent 12
#include "harness.h"

int main(void)
{
    begin();
    int fds[2];
    tcp_pair(fds);
    CHECK(send(fds[0], "abcdefghijkl", 12, 0) == 12);
    CHECK(recv(fds[1], (void *)8, 4, MSG_TRUNC | MSG_WAITALL) == 4);
    struct iovec nowhere = { .iov_base = NULL, .iov_len = 4 };
    struct msghdr message = { .msg_iov = &nowhere, .msg_iovlen = 1 };
    CHECK(recvmsg(fds[1], &message, MSG_TRUNC) == 4);
    char mine[] = "mine";
    CHECK(recv(fds[1], mine, 4, MSG_TRUNC) == 4);
    printf("%s\n", mine);
}
