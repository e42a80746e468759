// What is measured: loops of socket calls, one after the other. Prints one line: calls, and the
// nanoseconds of wall time and of this process's CPU time that they took. What comes before the loop,
// the start of the process included, is not in it.
//
//   workload KIND OPERATIONS [SIZE]
//
//   again     recv from an empty socket: the cheapest call that is recorded
//   unix tcp  a write of SIZE bytes at one end and a read at the other, by one thread
//   threads   the same in SIZE threads, each with a socketpair of its own
//   many      the same over SIZE socketpairs in turn
//   file      read and write on a file and a pipe, which are no sockets
//   bulk      OPERATIONS writes of 64 KiB through TCP, read by another thread
//   churn     connect, accept, a few bytes, close at both ends
//   spawn     starts SIZE (a path, here) again and again
//   once      OPERATIONS threads, a hundred at a time, that make one call each
//   paced     the calls of `again`, SIZE of them a second
//   flood     the calls of `again` in SIZE threads
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static long operations;
static int size = 1;
static char buffer[64 << 10];

static void must(int true, const char *what) {
    if (!true) {
        perror(what);
        exit(1);
    }
}

static double wall(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static double spent(int who) {
    struct rusage u;
    getrusage(who, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e9 + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e3;
}

static double cpu(void) {
    return spent(RUSAGE_SELF) + spent(RUSAGE_CHILDREN);
}

/* Of all threads; a listener of our own at a free port of loopback. */
static int listener(struct sockaddr_in *to) {
    socklen_t len = sizeof *to;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    *to = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    must(!bind(fd, (void *)to, sizeof *to) && !listen(fd, 128) && !getsockname(fd, (void *)to, &len), "listen");
    return fd;
}

static void pipe_of(int tcp, int ends[2]) {
    if (!tcp) {
        must(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends), "socketpair");
        return;
    }
    struct sockaddr_in to;
    int from = listener(&to);
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    must(!connect(ends[0], (void *)&to, sizeof to), "connect");
    ends[1] = accept(from, NULL, NULL);
    must(ends[1] >= 0, "accept");
    close(from);
}

static void there_and_back(const int ends[2], int bytes) {
    must(write(ends[0], buffer, bytes) == bytes, "write");
    must(read(ends[1], buffer, sizeof buffer) > 0, "read");
}

static void *thread(void *unused) {
    int ends[2];
    (void)unused;
    pipe_of(0, ends);
    for (long i = 0; i < operations; i++)
        there_and_back(ends, 1);
    return NULL;
}

static void *once(void *end) {
    must(recv(*(int *)end, buffer, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN, "recv");
    return NULL;
}

static void *flood(void *end) {
    for (long i = 0; i < operations; i++)
        once(end);
    return NULL;
}

/* So many calls in each millisecond, as early in it as may be. */
static void paced(int end, double per_second) {
    double started = wall();
    for (long made = 0; made < operations;) {
        long due = (long)((wall() - started) / 1e9 * per_second) + 1;
        for (; made < due && made < operations; made++)
            once(&end);
        struct timespec pause = {0, 1000000};
        nanosleep(&pause, NULL);
    }
}

static void *drain(void *from) {
    while (read(*(int *)from, buffer, sizeof buffer) > 0)
        ;
    return NULL;
}

/* What the loop needs is made before `begin` is called. Returns how many calls it makes. */
static double run(const char *kind, const char *path, void (*begin)(void)) {
    int ends[2];
    if (!strcmp(kind, "again")) {
        pipe_of(0, ends);
        begin();
        for (long i = 0; i < operations; i++)
            must(recv(ends[0], buffer, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN, "recv");
        return operations;
    }
    if (!strcmp(kind, "unix") || !strcmp(kind, "tcp")) {
        pipe_of(kind[0] == 't', ends);
        begin();
        for (long i = 0; i < operations; i++)
            there_and_back(ends, size);
        return 2.0 * operations;
    }
    if (!strcmp(kind, "many")) {
        int(*all)[2] = calloc(size, sizeof *all);
        for (int i = 0; i < size; i++)
            pipe_of(0, all[i]);
        begin();
        for (long i = 0; i < operations; i++)
            there_and_back(all[i % size], 1);
        return 2.0 * operations;
    }
    if (!strcmp(kind, "threads")) {
        pthread_t *all = calloc(size, sizeof *all);
        begin();
        for (int i = 0; i < size; i++)
            must(!pthread_create(&all[i], NULL, thread, NULL), "pthread_create");
        for (int i = 0; i < size; i++)
            pthread_join(all[i], NULL);
        return 2.0 * operations * size;
    }
    if (!strcmp(kind, "file")) {
        int null = open("/dev/null", O_RDWR), pipes[2];
        must(null >= 0 && !pipe(pipes), "pipe");
        begin();
        for (long i = 0; i < operations; i++) {
            must(write(null, buffer, 1) == 1 && read(null, buffer, 1) == 0, "/dev/null");
            must(write(pipes[1], buffer, 1) == 1 && read(pipes[0], buffer, 1) == 1, "pipe");
        }
        return 4.0 * operations;
    }
    if (!strcmp(kind, "bulk")) {
        pthread_t reader;
        pipe_of(1, ends);
        begin();
        must(!pthread_create(&reader, NULL, drain, &ends[1]), "pthread_create");
        for (long i = 0; i < operations; i++)
            must(write(ends[0], buffer, sizeof buffer) == sizeof buffer, "write");
        shutdown(ends[0], SHUT_WR);
        pthread_join(reader, NULL);
        return operations;
    }
    if (!strcmp(kind, "churn")) {
        struct sockaddr_in to;
        int from = listener(&to);
        struct linger at_once = {1, 0};
        begin();
        for (long i = 0; i < operations; i++) {
            ends[0] = socket(AF_INET, SOCK_STREAM, 0);
            must(!connect(ends[0], (void *)&to, sizeof to), "connect");
            ends[1] = accept(from, NULL, NULL);
            there_and_back(ends, 1);
            /* No port waits in TIME_WAIT: a run of many thousands would use them up. */
            setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
            close(ends[0]);
            close(ends[1]);
        }
        return operations;
    }
    if (!strcmp(kind, "spawn")) {
        char *arguments[] = {(char *)path, NULL};
        begin();
        for (long i = 0; i < operations; i++) {
            pid_t child;
            must(!posix_spawn(&child, path, NULL, NULL, arguments, environ), path);
            waitpid(child, NULL, 0);
        }
        return operations;
    }
    if (!strcmp(kind, "once")) {
        pthread_t some[100];
        pipe_of(0, ends);
        begin();
        for (long done = 0; done < operations; done += 100) {
            for (int i = 0; i < 100; i++)
                must(!pthread_create(&some[i], NULL, once, &ends[0]), "pthread_create");
            for (int i = 0; i < 100; i++)
                pthread_join(some[i], NULL);
        }
        return operations;
    }
    if (!strcmp(kind, "paced")) {
        pipe_of(0, ends);
        begin();
        paced(ends[0], size);
        return operations;
    }
    if (!strcmp(kind, "flood")) {
        pthread_t *all = calloc(size, sizeof *all);
        pipe_of(0, ends);
        begin();
        for (int i = 0; i < size; i++)
            must(!pthread_create(&all[i], NULL, flood, &ends[0]), "pthread_create");
        for (int i = 0; i < size; i++)
            pthread_join(all[i], NULL);
        return (double)operations * size;
    }
    errno = EINVAL;
    must(0, kind);
    return 0;
}

static double wall_before, cpu_before;

static void begin(void) {
    wall_before = wall();
    cpu_before = cpu();
}

int main(int count, char **arguments) {
    must(count >= 3, "usage: workload KIND OPERATIONS [SIZE]");
    operations = atol(arguments[2]);
    if (count > 3)
        size = atoi(arguments[3]);
    double calls = run(arguments[1], count > 3 ? arguments[3] : NULL, begin);
    double cpu_after = cpu(), wall_after = wall();
    printf("%.0f %.0f %.0f\n", calls, wall_after - wall_before, cpu_after - cpu_before);
    return 0;
}
