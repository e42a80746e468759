// Some calls store into the length what they would have liked, and write no more than there was room
// for: here none, at an address where there is no memory.
// exercises: getsockname getsockopt getpeername recvfrom setsockopt
//: ...
//: getsockname b -> 0
//: getpeername b -> 0
//: ...
//: close b -> 0
#include "harness.h"
#include <sys/mman.h>

int main(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int fds[2];
    socklen_t len = 0;
    begin();
    // Between pages that nobody mapped.
    void *nowhere = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(nowhere != MAP_FAILED);
    tcp_pair(fds);
    CHECK(getsockname(fds[1], nowhere, &len) == 0);
    printf("getsockname: %u\n", len);
    len = 0;
    CHECK(getpeername(fds[1], nowhere, &len) == 0);
    printf("getpeername: %u\n", len);

    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    len = sizeof where;
    CHECK(bind(a, (struct sockaddr *)&where, len) == 0);
    CHECK(getsockname(a, (struct sockaddr *)&where, &len) == 0);
    CHECK(sendto(b, "x", 1, 0, (struct sockaddr *)&where, len) == 1);
    char byte;
    len = 0;
    CHECK(recvfrom(a, &byte, 1, 0, nowhere, &len) == 1);
    printf("recvfrom: %u\n", len);

    // SOL_NETLINK: NETLINK_ADD_MEMBERSHIP, NETLINK_LIST_MEMBERSHIPS (netlink(7)).
    int netlink = socket(AF_NETLINK, SOCK_RAW, 0), group = 1;
    CHECK(setsockopt(netlink, 270, 1, &group, sizeof group) == 0);
    len = 0;
    CHECK(getsockopt(netlink, 270, 9, nowhere, &len) == 0);
    printf("getsockopt: more than asked %d\n", len > 0);
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
