// Waiting belongs to the connection that ended it; a wait that timed out belongs to none.
// exercises: poll __poll ppoll __poll_chk __ppoll_chk
//: socketpair -> 0 made=a,b
//: socketpair -> 0 made=c,d
//: poll - -> 0 symbol=poll
//: write a -> 1
//: poll - -> 1 symbol=__poll
//: ppoll - -> 1 symbol=ppoll
//: poll - -> 1 symbol=__poll_chk
//: ppoll - -> 1 symbol=__ppoll_chk
//: close c -> 0
//: poll - -> 2
//: poll - -> 1
//: poll - -> 0
//: close a -> 0
//: close b -> 0
//: close d -> 0
#include "harness.h"

extern int __poll(struct pollfd *fds, nfds_t n, int milliseconds);
extern int __poll_chk(struct pollfd *fds, nfds_t n, int milliseconds, size_t bytes);
extern int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
    const sigset_t *mask, size_t bytes);

int main(void)
{
    int one[2], two[2];
    sigset_t none;
    struct timespec second = {.tv_sec = 1};
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, one) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, two) == 0);
    struct pollfd wait[2] = {{.fd = one[1], .events = POLLIN}, {.fd = two[1], .events = POLLIN}};
    sigemptyset(&none);
    CHECK(poll(wait, 2, 0) == 0);
    CHECK(write(one[0], "x", 1) == 1);
    CHECK(__poll(wait, 2, -1) == 1);
    printf("%#x %#x\n", wait[0].revents, wait[1].revents);
    CHECK(ppoll(wait, 2, &second, &none) == 1);
    CHECK(__poll_chk(wait, 2, 1000, sizeof wait) == 1);
    CHECK(__ppoll_chk(wait, 2, &second, NULL, sizeof wait) == 1);
    printf("timeout untouched: %ld s %ld ns\n", (long)second.tv_sec, second.tv_nsec);
    CHECK(close(two[0]) == 0);
    CHECK(poll(wait, 2, -1) == 2);
    printf("%#x %#x\n", wait[0].revents, wait[1].revents);
    wait[0].fd = 4711;
    wait[1].fd = -1;
    CHECK(poll(wait, 2, -1) == 1);
    printf("%#x %#x\n", wait[0].revents, wait[1].revents);
    CHECK(poll(NULL, 0, 0) == 0);
    CHECK(close(one[0]) == 0);
    CHECK(close(one[1]) == 0);
    CHECK(close(two[1]) == 0);
}
