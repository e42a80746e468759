// Programs with bad habits, one per argument, and one without: the test compares what the report says of them.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno)); \
            exit(1); \
        } \
    } while (0)

static struct sockaddr_in address;
static int listener;

/* A listener on a port of the kernel's choice. */
static void serve(void)
{
    socklen_t len = sizeof address;
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(listener >= 0 && bind(listener, (void *)&address, sizeof address) == 0);
    CHECK(getsockname(listener, (void *)&address, &len) == 0 && listen(listener, 8) == 0);
}

/* Both ends of a connection. */
static void join(int flags, int *client, int *server)
{
    *client = socket(AF_INET, SOCK_STREAM | flags, 0);
    CHECK(*client >= 0 && connect(*client, (void *)&address, sizeof address) == 0);
    *server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(*server >= 0);
}

/* Clients that nobody looks at for a while. */
static void queues(void)
{
    int clients[4];
    for (int i = 0; i < 4; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(clients[i] >= 0 && connect(clients[i], (void *)&address, sizeof address) == 0);
    }
    CHECK(poll(NULL, 0, 150) == 0);
    for (int i = 0; i < 4; i++) {
        CHECK(close(accept4(listener, NULL, NULL, SOCK_CLOEXEC)) == 0);
        close(clients[i]);
    }
    close(listener);
}

static void refused(void)
{
    close(listener);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(fd, (void *)&address, sizeof address) < 0 && errno == ECONNREFUSED);
    close(fd);
}

static void leaks(void)
{
    for (int i = 0; i < 4; i++) {
        int client, server;
        join(SOCK_CLOEXEC, &client, &server);
        CHECK(write(client, "x", 1) == 1);
        close(server);
    }
    close(listener);
}

static void talk(int calls)
{
    int client, server;
    char bytes[8];
    join(SOCK_CLOEXEC, &client, &server);
    for (int i = 0; i < calls; i++) {
        CHECK(send(client, "question", 8, 0) == 8 && recv(server, bytes, 8, 0) == 8);
        CHECK(send(server, "answer", 6, 0) == 6 && recv(client, bytes, 8, 0) == 6);
    }
    close(client);
    CHECK(recv(server, bytes, 8, 0) == 0);
    close(server);
    close(listener);
}

static void spins(void)
{
    int client, server;
    char byte;
    join(SOCK_CLOEXEC, &client, &server);
    for (int i = 0; i < 1000; i++)
        CHECK(recv(client, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
    CHECK(write(server, "0123456789abcdefghij", 20) == 20);
    for (int i = 0; i < 20; i++)
        CHECK(read(client, &byte, 1) == 1);
    close(client);
    close(server);
    close(listener);
}

static void twice(void)
{
    int client, server;
    join(SOCK_CLOEXEC, &client, &server);
    close(client);
    CHECK(close(client) < 0 && errno == EBADF);
    close(server);
    close(listener);
}

static void unread(void)
{
    int client, server;
    join(SOCK_CLOEXEC, &client, &server);
    CHECK(write(server, "abc", 3) == 3);
    close(server);
    close(client);
    close(listener);
}

static void executes(void)
{
    int client, server, status;
    join(0, &client, &server);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    close(client);
    close(server);
    close(listener);
}

int main(int argc, char **argv)
{
    const char *habit = argc > 1 ? argv[1] : "";
    serve();
    if (strcmp(habit, "refused") == 0)
        refused();
    else if (strcmp(habit, "queues") == 0)
        queues();
    else if (strcmp(habit, "leaks") == 0)
        leaks();
    else if (strcmp(habit, "talks") == 0)
        talk(argc > 2 ? atoi(argv[2]) : 1);
    else if (strcmp(habit, "spins") == 0)
        spins();
    else if (strcmp(habit, "twice") == 0)
        twice();
    else if (strcmp(habit, "unread") == 0)
        unread();
    else if (strcmp(habit, "executes") == 0)
        executes();
    else
        CHECK(!"a habit that is known");
    return 0;
}
