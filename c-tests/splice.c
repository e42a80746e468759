// Proxies move bytes between sockets through a pipe, in the kernel: two descriptors per call, and
// either of them may be the socket.
// exercises: splice tee vmsplice
//: socketpair -> 0 made=a,b
//: splice - -> 7
//: read b -> 7 received=spliced
//: write b -> 4 sent=back
//: splice - -> 4
//: ...
//: tee - -> EINVAL
//: vmsplice a -> EBADF
//: close a -> 0
//: close b -> 0
#include "harness.h"
#include <sys/uio.h>

int main(void)
{
    int fds[2], one[2], two[2];
    char text[16];
    struct iovec bytes = {"spliced", 7};
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(pipe(one) == 0 && pipe(two) == 0);

    CHECK(vmsplice(one[1], &bytes, 1, 0) == 7);
    CHECK(tee(one[0], two[1], 100, 0) == 7);
    CHECK(splice(one[0], NULL, fds[0], NULL, 100, 0) == 7);
    CHECK(read(fds[1], text, sizeof text) == 7);
    printf("pipe to socket: %.7s\n", text);

    CHECK(write(fds[1], "back", 4) == 4);
    CHECK(splice(fds[0], NULL, one[1], NULL, 100, 0) == 4);
    CHECK(read(one[0], text, sizeof text) == 4);
    printf("socket to pipe: %.4s\n", text);
    CHECK(read(two[0], text, sizeof text) == 7);
    printf("tee: %.7s\n", text);

    printf("tee from a socket: %s\n", outcome(tee(fds[0], two[1], 1, 0)));
    printf("vmsplice to a socket: %s\n", outcome(vmsplice(fds[0], &bytes, 1, 0)));
    for (int i = 0; i < 2; i++)
        CHECK(close(one[i]) == 0 && close(two[i]) == 0);
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
