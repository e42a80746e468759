// A checking call with a buffer that is too small must still abort: we may not make it safer or
// less safe than it is.
// flags: -O2 -D_FORTIFY_SOURCE=2
// exercises: __read_chk __recv_chk
#include "harness.h"
#include <sys/resource.h>

static int overflows(int fd, int which)
{
    volatile size_t len = 64;
    char text[8];
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit none = {0, 0};
        begin();
        setrlimit(RLIMIT_CORE, &none);
        CHECK(freopen("/dev/null", "w", stderr) != NULL);
        CHECK((which ? recv(fd, text, len, MSG_DONTWAIT) : read(fd, text, len)) >= 0);
        _exit(text[0]);
    }
    return reap(pid);
}

int main(void)
{
    int fds[2];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    printf("read: aborted %d\n", overflows(fds[0], 0) == 128 + SIGABRT);
    printf("recv: aborted %d\n", overflows(fds[0], 1) == 128 + SIGABRT);
}
