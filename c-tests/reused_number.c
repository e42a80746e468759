// A number that was a socket becomes a file, and a number that was a file becomes a socket: what
// passes on it is recorded only while it is one.
// exercises: close socketpair write read
//: socketpair -> 0 made=a,b
//: write a -> 4 sent=sock
//: close a -> 0
//: read b -> 4 received=sock
//: read b -> 0
//: socketpair -> 0 made=a,c
//: write a -> 5 sent=again
//: read c -> 5 received=again
//: close a -> 0
//: close b -> 0
//: close c -> 0
#include "harness.h"

int main(void)
{
    int fds[2], other[2];
    char text[8];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(write(fds[0], "sock", 4) == 4);
    CHECK(close(fds[0]) == 0);
    CHECK(read(fds[1], text, sizeof text) == 4);
    CHECK(read(fds[1], text, sizeof text) == 0);
    int file = open("/dev/null", O_RDWR);
    printf("same number: %d\n", file == fds[0]);
    CHECK(write(file, "file", 4) == 4);
    CHECK(read(file, text, 4) == 0);
    CHECK(close(file) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, other) == 0);
    printf("same number: %d\n", other[0] == fds[0]);
    CHECK(write(other[0], "again", 5) == 5);
    CHECK(read(other[1], text, sizeof text) == 5);
    printf("%.5s\n", text);
    CHECK(close(other[0]) == 0);
    CHECK(close(fds[1]) == 0);
    CHECK(close(other[1]) == 0);
}
