// glibc exports second names for some calls; programs that were linked against them must not pass
// around us.
// exercises: __read __write __close
//: socketpair -> 0 made=a,b
//: write a -> 5 sent=alias symbol=__write
//: read b -> 5 received=alias symbol=__read
//: close a -> 0 symbol=__close
//: read b -> 0 symbol=__read
//: close b -> 0 symbol=__close
//: close b -> EBADF symbol=__close
#include "harness.h"

extern ssize_t __read(int fd, void *bytes, size_t len);
extern ssize_t __write(int fd, const void *bytes, size_t len);
extern int __close(int fd);

int main(void)
{
    int fds[2];
    char text[8];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(__write(fds[0], "alias", 5) == 5);
    CHECK(__read(fds[1], text, sizeof text) == 5);
    printf("%.5s\n", text);
    CHECK(__close(fds[0]) == 0);
    CHECK(__read(fds[1], text, sizeof text) == 0);
    CHECK(__close(fds[1]) == 0);
    printf("__close again: %s\n", outcome(__close(fds[1])));
}
