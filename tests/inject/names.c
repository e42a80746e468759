// Looks for one name by each function that there is for it, and prints what each says.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void old(const char *function, int found) {
    printf("%s %s\n", function, found ? "found" : h_errno == NETDB_INTERNAL ? strerror(errno) : hstrerror(h_errno));
}

static void reentrant(const char *function, int ret, int error, int found) {
    const char *says = found ? "found" : error == NETDB_INTERNAL ? strerror(ret) : hstrerror(error);
    printf("%s %s\n", function, says);
}

static void modern(const char *function, int ret) {
    printf("%s %s\n", function, ret == 0 ? "found" : ret == EAI_SYSTEM ? strerror(errno) : gai_strerror(ret));
}

int main(void) {
    const char *name = "localhost";
    struct in_addr address = {htonl(INADDR_LOOPBACK)};
    struct sockaddr_in whole = {.sin_family = AF_INET, .sin_addr = address};
    struct hostent entry, *found = &entry;
    struct addrinfo *list = NULL;
    char buffer[4096];
    unsigned char answer[512];
    int error = 0, ret;
    old("gethostbyname", gethostbyname(name) != NULL);
    old("gethostbyname2", gethostbyname2(name, AF_INET) != NULL);
    old("gethostbyaddr", gethostbyaddr(&address, sizeof address, AF_INET) != NULL);
    ret = gethostbyname_r(name, &entry, buffer, sizeof buffer, &found, &error);
    reentrant("gethostbyname_r", ret, error, found != NULL);
    found = &entry;
    ret = gethostbyname2_r(name, AF_INET, &entry, buffer, sizeof buffer, &found, &error);
    reentrant("gethostbyname2_r", ret, error, found != NULL);
    found = &entry;
    ret = gethostbyaddr_r(&address, sizeof address, AF_INET, &entry, buffer, sizeof buffer, &found, &error);
    reentrant("gethostbyaddr_r", ret, error, found != NULL);
    modern("getaddrinfo", getaddrinfo(name, NULL, NULL, &list));
    modern("getnameinfo", getnameinfo((struct sockaddr *)&whole, sizeof whole, buffer, sizeof buffer, NULL, 0, 0));
    struct __res_state state;
    memset(&state, 0, sizeof state);
    if (res_ninit(&state) != 0) return 1;
    // What asks a name server is asked only where it does not come that far.
    old("res_query", res_query(name, ns_c_in, ns_t_a, answer, sizeof answer) >= 0);
    old("res_search", res_search(name, ns_c_in, ns_t_a, answer, sizeof answer) >= 0);
    old("res_querydomain", res_querydomain(name, "", ns_c_in, ns_t_a, answer, sizeof answer) >= 0);
    old("res_nquery", res_nquery(&state, name, ns_c_in, ns_t_a, answer, sizeof answer) >= 0);
    old("res_nsearch", res_nsearch(&state, name, ns_c_in, ns_t_a, answer, sizeof answer) >= 0);
    old("res_nquerydomain", res_nquerydomain(&state, name, "", ns_c_in, ns_t_a, answer, sizeof answer) >= 0);
    return 0;
}
