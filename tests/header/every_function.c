// Calls every function of sockshim.h, over loopback and a socketpair, and stops at the first that does
// not do what it says. C99, C11 and C++17 all take this file.

#include "sockshim.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                         \
    do {                                                                         \
        if (!(condition)) {                                                      \
            printf("line %d: %s: %s\n", __LINE__, #condition, strerror(errno));  \
            exit(1);                                                             \
        }                                                                        \
    } while (0)

// The control functions leave errno alone.
static void control(void) {
    char version[32];
    snprintf(version, sizeof version, "%d.%d.", SOCKSHIM_VERSION_MAJOR, SOCKSHIM_VERSION_MINOR);
    errno = ENOTTY;
    CHECK(strncmp(sockshim_version(), version, strlen(version)) == 0);
    int sink = open("/dev/null", O_WRONLY);
    CHECK(sockshim_start() == -1); // SOCKSHIM_LOG=off: there is nothing to record to
    CHECK(sockshim_log_to(9999) == -1);
    CHECK(sockshim_log_to(sink) == 0);
    CHECK(sockshim_start() == 0);
    sockshim_mark("request 17");
    sockshim_mark(NULL);
    sockshim_span_begin("request 17");
    sockshim_span_end("request 17");
    CHECK(sockshim_inject("conect:error=EIO") == -1);
    CHECK(sockshim_inject("connect:error=ETIMEDOUT:port=1") == 0 && sockshim_inject(NULL) == 0);
    CHECK(sockshim_filter("conect") == -1);
    CHECK(sockshim_filter("connect,close:port=1") == 0 && sockshim_filter(NULL) == 0);
    sockshim_stop();
    CHECK(sockshim_start() == 0);
    size_t bytes = 1;
    CHECK(sockshim_region(&bytes) == NULL && bytes == 0); // lines alone: nothing that others could read
    CHECK(sockshim_record(3 << 20) == 0 && sockshim_record(0) == 0);
    CHECK(sockshim_region(NULL) != NULL && sockshim_region(&bytes) != NULL && bytes == 3 << 20);
    CHECK(errno == ENOTTY);
}

// Create, connect, and what the sockets then are.
static void phases(int pair[2]) {
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    int listener = sockshim_socket(AF_INET, SOCK_STREAM, 0), on = 1;
    CHECK(listener >= 0);
    CHECK(sockshim_setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    CHECK(sockshim_bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(sockshim_listen(listener, 2) == 0);
    CHECK(sockshim_getsockname(listener, (struct sockaddr *)&address, &len) == 0);

    int client = sockshim_socket(AF_INET, SOCK_STREAM, 0);
    CHECK(sockshim_connect(client, (struct sockaddr *)&address, sizeof address) == 0);
    int second = sockshim_socket(AF_INET, SOCK_STREAM, 0);
    CHECK(sockshim_connect(second, (struct sockaddr *)&address, sizeof address) == 0);
    int accepted = sockshim_accept(listener, NULL, NULL);
    CHECK(accepted >= 0);
    CHECK(sockshim_accept4(listener, (struct sockaddr *)&address, &len, SOCK_CLOEXEC) >= 0);
    CHECK(sockshim_getpeername(client, (struct sockaddr *)&address, &len) == 0);

    sockshim_descriptor facts;
    char local[112];
    memset(&facts, 0, sizeof facts);
    CHECK(sockshim_describe(client, &facts) == -1); // size is not set
    facts.size = sizeof facts;
    CHECK(sockshim_describe(0x7fff, &facts) == -1);
    CHECK(sockshim_describe(client, NULL) == -1);
    // A program that was built against a later version has room for more than this one fills.
    struct { sockshim_descriptor known; char later[32]; } longer;
    memset(&longer, 0x55, sizeof longer);
    longer.known.size = sizeof longer;
    CHECK(sockshim_describe(client, &longer.known) == 0 && longer.known.size == sizeof facts);
    CHECK(longer.known.domain == AF_INET && longer.later[0] == 0x55);
    CHECK(sockshim_describe(client, &facts) == 0 && facts.size == sizeof facts);
    CHECK(facts.cookie != 0 && facts.domain == AF_INET && facts.kind == SOCK_STREAM && !facts.listening);
    CHECK(facts.protocol == IPPROTO_TCP && strncmp(facts.local, "127.0.0.1:", 10) == 0);
    memcpy(local, facts.local, sizeof local);
    CHECK(sockshim_describe(accepted, &facts) == 0 && strcmp(facts.peer, local) == 0);
    CHECK(sockshim_describe(listener, &facts) == 0 && facts.listening && facts.peer[0] == 0);

    CHECK(sockshim_close(second) == 0 && sockshim_close(listener) == 0);
    pair[0] = client;
    pair[1] = accepted;
}

// Communicate: every function that carries bytes carries four.
static void communicate(int pair[2], const char *file) {
    char in[8], out[5] = "ping";
    struct iovec to = {out, 4}, from = {in, sizeof in};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iovlen = 1;

    CHECK(sockshim_write(pair[0], out, 4) == 4 && sockshim_read(pair[1], in, sizeof in) == 4);
    CHECK(sockshim_writev(pair[0], &to, 1) == 4 && sockshim_readv(pair[1], &from, 1) == 4);
    CHECK(sockshim_send(pair[0], out, 4, MSG_NOSIGNAL) == 4 && sockshim_recv(pair[1], in, sizeof in, 0) == 4);
    CHECK(sockshim_sendto(pair[0], out, 4, 0, NULL, 0) == 4);
    CHECK(sockshim_recvfrom(pair[1], in, sizeof in, 0, NULL, NULL) == 4);
    message.msg_iov = &to;
    CHECK(sockshim_sendmsg(pair[0], &message, 0) == 4);
    message.msg_iov = &from;
    CHECK(sockshim_recvmsg(pair[1], &message, 0) == 4);

    int input = open(file, O_RDONLY);
    off_t offset = 1;
    CHECK(sockshim_sendfile(pair[0], input, &offset, 3) == 3 && offset == 4);
    struct pollfd ready = {pair[1], POLLIN, 0};
    CHECK(sockshim_poll(&ready, 1, 5000) == 1 && ready.revents == POLLIN);
    CHECK(sockshim_read(pair[1], in, sizeof in) == 3 && memcmp(in, "ELF", 3) == 0);
    CHECK(memcmp(out, "ping", 5) == 0);
}

int main(int argc, char **argv) {
    int pair[2], type = 0;
    socklen_t len = sizeof type;
    (void)argc;
    control();
    phases(pair);
    communicate(pair, argv[0]);
    CHECK(sockshim_shutdown(pair[0], SHUT_WR) == 0);
    CHECK(sockshim_close(pair[0]) == 0 && sockshim_close(pair[1]) == 0);
    CHECK(sockshim_close(pair[0]) == -1 && errno == EBADF);

    CHECK(sockshim_socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    CHECK(sockshim_getsockopt(pair[0], SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM);
    int copy = sockshim_dup(pair[0]);
    CHECK(copy >= 0 && sockshim_dup2(pair[1], copy) == copy);
    CHECK(sockshim_dup3(pair[0], copy, 0) == copy);
    CHECK(sockshim_write(copy, "ping", 4) == 4 && sockshim_close(copy) == 0);
    CHECK(sockshim_log_to(-1) == 0);
    printf("sockshim %s\n", sockshim_version());
    return 0;
}
