// Sends 1000 bytes over TCP on loopback, and prints how long each
// transfer of the kind that is asked for was; then why it ended, and whether what arrived is what was sent.

#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SIZE = 1000 };
static char sent[SIZE], received[SIZE];
static int ends[2];

static const char *name_of(int number) {
    return number == ECONNRESET ? "ECONNRESET" : number == EPIPE ? "EPIPE" : number == EINTR ? "EINTR"
         : number == EINPROGRESS ? "EINPROGRESS" : "other";
}

static ssize_t transfer(const char *how, int fd, char *at, size_t left) {
    struct iovec iov[2] = {{at, left / 3}, {at + left / 3, left - left / 3}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
    if (!strcmp(how, "read")) return read(fd, at, left);
    if (!strcmp(how, "recv")) return recv(fd, at, left, 0);
    if (!strcmp(how, "readv")) return readv(fd, iov, 2);
    if (!strcmp(how, "recvmsg")) return recvmsg(fd, &message, 0);
    if (!strcmp(how, "write")) return write(fd, at, left);
    if (!strcmp(how, "send")) return send(fd, at, left, MSG_NOSIGNAL);
    if (!strcmp(how, "writev")) return writev(fd, iov, 2);
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

// Both ends over loopback.
static void meet(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *)&address, len);
    listen(listener, 1);
    getsockname(listener, (struct sockaddr *)&address, &len);
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(ends[0], (struct sockaddr *)&address, len) != 0) perror("connect");
    ends[1] = accept(listener, NULL, NULL);
    close(listener);
}

// The one that reads all in the end, by a call that no rule is about, and says how it ended.
static void rest(int fd, size_t have) {
    int peer = have == 0;
    for (;;) {
        ssize_t n = recvfrom(fd, received + have, SIZE - have, 0, NULL, NULL);
        if (n > 0) {
            have += n;
        } else {
            if (peer && have != SIZE) printf("peer:%s ", n == 0 ? "end" : name_of(errno));
            return;
        }
        if (have == SIZE) return;
    }
}

static int silent(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *)&address, len);
    listen(listener, 1);
    getsockname(listener, (struct sockaddr *)&address, &len);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int ret = connect(fd, (struct sockaddr *)&address, len);
    printf("connect:%s ", ret == 0 ? "0" : name_of(errno));
    struct pollfd waits = {.fd = fd, .events = POLLIN | POLLOUT};
    printf("poll:%d\n", poll(&waits, 1, 300));
    return 0;
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "read";
    if (!strcmp(how, "poll")) return silent();
    signal(SIGPIPE, SIG_IGN);
    meet();
    for (int i = 0; i < SIZE; i++) sent[i] = (char)(i * 7);
    int sends = how[0] == 'w' || how[0] == 's';
    if (!sends) {
        // All of it is there before the first read, and the end behind it.
        if (sendto(ends[0], sent, SIZE, MSG_NOSIGNAL, NULL, 0) != SIZE) perror("sendto");
        shutdown(ends[0], SHUT_WR);
        struct pollfd waits = {.fd = ends[1], .events = POLLRDHUP};
        poll(&waits, 1, -1);
    }
    size_t have = 0;
    int ended = 0;
    while (!ended) {
        int fd = sends ? ends[0] : ends[1];
        if (sends && have == SIZE) {
            shutdown(fd, SHUT_WR);
            break;
        }
        // One byte more than there is, so that the end is seen.
        char spare;
        ssize_t n = have < SIZE ? transfer(how, fd, (sends ? sent : received) + have, SIZE - have)
                                : transfer(how, fd, &spare, 1);
        if (n > 0) {
            printf("%zd ", n);
            have += n;
        } else if (n < 0 && errno == EINTR) {
            printf("EINTR ");
        } else if (n < 0) {
            printf("%s ", name_of(errno));
            ended = 1;
        } else {
            break;
        }
    }
    if (!ended) printf("end ");
    if (sends) {
        if (ended) close(ends[0]);
        rest(ends[1], 0);
    } else if (!ended && have < SIZE) {
        printf("%d missing ", (int)(SIZE - have));
    }
    if (!ended && (sends || have == SIZE)) printf("%s", memcmp(sent, received, SIZE) ? "other" : "same");
    printf("\n");
    return 0;
}
