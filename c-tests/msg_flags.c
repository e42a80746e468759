// Bytes that are peeked at are not consumed, and with MSG_TRUNC a call returns more than fits into
// the buffer: whoever copies `ret` bytes reads beyond it.
// exercises: send recv __send
//: socketpair -> 0 made=a,b
//: send a -> 10 sent=0123456789 symbol=__send
//: recv b -> 10 flag=peek
//: recv b -> 10
//: recv b -> EAGAIN
//: close a -> 0
//: close b -> 0
//: socketpair -> 0 made=c,d
//: send c -> 4 sent=abcd
//: recv d -> 2 received=ab flag=peek
//: recv d -> 4 received=abcd
//: close c -> 0
//: send d -> EPIPE
//: close d -> 0
#include "harness.h"

extern ssize_t __send(int fd, const void *bytes, size_t len, int flags);

int main(void)
{
    int fds[2];
    char text[4] = "....";
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) == 0);
    CHECK(__send(fds[0], "0123456789", 10, 0) == 10);
    printf("peek with MSG_TRUNC: %s\n", outcome(recv(fds[1], text, 2, MSG_PEEK | MSG_TRUNC)));
    printf("MSG_TRUNC: %s\n", outcome(recv(fds[1], text, 2, MSG_TRUNC)));
    printf("%.4s\n", text);
    printf("MSG_DONTWAIT: %s\n", outcome(recv(fds[1], text, 2, MSG_DONTWAIT)));
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(send(fds[0], "abcd", 4, MSG_DONTWAIT) == 4);
    CHECK(recv(fds[1], text, 2, MSG_PEEK) == 2);
    CHECK(recv(fds[1], text, 4, MSG_WAITALL) == 4);
    printf("%.4s\n", text);
    CHECK(close(fds[0]) == 0);
    printf("MSG_NOSIGNAL: %s\n", outcome(send(fds[1], "x", 1, MSG_NOSIGNAL)));
    CHECK(close(fds[1]) == 0);
}
