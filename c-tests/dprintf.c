// Formatted output to a descriptor is written inside libc, behind our `write`. The arguments are
// variadic, floating point included.
// exercises: dprintf vdprintf __dprintf_chk __vdprintf_chk
//: socketpair -> 0 made=a,b
//: dprintf a -> 12 symbol=dprintf
//: dprintf a -> 11 symbol=vdprintf
//: dprintf a -> 9 symbol=__dprintf_chk
//: dprintf a -> 9 symbol=__vdprintf_chk
//: read b -> 41
//: close b -> 0
//: dprintf a
//: close a -> 0
#include "harness.h"

extern int __dprintf_chk(int fd, int flag, const char *format, ...);
extern int __vdprintf_chk(int fd, int flag, const char *format, va_list list);

static int plain(int fd, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int n = vdprintf(fd, format, list);
    va_end(list);
    return n;
}

static int checked(int fd, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int n = __vdprintf_chk(fd, 1, format, list);
    va_end(list);
    return n;
}

int main(void)
{
    int fds[2];
    char text[64] = "";
    begin();
    signal(SIGPIPE, SIG_IGN);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    // More arguments than fit into registers, of both classes.
    printf("%d\n", dprintf(fds[0], "%d%d%d%d%d%d%d %.2f", 1, 2, 3, 4, 5, 6, 7, 3.14159));
    printf("%d\n", plain(fds[0], " %.1f|%.1f %s", 0.5, 1.5, "v_"));
    printf("%d\n", __dprintf_chk(fds[0], 1, "%s-%d-%.1f", "chk", 1, 2.5));
    printf("%d\n", checked(fds[0], "%s-%d-%.1f", "vck", 2, 3.5));
    CHECK(read(fds[1], text, sizeof text) == 41);
    printf("%s\n", text);
    CHECK(close(fds[1]) == 0);
    printf("nobody reads: %d\n", dprintf(fds[0], "x") < 0);
    CHECK(close(fds[0]) == 0);
}
