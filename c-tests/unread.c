// A program that closes while bytes wait to be read loses them, and its peer gets a reset.
// exercises: close
//: ...
//: connect a -> 0
//: accept l -> b
//: close l -> 0
//: write a -> 9 sent=never_see
//: poll - -> 1
//: close b -> 0
//: read a -> ECONNRESET
//: close a -> 0
#include "harness.h"

int main(void)
{
    int fds[2];
    char byte;
    begin();
    tcp_pair(fds);
    CHECK(write(fds[0], "never_see", 9) == 9);
    struct pollfd wait = {.fd = fds[1], .events = POLLIN};
    CHECK(poll(&wait, 1, -1) == 1);
    CHECK(close(fds[1]) == 0);
    printf("read: %s\n", outcome(read(fds[0], &byte, 1)));
    CHECK(close(fds[0]) == 0);
}
