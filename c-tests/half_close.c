// shutdown(SHUT_WR) ends one direction only: the other side reads the end, and still answers.
// exercises: shutdown
//: ...
//: connect a -> 0
//: accept l -> b
//: close l -> 0
//: write a -> 7 sent=request
//: shutdown a -> 0
//: read b -> 7 received=request
//: read b -> 0
//: write b -> 6 sent=answer
//: close b -> 0
//: read a -> 6 received=answer
//: read a -> 0
//: write a -> EPIPE
//: shutdown a
//: close a -> 0
#include "harness.h"

int main(void)
{
    int fds[2];
    char text[16];
    begin();
    signal(SIGPIPE, SIG_IGN);
    tcp_pair(fds);
    CHECK(write(fds[0], "request", 7) == 7);
    CHECK(shutdown(fds[0], SHUT_WR) == 0);
    CHECK(read(fds[1], text, sizeof text) == 7);
    CHECK(read(fds[1], text, sizeof text) == 0);
    CHECK(write(fds[1], "answer", 6) == 6);
    CHECK(close(fds[1]) == 0);
    CHECK(read(fds[0], text, sizeof text) == 6);
    printf("%.6s\n", text);
    CHECK(read(fds[0], text, sizeof text) == 0);
    printf("write after SHUT_WR: %s\n", outcome(write(fds[0], "x", 1)));
    printf("shutdown with nobody there: %s\n", outcome(shutdown(fds[0], SHUT_RDWR)));
    CHECK(close(fds[0]) == 0);
}
