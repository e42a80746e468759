// select changes the caller's sets and, on Linux, the timeout: both must come through as they are.
// exercises: select __select pselect
//: socketpair -> 0 made=a,b
//: select - -> 0 symbol=select
//: write a -> 1
//: select - -> 1 symbol=__select
//: pselect - -> 2
//: select - -> EBADF
//: select - -> EINVAL
//: close a -> 0
//: close b -> 0
#include "harness.h"
#include <sys/select.h>

extern int __select(int n, fd_set *in, fd_set *out, fd_set *except, struct timeval *timeout);

int main(void)
{
    int fds[2];
    fd_set in, out;
    struct timeval none = {0}, second = {.tv_sec = 10};
    struct timespec exact = {.tv_sec = 1};
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(fds[1], &in);
    CHECK(select(fds[1] + 1, &in, NULL, NULL, &none) == 0);
    printf("emptied %d\n", !FD_ISSET(fds[1], &in));
    FD_SET(fds[1], &in);
    CHECK(write(fds[0], "x", 1) == 1);
    CHECK(__select(fds[1] + 1, &in, NULL, NULL, &second) == 1);
    printf("readable %d, time left %d\n", FD_ISSET(fds[1], &in) != 0, second.tv_sec >= 1);
    FD_SET(fds[1], &out);
    CHECK(pselect(fds[1] + 1, &in, &out, NULL, &exact, NULL) == 2);
    printf("timeout untouched: %ld\n", (long)exact.tv_sec);
    FD_SET(fds[1] + 1, &in);
    printf("no such descriptor: %s\n", outcome(select(fds[1] + 2, &in, NULL, NULL, &none)));
    printf("negative: %s\n", outcome(select(-1, NULL, NULL, NULL, &none)));
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
