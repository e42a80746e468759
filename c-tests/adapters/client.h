// What the examples test: a client that greets a server and reads the answer. And a server for it, in a thread.
#ifndef CLIENT_H
#define CLIENT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// Returns how many bytes the answer had, or -1.
static int greet(int port) {
    struct sockaddr_in to;
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons((unsigned short)port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0), got = 0;
    char answer[64];
    ssize_t n = -1;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 && write(fd, "hello", 5) == 5)
        while ((n = read(fd, answer, sizeof answer)) > 0) got += (int)n;
    close(fd);
    return n < 0 ? -1 : got;
}

// A server that answers one client with ten bytes, and then closes, or resets the connection.
struct server {
    int listener, port, resets;
    pthread_t thread;
};

static void *serve(void *argument) {
    struct server *server = (struct server *)argument;
    struct linger at_once = {1, 0};
    char greeting[5];
    int fd = accept(server->listener, NULL, NULL);
    if (fd >= 0 && recv(fd, greeting, sizeof greeting, MSG_WAITALL) == 5 && send(fd, "0123456789", 10, 0) == 10) {
        if (server->resets) setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    close(fd);
    return NULL;
}

static void server_start(struct server *server, int resets) {
    struct sockaddr_in own;
    socklen_t len = sizeof own;
    memset(&own, 0, sizeof own);
    own.sin_family = AF_INET;
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->resets = resets;
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(server->listener, (struct sockaddr *)&own, sizeof own);
    listen(server->listener, 1);
    getsockname(server->listener, (struct sockaddr *)&own, &len);
    server->port = ntohs(own.sin_port);
    pthread_create(&server->thread, NULL, serve, server);
}

static void server_stop(struct server *server) {
    pthread_join(server->thread, NULL);
    close(server->listener);
}

#endif
