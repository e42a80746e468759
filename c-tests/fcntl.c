// fcntl copies descriptors and changes flags; its third argument may be absent, an int or a pointer.
// exercises: fcntl __fcntl fcntl64
//: socketpair -> 0 made=a,b
//: fcntl a -> 60 symbol=fcntl
//: fcntl a -> 61 symbol=__fcntl
//: fcntl a -> 62 symbol=fcntl64
//: fcntl a
//: fcntl a -> 0
//: fcntl a
//: read a -> EAGAIN
//: fcntl a -> 0
//: fcntl a
//: fcntl a -> EINVAL
//: close - -> 0
//: close - -> 0
//: close a -> 0
//: write - -> 1 sent=x socket=a
//: read b -> 1 received=x
//: close - -> 0
//: close b -> 0
#include "harness.h"

extern int __fcntl(int fd, int command, ...);
extern int fcntl64(int fd, int command, ...);

int main(void)
{
    int fds[2];
    char byte;
    struct f_owner_ex owner = {0, 0};
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(fcntl(fds[0], F_DUPFD, 60) == 60);
    CHECK(__fcntl(fds[0], F_DUPFD_CLOEXEC, 60) == 61);
    CHECK(fcntl64(fds[0], F_DUPFD, 60) == 62);
    int flags = fcntl(fds[0], F_GETFL);
    CHECK(fcntl(fds[0], F_SETFL, flags | O_NONBLOCK) == 0);
    printf("non-blocking %d\n", (__fcntl(fds[0], F_GETFL) & O_NONBLOCK) != 0);
    printf("read: %s\n", outcome(read(fds[0], &byte, 1)));
    CHECK(fcntl(fds[0], F_SETOWN_EX, &(struct f_owner_ex){F_OWNER_PID, getpid()}) == 0);
    CHECK(fcntl64(fds[0], F_GETOWN_EX, &owner) == 0);
    printf("owner is this process: %d\n", owner.pid == getpid());
    printf("unknown command: %s\n", outcome(fcntl(fds[0], 4711)));
    CHECK(close(60) == 0);
    CHECK(close(61) == 0);
    CHECK(close(fds[0]) == 0);
    CHECK(write(62, "x", 1) == 1);
    CHECK(read(fds[1], &byte, 1) == 1);
    CHECK(close(62) == 0);
    CHECK(close(fds[1]) == 0);
}
