// Who closed first is the first question about any connection that ended too early.
// exercises: read close
//: ...
//: connect a -> 0
//: accept l -> b
//: close l -> 0
//: write b -> 3 sent=bye
//: close b -> 0
//: read a -> 3 received=bye
//: read a -> 0
//: close a -> 0
#include "harness.h"

int main(void)
{
    int fds[2];
    char text[16];
    begin();
    tcp_pair(fds);
    CHECK(write(fds[1], "bye", 3) == 3);
    CHECK(close(fds[1]) == 0);
    CHECK(read(fds[0], text, sizeof text) == 3);
    printf("%.3s\n", text);
    printf("end: %s\n", outcome(read(fds[0], text, sizeof text)));
    CHECK(close(fds[0]) == 0);
}
