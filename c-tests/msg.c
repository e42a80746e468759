// sendmsg and recvmsg carry address, buffers and control data at once; the kernel writes lengths and
// flags back into the caller's struct.
// exercises: sendmsg recvmsg
//: socket -> a
//: bind a -> 0
//: getsockname a -> 0
//: socket -> b
//: sendmsg b -> 9 sent=two_parts
//: recvmsg a -> 9 received=two_parts
//: sendmsg b -> 9 sent=two_parts
//: recvmsg a -> 4 received=two_
//: sendmsg b -> EDESTADDRREQ
//: close b -> 0
//: close a -> 0
#include "harness.h"
#include <sys/uio.h>

int main(void)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, from;
    socklen_t len = sizeof where;
    char text[16];
    begin();
    int a = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(bind(a, (struct sockaddr *)&where, sizeof where) == 0);
    CHECK(getsockname(a, (struct sockaddr *)&where, &len) == 0);
    int b = socket(AF_INET, SOCK_DGRAM, 0);

    struct iovec parts[2] = {{"two_", 4}, {"parts", 5}}, into = {text, sizeof text};
    struct msghdr out = {.msg_name = &where, .msg_namelen = len, .msg_iov = parts, .msg_iovlen = 2};
    struct msghdr in = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &into,
        .msg_iovlen = 1};
    CHECK(sendmsg(b, &out, 0) == 9);
    CHECK(recvmsg(a, &in, 0) == 9);
    printf("%.9s, name %u bytes, control %zu, flags %#x\n", text, in.msg_namelen, in.msg_controllen,
        in.msg_flags);

    CHECK(sendmsg(b, &out, 0) == 9);
    into.iov_len = 4;
    in.msg_namelen = 0;
    CHECK(recvmsg(a, &in, 0) == 4);
    printf("cut off: %d\n", (in.msg_flags & MSG_TRUNC) != 0);

    out.msg_name = NULL;
    out.msg_namelen = 0;
    printf("without an address: %s\n", outcome(sendmsg(b, &out, 0)));
    CHECK(close(b) == 0);
    CHECK(close(a) == 0);
}
