// One call makes two sockets that are connected from birth: the shortest pipe there is.
// exercises: socketpair send recv close
//: socketpair -> 0 made=a,b
//: send a -> 6 sent=stream
//: recv b -> 6 received=stream
//: close a -> 0
//: close b -> 0
//: socketpair -> 0 made=c,d
//: send c -> 3 sent=one
//: send c -> 3 sent=two
//: recv d -> 3 received=one
//: recv d -> 3 received=two
//: close c -> 0
//: recv d -> 0
//: close d -> 0
//: socketpair -> EOPNOTSUPP
//: socketpair -> EAFNOSUPPORT
#include "harness.h"

int main(void)
{
    int fds[2] = {-7, -7};
    char text[16];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(send(fds[0], "stream", 6, 0) == 6);
    CHECK(recv(fds[1], text, sizeof text, 0) == 6);
    printf("%.6s\n", text);
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(send(fds[0], "one", 3, 0) == 3);
    CHECK(send(fds[0], "two", 3, 0) == 3);
    CHECK(recv(fds[1], text, sizeof text, 0) == 3);
    CHECK(recv(fds[1], text + 3, sizeof text - 3, 0) == 3);
    printf("%.6s\n", text);
    CHECK(close(fds[0]) == 0);
    CHECK(recv(fds[1], text, sizeof text, 0) == 0);
    CHECK(close(fds[1]) == 0);

    fds[0] = fds[1] = -7;
    printf("AF_INET: %s\n", outcome(socketpair(AF_INET, SOCK_STREAM, 0, fds)));
    printf("family 4711: %s\n", outcome(socketpair(4711, SOCK_STREAM, 0, fds)));
    printf("left in the array: %d %d\n", fds[0], fds[1]);
}
