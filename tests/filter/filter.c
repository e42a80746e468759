// Exchanges with two servers of its own, A and B, with the filter that is asked for, and says at which ports they are.

#include <sockshim.h>

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int listener[2];
static struct sockaddr_in address[2];

static void check(int good, const char *what) {
    if (!good) {
        perror(what);
        exit(1);
    }
}

// Both ends of a connection to one of the servers.
static void open_to(int server, int ends[2]) {
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    check(connect(ends[0], (struct sockaddr *)&address[server], sizeof address[server]) == 0, "connect");
    ends[1] = accept(listener[server], NULL, NULL);
    check(ends[1] >= 0, "accept");
}

static void talk(int ends[2]) {
    char text[4];
    check(write(ends[0], "ping", 4) == 4 && read(ends[1], text, 4) == 4, "ping");
    check(send(ends[1], "pong", 4, 0) == 4 && recv(ends[0], text, 4, MSG_WAITALL) == 4, "pong");
}

static void close_both(int ends[2]) {
    check(close(ends[0]) == 0 && close(ends[1]) == 0, "close");
}

static void exchange(int server) {
    int ends[2];
    open_to(server, ends);
    talk(ends);
    close_both(ends);
}

static void filter(const char *format, int number) {
    char text[128];
    snprintf(text, sizeof text, format, number);
    check(sockshim_filter(text) == 0, text);
}

static atomic_int over;

static void *uses(void *server) {
    while (!atomic_load(&over)) {
        int pair[2];
        check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
        talk(pair);
        close_both(pair);
    }
    return server;
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    int ends[2], port[2];
    for (int i = 0; i < 2; i++) {
        socklen_t len = sizeof address[i];
        address[i].sin_family = AF_INET;
        address[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        listener[i] = socket(AF_INET, SOCK_STREAM, 0);
        check(bind(listener[i], (struct sockaddr *)&address[i], len) == 0 && listen(listener[i], 8) == 0, "listen");
        check(getsockname(listener[i], (struct sockaddr *)&address[i], &len) == 0, "getsockname");
        port[i] = ntohs(address[i].sin_port);
    }
    printf("%d %d\n", port[0], port[1]);
    if (strcmp(mode, "peer") == 0) {
        filter("peer=127.0.0.1:%d", port[0]);
        exchange(0), exchange(1);
    } else if (strcmp(mode, "port") == 0) {
        filter("port=%d", port[1]);
        exchange(0), exchange(1);
    } else if (strcmp(mode, "function") == 0) {
        filter("connect", 0);
        exchange(0), exchange(1);
    } else if (strcmp(mode, "phase") == 0) {
        filter("%%communicate:peer=:%d", port[0]);
        exchange(0), exchange(1);
    } else if (strcmp(mode, "fd") == 0) {
        open_to(0, ends);
        filter("fd=%d", ends[0]);
        talk(ends);
        close_both(ends);
    } else if (strcmp(mode, "family") == 0) {
        filter("family=AF_UNIX", 0);
        exchange(0);
        check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
        talk(ends);
        close_both(ends);
    } else if (strcmp(mode, "before") == 0) {
        open_to(0, ends);
        filter("peer=:%d", port[1]);
        talk(ends);
        close_both(ends);
    } else if (strcmp(mode, "after") == 0) {
        filter("family=AF_UNIX", 0);
        open_to(0, ends);
        check(sockshim_filter(NULL) == 0, "off");
        talk(ends);
        close_both(ends);
    } else if (strcmp(mode, "ends") == 0) {
        int streamed[2], replaced[2], ranged[2];
        open_to(0, streamed), open_to(0, replaced), open_to(0, ranged);
        filter("peer=:%d", port[1]);
        check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
        FILE *stream = fdopen(streamed[0], "r+");
        check(stream && fclose(stream) == 0, "fclose");
        check(dup2(ends[0], replaced[0]) == replaced[0] && close(replaced[0]) == 0, "dup2");
        check(close_range(ranged[0], ranged[0], 0) == 0, "close_range");
        close(streamed[1]), close(replaced[1]), close(ranged[1]);
        close_both(ends);
    } else if (strcmp(mode, "number") == 0) {
        // By number, as libuv does.
        filter("peer=:%d", port[0]);
        open_to(0, ends);
        check(syscall(SYS_write, ends[0], "ping", 4) == 4, "write");
        close_both(ends);
        open_to(1, ends);
        check(syscall(SYS_write, ends[0], "ping", 4) == 4, "write");
        close_both(ends);
    } else if (strcmp(mode, "refused") == 0) {
        check(sockshim_filter("peer=:0") == -1, "a port");
        check(sockshim_filter("connect:error=EIO") == -1, "a fault");
        check(sockshim_filter("connect:when=2") == -1, "a count");
        check(sockshim_filter("conect") == -1, "a name");
        check(sockshim_filter("") == -1, "nothing");
        exchange(0);
    } else if (strcmp(mode, "threads") == 0) {
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, uses, NULL);
        for (int round = 0; round < 200; round++) {
            filter("family=AF_INET", 0);
            exchange(round % 2);
            check(sockshim_filter(NULL) == 0, "off");
            exchange(round % 2);
        }
        atomic_store(&over, 1);
        for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    }
    close(listener[0]), close(listener[1]);
    return 0;
}
