// Three datagrams by one call, and all of them received by another.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int main(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof to;
    char *texts[] = {"one", "three", "seven77"}, places[3][16];
    struct iovec parts[3], into[3];
    struct mmsghdr out[3] = {0}, in[3] = {0};
    int receiver = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(receiver, (struct sockaddr *)&to, sizeof to) || getsockname(receiver, (struct sockaddr *)&to, &length))
        return perror("bind"), 1;
    for (int i = 0; i < 3; i++) {
        parts[i] = (struct iovec){texts[i], strlen(texts[i])};
        into[i] = (struct iovec){places[i], sizeof places[i]};
        out[i].msg_hdr = (struct msghdr){.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &parts[i], .msg_iovlen = 1};
        in[i].msg_hdr = (struct msghdr){.msg_iov = &into[i], .msg_iovlen = 1};
    }
    if (sendmmsg(sender, out, 3, 0) != 3 || recvmmsg(receiver, in, 3, MSG_WAITFORONE, NULL) != 3)
        return perror("messages"), 1;
    return close(sender) || close(receiver);
}
