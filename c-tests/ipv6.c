// IPv6 addresses are longer, and an IPv4 client of an IPv6 server shows up as a mapped one.
// exercises: socket bind listen connect accept setsockopt
//: socket -> l
//: setsockopt l -> 0
//: bind l -> 0
//: listen l -> 0
//: getsockname l -> 0
//: socket -> a
//: connect a -> 0
//: accept l -> b
//: close a -> 0
//: close b -> 0
//: socket -> c
//: connect c -> 0
//: accept l -> d
//: close c -> 0
//: close d -> 0
//: close l -> 0
#include "harness.h"

int main(void)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6}, peer;
    socklen_t len = sizeof any;
    char text[INET6_ADDRSTRLEN];
    int off = 0;
    begin();
    int listener = socket(AF_INET6, SOCK_STREAM, 0);
    if (listener < 0)
        return SKIP;
    CHECK(setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0);
    if (bind(listener, (struct sockaddr *)&any, sizeof any) != 0)
        return SKIP;
    CHECK(listen(listener, 4) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&any, &len) == 0);

    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT,
        .sin6_port = any.sin6_port};
    int a = socket(AF_INET6, SOCK_STREAM, 0);
    if (connect(a, (struct sockaddr *)&six, sizeof six) != 0)
        return SKIP;
    len = sizeof peer;
    int b = accept(listener, (struct sockaddr *)&peer, &len);
    printf("from %s\n", inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text));
    CHECK(close(a) == 0);
    CHECK(close(b) == 0);

    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = any.sin6_port};
    int c = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(c, (struct sockaddr *)&four, sizeof four) == 0);
    len = sizeof peer;
    int d = accept(listener, (struct sockaddr *)&peer, &len);
    printf("from %s\n", inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text));
    CHECK(close(c) == 0);
    CHECK(close(d) == 0);
    CHECK(close(listener) == 0);
}
