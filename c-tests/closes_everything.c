// Daemons close every number they might have, one by one, and go on. A tool that kept a descriptor
// would be cut off, or write into the next socket.
// exercises: close socketpair
//: socketpair -> 0 made=a,b
//: write a -> 6 sent=before
//: ...
//: close a -> 0
//: ...
//: close b -> 0
//: ...
//: socketpair -> 0 made=c,d
//: write c -> 5 sent=after
//: read d -> 5 received=after
//: socket -> e
//: ...
//: close e -> 0
#include "harness.h"

int main(void)
{
    int fds[2], open = 0, others = 0;
    char text[8];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(write(fds[0], "before", 6) == 6);
    for (int fd = 3; fd <= 255; fd++) {
        int ret = close(fd);
        open += ret == 0;
        others += ret != 0 && errno != EBADF;
    }
    printf("closed %d, other errors %d\n", open, others);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    printf("numbers %d %d\n", fds[0], fds[1]);
    CHECK(write(fds[0], "after", 5) == 5);
    CHECK(read(fds[1], text, sizeof text) == 5);
    printf("%.5s\n", text);
    struct sockaddr_in where;
    int listener = tcp_listener(&where);
    printf("listener %d\n", listener);
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
    CHECK(close(listener) == 0);
}
