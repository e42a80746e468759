// Ends TCP sockets in many ways, and says before each end what the kernel says is left unread.
//
//   ends WAY...    prints a number for each end; with -q first it asks nothing
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int quiet, listener;
static struct sockaddr_in at;
static char room[64];

static void must(int true, const char *what) {
    if (!true) {
        perror(what);
        exit(1);
    }
}

static void end(int fd) {
    int left = -1;
    if (!quiet) {
        must(ioctl(fd, FIONREAD, &left) == 0, "FIONREAD");
        printf("%d\n", left);
    }
    must(close(fd) == 0, "close");
}

/* Connects `near` to `far`, which has sent what is to be read. */
static void pair(int *near, int *far, const char *sent) {
    *far = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(*far, (void *)&at, sizeof at) == 0, "connect");
    must((*near = accept(listener, NULL, NULL)) >= 0, "accept");
    must(write(*far, sent, strlen(sent)) == (ssize_t)strlen(sent), "write");
}

static void whole(int fd, size_t bytes) {
    must(recv(fd, room, bytes, MSG_WAITALL) == (ssize_t)bytes, "recv");
}

/* Until the peer's FIN is there, or its reset. */
static void until_it_ends(int fd) {
    ssize_t got;
    while ((got = recv(fd, room, 1, MSG_DONTWAIT)) != 0 && !(got < 0 && errno == ECONNRESET))
        usleep(100);
}

static void resets(int fd) {
    struct linger at_once = {1, 0};
    must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0, "SO_LINGER");
    end(fd);
}

/* The end that connected reads five bytes as well. */
static void whole_back(int near, int far) {
    must(write(near, "12345", 5) == 5, "write");
    whole(far, 5);
}

/* Connects `fd` anew, which is sent five bytes that nobody reads. */
static void connects_again(int fd, int *near) {
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    must(connect(fd, &nobody, sizeof nobody) == 0, "connect to nobody");
    close(*near);
    must(connect(fd, (void *)&at, sizeof at) == 0, "connect again");
    must((*near = accept(listener, NULL, NULL)) >= 0, "accept");
    must(write(*near, "12345", 5) == 5, "write");
    must(recv(fd, room, 5, MSG_PEEK | MSG_WAITALL) == 5, "peek");
}

static void go(const char *way) {
    int near, far, other;
    struct iovec vector = {room, 5};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    pair(&near, &far, "12345");
    if (!strcmp(way, "all")) {
        whole(near, 5);
    } else if (!strcmp(way, "in-turn")) {
        must(read(near, room, 1) == 1, "read");
        vector.iov_len = 1;
        must(readv(near, &vector, 1) == 1, "readv");
        must(recvmsg(near, &message, 0) == 1, "recvmsg");
        must(recvfrom(near, room, 1, 0, NULL, NULL) == 1, "recvfrom");
        must(preadv2(near, &vector, 1, -1, 0) == 1, "preadv2");
    } else if (!strcmp(way, "part")) {
        whole(near, 2);
    } else if (!strcmp(way, "rest")) {
        whole(near, 3);
    } else if (!strcmp(way, "twice")) {
        whole(near, 2);
        whole(near, 3);
    } else if (!strcmp(way, "peek")) {
        must(recv(near, room, 5, MSG_PEEK | MSG_WAITALL) == 5, "peek");
        must(recvmsg(near, &message, MSG_PEEK) == 5, "peek");
    } else if (!strcmp(way, "thrown-away")) {
        must(recv(near, NULL, 5, MSG_TRUNC | MSG_WAITALL) == 5, "recv");
    } else if (!strcmp(way, "fin")) {
        whole(near, 5);
        shutdown(far, SHUT_WR);
        until_it_ends(near);
    } else if (!strcmp(way, "part-fin")) {
        whole(near, 4);
        must(shutdown(far, SHUT_WR) == 0, "shutdown");
        /* The last byte and the FIN: it is there once a look at more than that byte waits no more. */
        must(recv(near, room, 2, MSG_PEEK | MSG_WAITALL) == 1, "peek");
    } else if (!strcmp(way, "reset")) {
        whole(near, 5);
        resets(far);
        far = -1;
        until_it_ends(near);
    } else if (!strcmp(way, "part-reset")) {
        whole(near, 4);
        resets(far);
        far = -1;
    } else if (!strcmp(way, "copy")) {
        must((other = dup(near)) >= 0, "dup");
        whole(near, 2);
        whole(other, 2);
        end(other);
    } else if (!strcmp(way, "copy-rest")) {
        /* The number of the copy above, of which two were read there. */
        must((other = dup(near)) >= 0, "dup");
        whole(other, 3);
        must(close(near) == 0, "close");
        near = other;
    } else if (!strcmp(way, "child")) {
        whole(near, 1);
        pid_t child = fork();
        if (child == 0) {
            whole(near, 2);
            _exit(0);
        }
        waitpid(child, NULL, 0);
    } else if (!strcmp(way, "urgent")) {
        must(send(far, "67", 2, MSG_OOB) == 2, "send");
        whole(near, 5);
        while (recv(near, room, 1, MSG_OOB) < 0)
            usleep(100);
    } else if (!strcmp(way, "again")) {
        whole_back(near, far);
        connects_again(far, &near);
    } else if (!strcmp(way, "again-by-copy")) {
        /* Read by one number, connected anew by the other, ended by the first. */
        must((other = dup(far)) >= 0, "dup");
        whole_back(near, far);
        connects_again(other, &near);
        end(other);
    } else {
        fprintf(stderr, "no way called %s\n", way);
        exit(2);
    }
    end(near);
    if (far >= 0)
        end(far);
}

int main(int count, char **ways) {
    socklen_t len = sizeof at;
    at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = socket(AF_INET, SOCK_STREAM, 0);
    must(bind(listener, (void *)&at, sizeof at) == 0 && listen(listener, 8) == 0, "listen");
    must(getsockname(listener, (void *)&at, &len) == 0, "getsockname");
    for (int i = 1; i < count; i++) {
        if (!strcmp(ways[i], "-q"))
            quiet = 1;
        else
            go(ways[i]);
    }
    return 0;
}
