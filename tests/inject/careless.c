// A client and its server in one program, with a mistake for each kind of failure: it crashes where connecting fails,
// spins where sending says EAGAIN, waits for ever for an answer that ended early, forgets a socket where getsockname
// fails, and takes a short answer for the whole.

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile int *nowhere;

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, own;
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, len) != 0 || listen(listener, 1) != 0) return 1;
    // Through another socket call than the one that is tried below.
    if (getpeername(listener, (struct sockaddr *)&own, &len) == 0) return 1;
    len = sizeof address;
    int asked = getsockname(listener, (struct sockaddr *)&address, &len);
    if (asked != 0) {
        // Forgotten: it stays open to the end.
        fprintf(stderr, "cannot ask\n");
        return 2;
    }
    int client = socket(AF_INET, SOCK_STREAM, 0);
    if (client < 0) {
        close(listener);
        return 1;
    }
    if (connect(client, (struct sockaddr *)&address, len) != 0) return *nowhere;
    int server = accept(listener, NULL, NULL);
    if (server < 0) {
        close(client);
        close(listener);
        return 1;
    }
    // A transfer of the other end that no rule is about would be nice; it is the second one.
    for (;;) {
        if (send(client, "question", 8, MSG_NOSIGNAL) == 8) break;
        if (errno == EPIPE) {
            close(client);
            close(server);
            close(listener);
            fprintf(stderr, "cannot send\n");
            return 3;
        }
        if (errno == EAGAIN) {
            for (;;) nowhere = 0;
        }
        if (errno != EINTR) break;
    }
    char answer[16] = "";
    ssize_t got;
    do {
        got = recv(server, answer, sizeof answer - 1, 0);
    } while (got < 0 && errno == EINTR);
    if (got == 0) {
        poll(NULL, 0, -1);
    }
    printf("%s\n", got > 0 ? answer : "nothing");
    close(server);
    close(client);
    close(listener);
    return 0;
}
