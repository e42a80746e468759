// getifaddrs talks to the kernel over a netlink socket of libc's own.
// exercises: getifaddrs
//: getifaddrs -> 0
#include "harness.h"
#include <ifaddrs.h>

int main(void)
{
    struct ifaddrs *list = NULL;
    int loopback = 0;
    begin();
    CHECK(getifaddrs(&list) == 0);
    for (struct ifaddrs *each = list; each != NULL; each = each->ifa_next)
        if (each->ifa_addr != NULL && each->ifa_addr->sa_family == AF_INET)
            loopback |= ((struct sockaddr_in *)each->ifa_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
    printf("127.0.0.1 found: %d\n", loopback);
    freeifaddrs(list);
}
