// getsockname and getpeername write as much as fits and report the whole length; the caller's array
// may be shorter than the address.
// exercises: getsockname getpeername
//: ...
//: connect a -> 0
//: accept l -> b
//: close l -> 0
//: getsockname a -> 0
//: getpeername b -> 0
//: getsockname a -> 0
//: getpeername a -> EINVAL
//: getsockname a -> EFAULT
//: close a -> 0
//: close b -> 0
#include "harness.h"

int main(void)
{
    int fds[2];
    struct sockaddr_in local, peer;
    struct sockaddr_in cut;
    socklen_t len = sizeof local;
    begin();
    tcp_pair(fds);
    CHECK(getsockname(fds[0], (struct sockaddr *)&local, &len) == 0);
    len = sizeof peer;
    CHECK(getpeername(fds[1], (struct sockaddr *)&peer, &len) == 0);
    printf("mirrored: %d\n",
        local.sin_port == peer.sin_port && local.sin_addr.s_addr == peer.sin_addr.s_addr);
    memset(&cut, 0x55, sizeof cut);
    len = 4;
    CHECK(getsockname(fds[0], (struct sockaddr *)&cut, &len) == 0);
    printf("whole length %u, rest untouched: %d\n", len, cut.sin_addr.s_addr == 0x55555555);
    len = (socklen_t)-1;
    printf("negative length: %s\n", outcome(getpeername(fds[0], (struct sockaddr *)&cut, &len)));
    len = sizeof cut;
    printf("wild pointer: %s\n", outcome(getsockname(fds[0], (struct sockaddr *)16, &len)));
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
