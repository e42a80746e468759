// Scattered buffers: the bytes of one call lie in several places, and a transfer may end inside one.
// exercises: readv writev preadv2 pwritev2 preadv64v2 pwritev64v2
//: socketpair -> 0 made=a,b
//: writev a -> 10 sent=helloworld
//: readv b -> 7 received=hellowo
//: readv b -> 3 received=rld
//: pwritev2 a -> 4 sent=abcd symbol=pwritev2
//: preadv2 b -> 4 received=abcd symbol=preadv2
//: pwritev2 a -> 4 sent=efgh symbol=pwritev64v2
//: preadv2 b -> 4 received=efgh symbol=preadv64v2
//: preadv2 b -> EAGAIN
//: preadv2 b -> ESPIPE
//: writev a -> 0
//: writev a -> EINVAL
//: close a -> 0
//: close b -> 0
#include "harness.h"
#include <sys/uio.h>

int main(void)
{
    int fds[2];
    char first[4], second[3];
    struct iovec out[3] = {{"hello", 5}, {NULL, 0}, {"world", 5}}, in[2] = {{first, 4}, {second, 3}};
    struct iovec abcd[2] = {{"ab", 2}, {"cd", 2}}, efgh[2] = {{"ef", 2}, {"gh", 2}};
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(writev(fds[0], out, 3) == 10);
    CHECK(readv(fds[1], in, 2) == 7);
    printf("%.4s|%.3s\n", first, second);
    CHECK(readv(fds[1], in, 2) == 3);
    printf("%.3s\n", first);
    CHECK(pwritev2(fds[0], abcd, 2, -1, 0) == 4);
    CHECK(preadv2(fds[1], in, 2, -1, 0) == 4);
    printf("%.4s\n", first);
    CHECK(pwritev64v2(fds[0], efgh, 2, -1, 0) == 4);
    CHECK(preadv64v2(fds[1], in, 2, -1, 0) == 4);
    printf("%.4s\n", first);
    printf("nothing there: %s\n", outcome(preadv2(fds[1], in, 2, -1, RWF_NOWAIT)));
    printf("at an offset: %s\n", outcome(preadv2(fds[1], in, 2, 4096, 0)));
    printf("no buffers: %s\n", outcome(writev(fds[0], out, 0)));
    volatile int minus_one = -1;
    printf("-1 buffers: %s\n", outcome(writev(fds[0], out, minus_one)));
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
