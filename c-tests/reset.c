// SO_LINGER of 0 turns close into a reset: the peer sees ECONNRESET, not the end of the stream.
// exercises: setsockopt close read
//: ...
//: connect a -> 0
//: accept l -> b
//: close l -> 0
//: setsockopt a -> 0
//: close a -> 0
//: read b -> ECONNRESET
//: read b -> 0
//: write b -> EPIPE
//: close b -> 0
#include "harness.h"

int main(void)
{
    int fds[2];
    char byte;
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    begin();
    signal(SIGPIPE, SIG_IGN);
    tcp_pair(fds);
    CHECK(setsockopt(fds[0], SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
    CHECK(close(fds[0]) == 0);
    printf("read: %s\n", outcome(read(fds[1], &byte, 1)));
    printf("read again: %s\n", outcome(read(fds[1], &byte, 1)));
    printf("write: %s\n", outcome(write(fds[1], "x", 1)));
    CHECK(close(fds[1]) == 0);
}
