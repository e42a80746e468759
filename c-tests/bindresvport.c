// bindresvport tries ports below 1024 one after the other, inside libc: one call of ours, many binds
// of the kernel's. Only root may.
// exercises: bindresvport
//: socket -> a
//: bindresvport a
//: ...
//: close a -> 0
#include "harness.h"

int main(void)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof where;
    begin();
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bindresvport(fd, &where) == 0) {
        CHECK(getsockname(fd, (struct sockaddr *)&where, &len) == 0);
        printf("a reserved port: %d\n", ntohs(where.sin_port) < 1024);
    } else {
        printf("%s\n", strerrorname_np(errno));
    }
    CHECK(close(fd) == 0);
}
