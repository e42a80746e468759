// A megabyte through TCP takes many calls on each side, and writes that come back short. Not one byte
// may be counted twice or changed.
// exercises: send recv
//: ...
//: shutdown a -> 0
//: close a -> 0
//: ...
//= bytes sent 1048576
//= bytes received 1048576
#include "harness.h"

#define TOTAL (1 << 20)

static unsigned char pattern(size_t i)
{
    return (unsigned char)(i * 2654435761u >> 13);
}

static void *receive(void *fd)
{
    unsigned char room[7000];
    size_t total = 0;
    for (;;) {
        ssize_t n = recv(*(int *)fd, room, sizeof room, 0);
        CHECK(n >= 0);
        if (n == 0)
            break;
        for (ssize_t i = 0; i < n; i++)
            CHECK(room[i] == pattern(total + (size_t)i));
        total += (size_t)n;
    }
    printf("received %zu\n", total);
    return NULL;
}

int main(void)
{
    static unsigned char bytes[TOTAL];
    int fds[2];
    pthread_t thread;
    size_t sent = 0;
    begin();
    for (size_t i = 0; i < TOTAL; i++)
        bytes[i] = pattern(i);
    tcp_pair(fds);
    CHECK(pthread_create(&thread, NULL, receive, &fds[1]) == 0);
    while (sent < TOTAL) {
        ssize_t n = send(fds[0], bytes + sent, TOTAL - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0) {
            CHECK(errno == EAGAIN);
            struct pollfd wait = {.fd = fds[0], .events = POLLOUT};
            CHECK(poll(&wait, 1, -1) == 1);
            continue;
        }
        sent += (size_t)n;
    }
    CHECK(shutdown(fds[0], SHUT_WR) == 0);
    CHECK(close(fds[0]) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(close(fds[1]) == 0);
    printf("sent %zu\n", sent);
}
