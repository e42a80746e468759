// Buffers that end where the memory ends: a call may report more bytes, or a longer address, than the
// buffer has, and whoever reads by those numbers crashes.
// exercises: recv recvfrom recvmsg recvmmsg getsockname accept connect bind sendto getsockopt
//: ...
//: recv b -> 100
//: recvfrom b -> 100
//: recvmsg b -> 100
//: recvmmsg b -> 1
//: ...
#include "harness.h"
#include <sys/mman.h>
#include <sys/uio.h>

static char *end;

// `size` bytes, behind which there is nothing.
static void *last(size_t size)
{
    return memset(end - size, 0, size);
}

int main(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int fds[2];
    char hundred[100] = {0};
    begin();
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED && mprotect(pages + page, page, PROT_NONE) == 0);
    end = pages + page;

    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(send(fds[0], hundred, sizeof hundred, 0) == 100);
    printf("recv: %s\n", outcome(recv(fds[1], last(4), 4, MSG_TRUNC)));
    printf("recvfrom: %s\n", outcome(recvfrom(fds[1], last(4), 4, MSG_TRUNC, NULL, NULL)));
    struct iovec *part = last(sizeof *part);
    *part = (struct iovec){hundred, 4};
    struct msghdr msg = {.msg_iov = part, .msg_iovlen = 1};
    printf("recvmsg: %s\n", outcome(recvmsg(fds[1], &msg, MSG_TRUNC)));
    struct mmsghdr *several = last(sizeof *several);
    *several = (struct mmsghdr){.msg_hdr = {.msg_iov = &(struct iovec){hundred, 4}, .msg_iovlen = 1}};
    printf("recvmmsg: %s\n", outcome(recvmmsg(fds[1], several, 1, MSG_TRUNC | MSG_DONTWAIT, NULL)));
    printf("its length: %u\n", several->msg_len);

    // Addresses: three bytes of room, and exactly as long as they are.
    struct sockaddr_in *where = last(sizeof *where);
    *where = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(bind(listener, (struct sockaddr *)where, sizeof *where) == 0);
    CHECK(listen(listener, 4) == 0);
    socklen_t len = sizeof *where;
    CHECK(getsockname(listener, (struct sockaddr *)where, &len) == 0);
    int a = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(a, (struct sockaddr *)where, len) == 0);
    CHECK(sendto(udp, hundred, 0, 0, (struct sockaddr *)where, len) == 0);
    len = 3;
    CHECK(getsockname(a, last(3), &len) == 0);
    printf("getsockname: %u\n", len);
    len = 3;
    int b = accept(listener, last(3), &len);
    printf("accept: %u\n", len);
    CHECK(b >= 0);
    len = 1;
    CHECK(getsockopt(a, SOL_SOCKET, SO_TYPE, last(1), &len) == 0);
    printf("getsockopt: %u\n", len);
}
