// ioctl asks how much can be read, and switches to non-blocking without fcntl.
// exercises: ioctl
//: socketpair -> 0 made=a,b
//: write a -> 7 sent=waiting
//: ioctl b -> 0
//: ioctl b -> 0
//: read b -> 7 received=waiting
//: read b -> EAGAIN
//: ioctl b -> ENOTTY
//: close a -> 0
//: close b -> 0
#include "harness.h"
#include <sys/ioctl.h>

int main(void)
{
    int fds[2], n = -1, on = 1;
    char text[16];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(write(fds[0], "waiting", 7) == 7);
    CHECK(ioctl(fds[1], FIONREAD, &n) == 0);
    printf("FIONREAD %d\n", n);
    CHECK(ioctl(fds[1], FIONBIO, &on) == 0);
    CHECK(read(fds[1], text, sizeof text) == 7);
    printf("read: %s\n", outcome(read(fds[1], text, sizeof text)));
    printf("TCGETS: %s\n", outcome(ioctl(fds[1], 0x5401, text)));
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
