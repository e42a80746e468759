/* What every program here needs, in C or C++: a check that names its line, sockets that are ready for
 * use, and a bound on time. Everything is static inline, so that a program imports only what it calls. */
#ifndef HARNESS_H
#define HARNESS_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Ends the program with status 1 and says where, unless `cond` holds. */
#define CHECK(cond)                                                                              \
    do {                                                                                         \
        if (!(cond)) {                                                                           \
            printf("%s:%d: %s (%s)\n", __FILE__, __LINE__, #cond, strerrorname_np(errno));       \
            exit(1);                                                                             \
        }                                                                                        \
    } while (0)

/* The status that tells the runner: this machine cannot do what the program is about. */
#define SKIP 77

/* Hangs end here. Called by main, and again by children: fork clears the alarm. */
static inline void begin(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    alarm(20);
}

/* "0", "5", or the name of errno when `ret` is -1. */
static inline const char *outcome(long ret)
{
    static __thread char text[24];
    if (ret == -1)
        return strerrorname_np(errno);
    snprintf(text, sizeof text, "%ld", ret);
    return text;
}

/* A TCP socket that listens on a free port of 127.0.0.1. Calls: socket bind listen getsockname. */
static inline int tcp_listener(struct sockaddr_in *where)
{
    socklen_t len = sizeof *where;
    memset(where, 0, sizeof *where);
    where->sin_family = AF_INET;
    where->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK(bind(fd, (struct sockaddr *)where, sizeof *where) == 0);
    CHECK(listen(fd, 8) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)where, &len) == 0);
    return fd;
}

/* A TCP socket that is connected to `where`. Calls: socket connect. */
static inline int tcp_connect(const struct sockaddr_in *where)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK(connect(fd, (const struct sockaddr *)where, sizeof *where) == 0);
    return fd;
}

/* Both ends of a TCP connection, the active one first.
 * Calls: socket bind listen getsockname, socket connect, accept, close (of the listener). */
static inline void tcp_pair(int fds[2])
{
    struct sockaddr_in where;
    int listener = tcp_listener(&where);
    fds[0] = tcp_connect(&where);
    fds[1] = accept(listener, NULL, NULL);
    CHECK(fds[1] >= 0);
    CHECK(close(listener) == 0);
}

/* An AF_UNIX address that no other run of any program uses, and its length. Abstract: leaves no file. */
static inline socklen_t unix_address(struct sockaddr_un *where, const char *word)
{
    memset(where, 0, sizeof *where);
    where->sun_family = AF_UNIX;
    int n = snprintf(where->sun_path + 1, sizeof where->sun_path - 1, "sockshim-%s-%d", word, (int)getpid());
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

/* Whether a thread of ours sleeps in the kernel, which it does inside a blocking call. */
static inline int asleep(pid_t tid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    char *line = fgets(text, sizeof text, file);
    fclose(file);
    const char *paren = line == NULL ? NULL : strrchr(line, ')');
    return paren != NULL && paren[2] == 'S';
}

/* Waits until it does. */
static inline void wait_until_asleep(pid_t tid)
{
    while (!asleep(tid))
        sched_yield();
}

/* Waits for a child and gives its exit status, or 128 + the signal that ended it. */
static inline int reap(pid_t pid)
{
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#endif
