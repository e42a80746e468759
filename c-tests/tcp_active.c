// The whole life of a client: create, connect, communicate, disconnect. If one program is traced
// right, it is this one.
// exercises: socket connect write read shutdown close
//: ...
//: socket -> a
//: connect a -> 0
//: write a -> 5 sent=hello
//: read a -> 5 received=world
//: shutdown a -> 0
//: read a -> 0
//: close a -> 0
//: close l -> 0
//:t accept l -> p
//:t read p -> 5 received=hello
//:t write p -> 5 sent=world
#include "harness.h"

static void *serve(void *listener)
{
    char text[5], rest;
    int fd = accept(*(int *)listener, NULL, NULL);
    CHECK(fd >= 0);
    CHECK(read(fd, text, sizeof text) == 5);
    CHECK(write(fd, "world", 5) == 5);
    CHECK(read(fd, &rest, 1) == 0);
    CHECK(close(fd) == 0);
    return NULL;
}

int main(void)
{
    struct sockaddr_in where;
    pthread_t server;
    char text[16];
    begin();
    int listener = tcp_listener(&where);
    CHECK(pthread_create(&server, NULL, serve, &listener) == 0);

    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(fd, (struct sockaddr *)&where, sizeof where) == 0);
    CHECK(write(fd, "hello", 5) == 5);
    CHECK(read(fd, text, sizeof text) == 5);
    printf("%.5s\n", text);
    CHECK(shutdown(fd, SHUT_WR) == 0);
    CHECK(read(fd, text, sizeof text) == 0);
    CHECK(close(fd) == 0);

    CHECK(pthread_join(server, NULL) == 0);
    CHECK(close(listener) == 0);
}
