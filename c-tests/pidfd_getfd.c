// A descriptor can be taken out of another process; here out of our own, which needs no permission.
// without edges: what is taken from another process is met anew
// exercises: pidfd_getfd
//: socketpair -> 0 made=a,b
//: pidfd_getfd - -> c
//: write c -> 5 sent=taken socket=a
//: read b -> 5 received=taken
//: pidfd_getfd - -> EBADF
//: close c -> 0
//: close a -> 0
//: read b -> 0
//: close b -> 0
#include "harness.h"
#include <sys/syscall.h>

extern int pidfd_getfd(int pidfd, int fd, unsigned int flags);

int main(void)
{
    int fds[2];
    char text[8];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (self < 0)
        return SKIP;
    int copy = pidfd_getfd(self, fds[0], 0);
    CHECK(copy >= 0);
    CHECK(write(copy, "taken", 5) == 5);
    CHECK(read(fds[1], text, sizeof text) == 5);
    printf("%.5s\n", text);
    printf("not open there: %s\n", outcome(pidfd_getfd(self, 4711, 0)));
    CHECK(close(copy) == 0);
    CHECK(close(self) == 0);
    CHECK(close(fds[0]) == 0);
    printf("end: %s\n", outcome(read(fds[1], text, sizeof text)));
    CHECK(close(fds[1]) == 0);
}
