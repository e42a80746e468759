// Addresses that are not there: the kernel says EFAULT or EINVAL, and a plan may say something else.
#include <stdio.h>
#include <sys/socket.h>

int main(void) {
    struct sockaddr *nowhere = (struct sockaddr *)8;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    printf("connect %d\n", connect(fd, NULL, 0));
    printf("connect %d\n", connect(fd, nowhere, 16));
    printf("bind %d\n", bind(fd, nowhere, 16));
    int datagrams = socket(AF_INET, SOCK_DGRAM, 0);
    printf("sendto %d\n", (int)sendto(datagrams, "12", 2, 0, nowhere, 16));
    return 0;
}
