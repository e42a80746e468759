/* A server of eight threads that accept from one socket, and a client of sixty-four threads. Client
   number i sends i * 1000 + 1 bytes and gets them back, each plus one. Both tell what they counted. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SERVERS = 8, CLIENTS = 64 };

static int listener;
static struct sockaddr_in address = {.sin_family = AF_INET};
static atomic_int served;
static atomic_long received, sent, wrong;
static int per_thread[SERVERS];
static long tids[SERVERS];

static void check(int ok, const char *what) {
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static void write_all(int fd, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t n = write(fd, bytes, count);
        check(n > 0, "write");
        bytes += n;
        count -= n;
    }
}

/* Takes connections until there have been CLIENTS of them; the last one ends the listener for all. */
static void *serve(void *argument) {
    int self = (int)(long)argument;
    char buffer[4096];
    tids[self] = syscall(SYS_gettid);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        per_thread[self]++;
        ssize_t n;
        while ((n = read(fd, buffer, sizeof buffer)) > 0) {
            received += n;
            for (ssize_t i = 0; i < n; i++)
                buffer[i]++;
            write_all(fd, buffer, n);
            sent += n;
        }
        close(fd);
        if (++served == CLIENTS)
            shutdown(listener, SHUT_RDWR);
    }
}

static void *ask(void *argument) {
    long number = (long)argument, count = number * 1000 + 1, got = 0;
    char *out = malloc(count), in[4096];
    memset(out, (int)number, count);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    check(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    write_all(fd, out, count);
    shutdown(fd, SHUT_WR);
    ssize_t n;
    while ((n = recv(fd, in, sizeof in, 0)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            wrong += in[i] != (char)(number + 1);
        got += n;
    }
    close(fd);
    free(out);
    sent += count;
    received += got;
    return NULL;
}

static void run(int count, void *(*body)(void *)) {
    pthread_t threads[CLIENTS];
    for (long i = 0; i < count; i++)
        check(pthread_create(&threads[i], NULL, body, (void *)i) == 0, "pthread_create");
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv) {
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (argc > 1) {
        address.sin_port = htons(atoi(argv[1]));
        run(CLIENTS, ask);
        printf("asked %d sent %ld received %ld wrong %ld\n", CLIENTS, sent, received, wrong);
        return 0;
    }
    socklen_t size = sizeof address;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    check(bind(listener, (struct sockaddr *)&address, size) == 0, "bind");
    check(listen(listener, CLIENTS) == 0, "listen");
    getsockname(listener, (struct sockaddr *)&address, &size);
    fprintf(stderr, "port %d\n", ntohs(address.sin_port));
    run(SERVERS, serve);
    for (int i = 0; i < SERVERS; i++)
        fprintf(stderr, "thread %ld served %d\n", tids[i], per_thread[i]);
    printf("served %d received %ld sent %ld\n", served, received, sent);
    return 0;
}
