// A program with a library of its own (raw.c), and with a close of its own.
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

long send_raw(int fd, const void *data, unsigned long len);

int close(int fd)
{
    return (int)syscall(SYS_close, fd);
}

int main(void)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0 || send_raw(fds[0], "x", 1) != 1)
        return 1;
    return close(fds[0]);
}
