// File servers send without ever holding the bytes: the shim cannot see them, but must count them.
// exercises: sendfile sendfile64
//: socketpair -> 0 made=a,b
//: sendfile a -> 5 symbol=sendfile
//: sendfile a -> 4 symbol=sendfile64
//: read b -> 9 received=file_body
//: sendfile a -> 0
//: sendfile a -> EBADF
//: sendfile - -> EINVAL
//: close a -> 0
//: close b -> 0
#include "harness.h"
#include <sys/mman.h>
#include <sys/sendfile.h>

int main(void)
{
    int fds[2];
    char text[16];
    off_t offset = 0;
    off64_t offset64 = 5;
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    int file = memfd_create("body", 0);
    CHECK(write(file, "file_body", 9) == 9);
    CHECK(sendfile(fds[0], file, &offset, 5) == 5);
    CHECK(sendfile64(fds[0], file, &offset64, 100) == 4);
    printf("offsets %ld %ld\n", (long)offset, (long)offset64);
    CHECK(read(fds[1], text, sizeof text) == 9);
    printf("%.9s\n", text);
    printf("at the end: %s\n", outcome(sendfile(fds[0], file, &offset64, 100)));
    printf("no input: %s\n", outcome(sendfile(fds[0], -1, NULL, 100)));
    printf("from a socket: %s\n", outcome(sendfile(file, fds[1], NULL, 1)));
    CHECK(close(file) == 0);
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
