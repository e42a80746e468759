// Sockets are no files: copy_file_range refuses them, in either place, and the refusal is the
// kernel's to give.
// exercises: copy_file_range
//: socketpair -> 0 made=a,b
//: write b -> 4 sent=data
//: copy_file_range - -> EINVAL
//: copy_file_range - -> EINVAL
//: read a -> 4 received=data
//: close a -> 0
//: close b -> 0
#include "harness.h"
#include <sys/mman.h>

int main(void)
{
    int fds[2];
    char text[8];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    int file = memfd_create("file", 0);
    CHECK(write(fds[1], "data", 4) == 4);
    CHECK(ftruncate(file, 100) == 0);
    printf("from a socket: %s\n", outcome(copy_file_range(fds[0], NULL, file, NULL, 4, 0)));
    printf("to a socket: %s\n", outcome(copy_file_range(file, NULL, fds[0], NULL, 4, 0)));
    CHECK(read(fds[0], text, sizeof text) == 4);
    printf("%.4s\n", text);
    CHECK(close(file) == 0);
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
