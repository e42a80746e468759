// The whole life of a server: bind, listen, accept, communicate, disconnect. The accepted socket and
// the listener are two sockets with two ends of life.
// exercises: bind listen accept read write close getsockname
//: socket -> l
//: bind l -> 0
//: listen l -> 0
//: getsockname l -> 0
//: accept l -> a
//: read a -> 4 received=ping
//: write a -> 4 sent=pong
//: close a -> 0
//: close l -> 0
#include "harness.h"

static void *visit(void *where)
{
    char text[8];
    int fd = tcp_connect(where);
    CHECK(write(fd, "ping", 4) == 4);
    CHECK(read(fd, text, sizeof text) == 4);
    CHECK(read(fd, text, sizeof text) == 0);
    CHECK(close(fd) == 0);
    return NULL;
}

int main(void)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, peer;
    socklen_t len = sizeof where, peer_len = sizeof peer;
    pthread_t client;
    char text[8];
    begin();
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(listener, (struct sockaddr *)&where, sizeof where) == 0);
    CHECK(listen(listener, 1) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&where, &len) == 0);
    CHECK(pthread_create(&client, NULL, visit, &where) == 0);

    int fd = accept(listener, (struct sockaddr *)&peer, &peer_len);
    CHECK(fd >= 0);
    printf("accepted, address of %u bytes, loopback %d\n", peer_len,
        peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    CHECK(read(fd, text, sizeof text) == 4);
    printf("%.4s\n", text);
    CHECK(write(fd, "pong", 4) == 4);
    CHECK(close(fd) == 0);
    CHECK(pthread_join(client, NULL) == 0);
    CHECK(close(listener) == 0);
}
