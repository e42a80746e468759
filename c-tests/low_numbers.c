// A socket may well be descriptor 0, 1 or 2, as under inetd; a log that goes to "2" would then end up
// in the connection.
// exercises: dup2 write read
//: socketpair -> 0 made=a,b
//: dup2 a -> 0
//: dup2 a -> 2
//: close a -> 0
//: write - -> 3 sent=one
//: write - -> 3 sent=two
//: shutdown - -> 0
//: recv b -> 6 received=onetwo
//: read b -> 0
//: close b -> 0
#include "harness.h"

int main(void)
{
    int fds[2];
    char text[16];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(dup2(fds[0], STDIN_FILENO) == 0);
    CHECK(dup2(fds[0], STDERR_FILENO) == 2);
    CHECK(close(fds[0]) == 0);
    CHECK(write(STDIN_FILENO, "one", 3) == 3);
    CHECK(write(STDERR_FILENO, "two", 3) == 3);
    CHECK(shutdown(STDIN_FILENO, SHUT_WR) == 0);
    CHECK(recv(fds[1], text, 6, MSG_WAITALL) == 6);
    printf("%.6s\n", text);
    printf("end: %s\n", outcome(read(fds[1], text, sizeof text)));
    CHECK(close(fds[1]) == 0);
}
