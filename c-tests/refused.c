// Nobody listens: the connect fails, and the socket ends without ever having been connected. The port
// is held by a socket of ours that does not listen, so nobody else can take it.
// exercises: connect __connect getpeername
//: ...
//: getsockname h -> 0
//: socket -> a
//: connect a -> ECONNREFUSED
//: getpeername a -> ENOTCONN
//: connect a -> ECONNREFUSED symbol=__connect
//: send a -> EPIPE
//: close a -> 0
//: close h -> 0
#include "harness.h"

extern int __connect(int fd, const struct sockaddr *address, socklen_t len);

int main(void)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, peer;
    socklen_t len = sizeof where, peer_len = sizeof peer;
    begin();
    int holder = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(holder, (struct sockaddr *)&where, sizeof where) == 0);
    CHECK(getsockname(holder, (struct sockaddr *)&where, &len) == 0);
    int a = socket(AF_INET, SOCK_STREAM, 0);
    printf("connect: %s\n", outcome(connect(a, (struct sockaddr *)&where, sizeof where)));
    printf("getpeername: %s\n", outcome(getpeername(a, (struct sockaddr *)&peer, &peer_len)));
    printf("__connect: %s\n", outcome(__connect(a, (struct sockaddr *)&where, sizeof where)));
    printf("send: %s\n", outcome(send(a, "x", 1, MSG_NOSIGNAL)));
    CHECK(close(a) == 0);
    CHECK(close(holder) == 0);
}
