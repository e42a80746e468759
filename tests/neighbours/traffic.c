// A client, a server thread, a child and an allocation here and there: what runs beside the shim with
// other libraries in front of it and behind. Prints what it found, and nothing that varies.
#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(cond) ((cond) ? (void)0 : (printf("line %d: %s\n", __LINE__, #cond), exit(1)))
#define EXCHANGES 100

static void *serve(void *listener)
{
    int fd = accept(*(int *)listener, NULL, NULL);
    char *text = malloc(64);
    ssize_t n;
    CHECK(fd >= 0);
    while ((n = recv(fd, text, 64, 0)) > 0)
        CHECK(send(fd, text, (size_t)n, 0) == n);
    CHECK(close(fd) == 0);
    free(text);
    return NULL;
}

int main(void)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof where;
    pthread_t thread;
    int listener = socket(AF_INET, SOCK_STREAM, 0), pair[2], status, sum = 0;
    alarm(50);
    CHECK(bind(listener, (struct sockaddr *)&where, len) == 0 && listen(listener, 1) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&where, &len) == 0);
    CHECK(pthread_create(&thread, NULL, serve, &listener) == 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(fd, (struct sockaddr *)&where, len) == 0);
    for (int i = 0; i < EXCHANGES; i++) {
        char *sent = calloc(1, 32), *got = malloc(32);
        struct pollfd wait = {fd, POLLIN, 0};
        snprintf(sent, 32, "exchange %d", i);
        CHECK(send(fd, sent, 32, 0) == 32 && poll(&wait, 1, -1) == 1 && recv(fd, got, 32, MSG_WAITALL) == 32);
        sum += !strcmp(sent, got);
        free(sent);
        free(got);
    }
    printf("exchanges %d\n", sum);
    CHECK(close(fd) == 0 && pthread_join(thread, NULL) == 0 && close(listener) == 0);

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(write(pair[1], "child", 5) == 5 ? 3 : 1);
    char text[8];
    CHECK(read(pair[0], text, sizeof text) == 5 && waitpid(pid, &status, 0) == pid);
    printf("%.5s %d\n", text, WEXITSTATUS(status));

    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST}, *answer;
    CHECK(getaddrinfo("127.0.0.1", "80", &hints, &answer) == 0);
    freeaddrinfo(answer);
    FILE *file = fdopen(pair[0], "w");
    CHECK(file != NULL && fputs("stream", file) >= 0 && fclose(file) == 0);
    CHECK(read(pair[1], text, 6) == 6 && close(pair[1]) == 0);
    printf("%.6s\n", text);
    return 0;
}
