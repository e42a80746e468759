// A plugin that writes and reads on a socketpair.
#include <sys/socket.h>
#include <unistd.h>

int plugin(void)
{
    int fds[2];
    char byte = 'p';
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        return 1;
    if (write(fds[0], &byte, 1) != 1 || read(fds[1], &byte, 1) != 1 || byte != 'p')
        return 2;
    return close(fds[0]) + close(fds[1]);
}
