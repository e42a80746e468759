// With _FORTIFY_SOURCE the compiler calls checking versions that enter glibc behind the plain names:
// distributions build everything so, and a shim without them sees nothing.
// flags: -O2 -D_FORTIFY_SOURCE=2
// exercises: __read_chk __recv_chk __recvfrom_chk __poll_chk __ppoll_chk __dprintf_chk
// exercises: __vdprintf_chk
//: socketpair -> 0 made=a,b
//: write a -> 9 sent=fortified
//: poll - -> 1 symbol=__poll_chk
//: ppoll - -> 1 symbol=__ppoll_chk
//: read b -> 3 received=for symbol=__read_chk
//: recv b -> 3 received=tif symbol=__recv_chk
//: recvfrom b -> 3 received=ied symbol=__recvfrom_chk
//: dprintf a -> 4 symbol=__dprintf_chk
//: dprintf a -> 4 symbol=__vdprintf_chk
//: read b -> 8 received=4711n=42 symbol=__read_chk
//: close a -> 0
//: close b -> 0
#include "harness.h"

__attribute__((noinline)) static int vprint(int fd, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int n = vdprintf(fd, format, list);
    va_end(list);
    return n;
}

int main(void)
{
    // The sizes are volatile: what the compiler can compute it does not check at run time.
    volatile size_t three = 3, all = 16;
    volatile nfds_t one = 1;
    int fds[2];
    char text[16];
    struct pollfd wait[2];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(write(fds[0], "fortified", 9) == 9);
    wait[0] = (struct pollfd){.fd = fds[1], .events = POLLIN};
    CHECK(poll(wait, one, -1) == 1);
    CHECK(ppoll(wait, one, NULL, NULL) == 1);
    CHECK(read(fds[1], text, three) == 3);
    printf("%.3s\n", text);
    CHECK(recv(fds[1], text, three, 0) == 3);
    printf("%.3s\n", text);
    CHECK(recvfrom(fds[1], text, three, 0, NULL, NULL) == 3);
    printf("%.3s\n", text);
    CHECK(dprintf(fds[0], "%d", 4711) == 4);
    CHECK(vprint(fds[0], "n=%d", 42) == 4);
    CHECK(read(fds[1], text, all) == 8);
    printf("%.8s\n", text);
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
