// Sends the numbers 1 to 10 as datagrams to itself, and a 0 behind them, and receives them by the function that it is
// told: prints those that came, in their order. With `recvmmsg`, three at a time.

#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BATCH = 3 };

static int receiver, sender;
static struct sockaddr_in from;

static void check(int good, const char *what) {
    if (!good) {
        perror(what);
        exit(1);
    }
}

// Who sent it, as every function that tells has to tell it.
static void is_sender(const struct sockaddr_in *address, socklen_t len) {
    check(len == sizeof *address && address->sin_port == from.sin_port, "the sender's address");
    check(address->sin_addr.s_addr == htonl(INADDR_LOOPBACK), "the sender's host");
}

// Receives up to BATCH numbers by a function; how many.
static int receive(const char *name, int *numbers) {
    struct sockaddr_in address[BATCH];
    socklen_t len = sizeof address[0];
    struct iovec iov[BATCH];
    struct mmsghdr messages[BATCH];
    memset(messages, 0, sizeof messages);
    memset(address, 0, sizeof address);
    for (int i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){&numbers[i], sizeof *numbers};
        messages[i].msg_hdr.msg_iov = &iov[i], messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_name = &address[i], messages[i].msg_hdr.msg_namelen = sizeof address[i];
    }
    ssize_t got = -1;
    if (strcmp(name, "recv") == 0) {
        got = recv(receiver, numbers, sizeof *numbers, 0);
    } else if (strcmp(name, "recvfrom") == 0) {
        got = recvfrom(receiver, numbers, sizeof *numbers, 0, (struct sockaddr *)&address[0], &len);
        is_sender(&address[0], len);
    } else if (strcmp(name, "recvmsg") == 0) {
        got = recvmsg(receiver, &messages[0].msg_hdr, 0);
        is_sender(&address[0], messages[0].msg_hdr.msg_namelen);
        check(messages[0].msg_hdr.msg_flags == 0 && messages[0].msg_hdr.msg_iov == &iov[0], "the message");
    } else if (strcmp(name, "recvmmsg") == 0) {
        int count = recvmmsg(receiver, messages, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < count; i++) {
            check(messages[i].msg_len == sizeof *numbers, "the length");
            is_sender(&address[i], messages[i].msg_hdr.msg_namelen);
        }
        check(count > 0, "recvmmsg");
        return count;
    } else if (strcmp(name, "read") == 0) {
        got = read(receiver, numbers, sizeof *numbers);
    } else if (strcmp(name, "readv") == 0) {
        // In two pieces.
        struct iovec halves[2] = {{numbers, 1}, {(char *)numbers + 1, sizeof *numbers - 1}};
        got = readv(receiver, halves, 2);
    }
    check(got == sizeof *numbers, name);
    return 1;
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    receiver = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0);
    check(bind(receiver, (struct sockaddr *)&address, len) == 0, "bind");
    check(bind(sender, (struct sockaddr *)&address, len) == 0, "bind");
    check(getsockname(sender, (struct sockaddr *)&from, &len) == 0, "getsockname");
    check(getsockname(receiver, (struct sockaddr *)&address, &len) == 0, "getsockname");
    check(connect(sender, (struct sockaddr *)&address, len) == 0, "connect");
    const char *name = argc > 1 ? argv[1] : "recv";
    if (strcmp(name, "alone") == 0) {
        // One that does not block, of which nothing else is there.
        int number = 1, got;
        check(send(sender, &number, sizeof number, 0) > 0, "send");
        got = recv(receiver, &number, sizeof number, MSG_DONTWAIT);
        printf("%d %s\n", got, got < 0 ? strerror(errno) : "");
        return 0;
    }
    for (int number = 1; number <= 11; number++) {
        int sent = number % 11;
        check(send(sender, &sent, sizeof sent, 0) == sizeof sent, "send");
    }
    for (int numbers[BATCH], count, end = 0; !end;) {
        count = receive(name, numbers);
        for (int i = 0; i < count; i++) {
            if (numbers[i] == 0) end = 1;
            else printf("%d ", numbers[i]);
        }
    }
    printf("\n");
    return 0;
}
