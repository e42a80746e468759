// Callbacks, facts, iteration, stories and copies: what harness.h has besides expectations. C99, C11 and C++17 take this
// file. The argument names a file for the copy; without the shim it says what it finds, and that is all.

#include <sockshim.h>
#include <sockshim/harness.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "client.h"

#define CHECK(condition)                                                         \
    do {                                                                         \
        if (!(condition)) {                                                      \
            printf("line %d: %s\n", __LINE__, #condition);                       \
            exit(1);                                                             \
        }                                                                        \
    } while (0)

struct told {
    sockshim_watch *watch;
    pthread_t thread;
    int calls, connects, phases[5], finished, inside;
    uint64_t finished_bytes;
};

// What a callback may rely on: the thread, the order, nobody else at the same time.
static void enter(struct told *told) {
    CHECK(pthread_equal(told->thread, pthread_self()));
    CHECK(told->inside == 0);
    told->inside = 1;
    CHECK(sockshim_watch_deliver(told->watch) == -1); // we are in it
}

static void on_call(const sockshim_call *call, void *context) {
    struct told *told = (struct told *)context;
    enter(told);
    told->calls++;
    told->connects += strcmp(call->name, "connect") == 0 && call->result == 0 && call->phase == SOCKSHIM_CONNECT;
    CHECK(call->size == sizeof *call && call->duration_ns >= 0 && strchr(call->line, '(') != NULL);
    int fd = socket(AF_INET, SOCK_STREAM, 0); // is told the next time
    CHECK(fd >= 0 && close(fd) == 0);
    told->inside = 0;
}

static void on_phase(const sockshim_connection *connection, int phase, void *context) {
    struct told *told = (struct told *)context;
    enter(told);
    CHECK(connection->size == sizeof *connection && phase >= 0 && phase < 5);
    told->phases[phase]++;
    told->inside = 0;
}

static void on_finished(const sockshim_connection *connection, void *context) {
    struct told *told = (struct told *)context;
    enter(told);
    CHECK(!connection->open && connection->sentence[0]);
    told->finished++;
    told->finished_bytes += connection->sent_bytes;
    told->inside = 0;
}

static void watches(void) {
    struct told told;
    memset(&told, 0, sizeof told);
    sockshim_callbacks callbacks;
    memset(&callbacks, 0, sizeof callbacks);
    callbacks.size = sizeof callbacks;
    callbacks.context = &told;
    callbacks.call = on_call;
    callbacks.phase = on_phase;
    callbacks.finished = on_finished;
    told.thread = pthread_self();
    told.watch = sockshim_watch_new(&callbacks);
    CHECK(told.watch != NULL);
    CHECK(sockshim_watch_deliver(told.watch) == 0); // nothing yet

    struct server server;
    server_start(&server, 0);
    CHECK(greet(server.port) == 10);
    server_stop(&server);
    CHECK(told.calls == 0); // nobody has asked for it
    CHECK(sockshim_watch_deliver(told.watch) > 0);
    CHECK(told.connects == 1 && told.calls >= 10);
    CHECK(told.finished == 3 && told.finished_bytes == 15); // the listener, and both ends
    CHECK(told.phases[SOCKSHIM_CREATE] == 2 && told.phases[SOCKSHIM_COMMUNICATE] == 2);
    // What the callbacks have done themselves, once for each call that was told.
    int before = told.calls;
    CHECK(sockshim_watch_deliver(told.watch) > 0);
    CHECK(told.connects == 1 && told.calls == before + 2 * before);
    sockshim_watch_free(told.watch);
    sockshim_watch_free(NULL);
    CHECK(sockshim_watch_deliver(NULL) == -1);
}

static int count(const sockshim_connection *connection, void *context) {
    unsigned *numbers = (unsigned *)context;
    CHECK(connection->number > numbers[0]);
    numbers[0] = connection->number;
    numbers[1] += connection->role == SOCKSHIM_ACTIVE;
    numbers[2] = connection->role == SOCKSHIM_ACTIVE ? connection->number : numbers[2];
    return 0;
}

static int stop(const sockshim_connection *connection, void *context) {
    (void)connection;
    (void)context;
    return 1;
}

static void facts_of_a_pair(void) {
    CHECK(sockshim_test_begin("facts") == 0);
    int pair[2];
    sockshim_connection found;
    found.size = sizeof found;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    CHECK(sockshim_connection_of(pair[0], &found) == 0);
    CHECK(found.role == SOCKSHIM_PAIR && found.phase == SOCKSHIM_CREATE && found.open && found.communicate_ns == -1);
    CHECK(found.fd == pair[0] && found.pid == getpid() && found.cookie != 0 && found.sent_bytes == 0);
    CHECK(write(pair[0], "ping", 4) == 4);
    CHECK(sockshim_connection_of(pair[0], &found) == 0);
    CHECK(found.sent_bytes == 4 && found.sent_calls == 1 && found.phase == SOCKSHIM_COMMUNICATE);
    CHECK(sockshim_expect(NULL, "no-leaks", NULL, 0) == SOCKSHIM_FAILS);
    CHECK(close(pair[0]) == 0 && close(pair[1]) == 0);
    CHECK(sockshim_connection_of(pair[0], &found) == -1 && sockshim_connection_of(-1, &found) == -1);
    CHECK(sockshim_expect(NULL, "no-leaks", NULL, 0) == SOCKSHIM_HOLDS);
    // Who was built against an earlier version has less room.
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    found.pid = -7;
    found.size = 16;
    CHECK(sockshim_connection_of(pair[0], &found) == 0 && found.size == 16 && found.pid == -7);
    CHECK(sockshim_connection_of(pair[0], NULL) == -1);
    CHECK(close(pair[0]) == 0 && close(pair[1]) == 0);
}

static void facts(const char *copy) {
    CHECK(sockshim_test_begin("iterates") == 0);
    struct server server;
    unsigned numbers[3] = {0, 0, 0};
    server_start(&server, 0);
    CHECK(greet(server.port) == 10);
    server_stop(&server);
    CHECK(sockshim_connections(NULL, count, numbers) == 3 && numbers[1] == 1);
    CHECK(sockshim_connections(NULL, stop, NULL) == 1);
    char story[2048], start[8];
    long len = sockshim_story(NULL, numbers[2], story, sizeof story);
    CHECK(len > 0 && len == (long)strlen(story));
    CHECK(strstr(story, "write(") && strstr(story, "\"0123456789\"") && strstr(story, "closed first"));
    CHECK(sockshim_story(NULL, numbers[2], start, sizeof start) == len && strlen(start) == 7);
    CHECK(sockshim_story(NULL, 9999, NULL, 0) == -1);
    CHECK(sockshim_save(copy) == 0 && sockshim_save("/no/such/folder/x") == -1);
    // The copy knows all of it, as a trace does.
    CHECK(sockshim_connections(copy, NULL, NULL) > 3);
    CHECK(sockshim_expect("/no/such/trace", "no-leaks", story, sizeof story) == SOCKSHIM_FAILS);
    CHECK(strstr(story, "/no/such/trace"));
}

// A child that is forked by a test belongs to it, and asks for itself alone.
static void forks(void) {
    struct server server;
    char why[2048];
    CHECK(sockshim_test_begin("forks") == 0);
    server_start(&server, 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int got = greet(server.port);
        int own = sockshim_expect(NULL, "connections 1", why, sizeof why);
        int fails = sockshim_expect(NULL, "connections 2", NULL, 0);
        if (own != SOCKSHIM_HOLDS) printf("%s", why);
        fflush(stdout);
        _exit(got == 10 && own == SOCKSHIM_HOLDS && fails == SOCKSHIM_FAILS ? 0 : 1);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    server_stop(&server);
    CHECK(sockshim_expect(NULL, "connections 1", why, sizeof why) == SOCKSHIM_HOLDS);
    CHECK(sockshim_expect(NULL, "no-errors", why, sizeof why) == SOCKSHIM_HOLDS);
    // A child that is killed leaves its socket to the kernel, and is seen to have ended.
    CHECK(sockshim_test_begin("is killed") == 0);
    child = fork();
    if (child == 0) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        abort();
        close(fd);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    CHECK(sockshim_expect(NULL, "no-leaks", why, sizeof why) == SOCKSHIM_FAILS);
}

static void *asks(void *argument) {
    struct server server;
    server_start(&server, 0);
    CHECK(greet(server.port) == 10);
    server_stop(&server);
    CHECK(sockshim_expect(NULL, "closes-first server", NULL, 0) != SOCKSHIM_SKIPPED);
    return argument;
}

// Several threads may ask at once, while others use sockets.
static void threads(void) {
    pthread_t all[4];
    CHECK(sockshim_test_begin("threads") == 0);
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&all[i], NULL, asks, NULL) == 0);
    for (int i = 0; i < 4; i++) CHECK(pthread_join(all[i], NULL) == 0);
    CHECK(sockshim_expect(NULL, "connections 4", NULL, 0) == SOCKSHIM_HOLDS);
}

int main(int argc, char **argv) {
    char why[256];
    errno = ENOTTY;
    if (sockshim_test_begin("first") != 0) {
        CHECK(sockshim_expect(NULL, "no-leaks", why, sizeof why) == SOCKSHIM_SKIPPED);
        CHECK(sockshim_watch_new(NULL) == NULL && sockshim_connections(NULL, NULL, NULL) == -1);
        CHECK(sockshim_save(argv[argc - 1]) == -1 && errno == ENOTTY);
        printf("%s", why);
        return 0;
    }
    CHECK(sockshim_expect(NULL, "no-leeks", why, sizeof why) == SOCKSHIM_FAILS && strstr(why, "no-leeks"));
    CHECK(sockshim_expect(NULL, NULL, why, 4) == SOCKSHIM_FAILS && strlen(why) == 3 && errno == ENOTTY);
    facts_of_a_pair();
    if (argc > 1) {
        watches();
        facts(argv[1]);
        forks();
        threads();
    }
    printf("all told\n");
    return 0;
}
