// Names become addresses before there is a socket; the resolver's own sockets are not the program's.
// exercises: getaddrinfo getnameinfo
//: getaddrinfo -> 0 name=127.0.0.1 service=80
//: getaddrinfo -> 0 name=localhost
//: getaddrinfo -> -2 name=not_an_address
//: getaddrinfo -> -2
//: getnameinfo -> 0
//: getnameinfo -> -6
#include "harness.h"
#include <netdb.h>

int main(void)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICHOST}, *found = NULL;
    char host[64], service[16];
    begin();
    CHECK(getaddrinfo("127.0.0.1", "80", &hints, &found) == 0);
    struct sockaddr_in where;
    memcpy(&where, found->ai_addr, sizeof where);
    printf("%s:%d\n", inet_ntoa(where.sin_addr), ntohs(where.sin_port));
    freeaddrinfo(found);

    hints.ai_flags = 0;
    CHECK(getaddrinfo("localhost", NULL, &hints, &found) == 0);
    printf("localhost: family %d, %u bytes\n", found->ai_family, found->ai_addrlen);
    freeaddrinfo(found);

    hints.ai_flags = AI_NUMERICHOST;
    printf("no address: %s\n", gai_strerror(getaddrinfo("not_an_address", NULL, &hints, &found)));
    printf("nothing asked: %s\n", gai_strerror(getaddrinfo(NULL, NULL, NULL, &found)));
    CHECK(getnameinfo((struct sockaddr *)&where, sizeof where, host, sizeof host, service,
        sizeof service, NI_NUMERICHOST | NI_NUMERICSERV) == 0);
    printf("%s %s\n", host, service);
    printf("too short: %s\n", gai_strerror(getnameinfo((struct sockaddr *)&where, 2, host, sizeof host,
        NULL, 0, NI_NUMERICHOST)));
}
