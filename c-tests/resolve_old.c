// The old interface returns pointers into libc and reports in h_errno; a third of all programs that
// resolve names still use it.
// exercises: gethostbyname gethostbyname_r gethostbyname2 gethostbyname2_r gethostbyaddr
// exercises: gethostbyaddr_r
//: gethostbyname name=127.0.0.1
//: gethostbyname2 name=localhost
//: gethostbyname_r -> 0 name=localhost
//: gethostbyname2_r -> 0 name=127.0.0.1
//: gethostbyname_r -> 34 name=localhost
//: gethostbyaddr
//: gethostbyaddr_r -> 0
//: gethostbyaddr
#include "harness.h"
#include <netdb.h>

static void print(const char *what, const struct hostent *host)
{
    char text[INET_ADDRSTRLEN];
    CHECK(host != NULL);
    printf("%s: %s\n", what, inet_ntop(AF_INET, host->h_addr_list[0], text, sizeof text));
}

int main(void)
{
    struct hostent entry, *found;
    struct in_addr loopback = {htonl(INADDR_LOOPBACK)};
    char room[4096];
    int problem = 0;
    begin();
    print("gethostbyname", gethostbyname("127.0.0.1"));
    print("gethostbyname2", gethostbyname2("localhost", AF_INET));
    CHECK(gethostbyname_r("localhost", &entry, room, sizeof room, &found, &problem) == 0);
    print("gethostbyname_r", found);
    CHECK(gethostbyname2_r("127.0.0.1", AF_INET, &entry, room, sizeof room, &found, &problem) == 0);
    print("gethostbyname2_r", found);
    CHECK(gethostbyname_r("localhost", &entry, room, 8, &found, &problem) == ERANGE);
    printf("too short: found %d, NETDB_INTERNAL %d\n", found != NULL, problem == NETDB_INTERNAL);
    print("gethostbyaddr", gethostbyaddr(&loopback, sizeof loopback, AF_INET));
    CHECK(gethostbyaddr_r(&loopback, sizeof loopback, AF_INET, &entry, room, sizeof room, &found,
        &problem) == 0);
    print("gethostbyaddr_r", found);
    h_errno = 0;
    printf("of 3 bytes: found %d\n", gethostbyaddr(&loopback, 3, AF_INET) != NULL);
}
