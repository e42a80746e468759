// A daemon without standard error opens a socket, and the socket becomes descriptor 2: a log line
// there would be sent to the peer.
// log: none
// exercises: close socketpair write
//: socketpair -> 0 made=a,b
//: write a -> 4 sent=mine
//: recv b -> 4
//: recv b -> EAGAIN
#include "harness.h"

int main(void)
{
    int fds[2];
    char text[64];
    begin();
    CHECK(close(STDERR_FILENO) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    printf("numbers %d %d\n", fds[0], fds[1]);
    CHECK(write(fds[0], "mine", 4) == 4);
    printf("%s\n", outcome(recv(fds[1], text, sizeof text, MSG_DONTWAIT)));
    printf("%s\n", outcome(recv(fds[1], text, sizeof text, MSG_DONTWAIT)));
}
