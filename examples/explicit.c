// client.c once more, with the names of sockshim.h: for code that wants to say what is recorded, or
// that is linked in a way in which the plain names cannot be.
//
//     cc explicit.c -lsockshim -o explicit && ./explicit 127.0.0.1 8080 hello

#include "sockshim.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what) {
    perror(what);
    exit(1);
}

int main(int argc, char **argv) {
    struct sockaddr_in server = {.sin_family = AF_INET};
    if (argc != 4 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) {
        fprintf(stderr, "usage: explicit ADDRESS PORT TEXT, such as explicit 127.0.0.1 8080 hello\n");
        return 2;
    }
    server.sin_port = htons(atoi(argv[2]));

    // 1. Create.
    int fd = sockshim_socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) die("socket");

    // 2. Connect. A mark puts a text of ours into the trace, between the calls.
    sockshim_mark("about to connect");
    if (sockshim_connect(fd, (struct sockaddr *)&server, sizeof server) < 0) die("connect");

    // What sockshim knows of the descriptor now. It needs no trace for that.
    sockshim_descriptor facts = {.size = sizeof facts};
    if (sockshim_describe(fd, &facts) == 0)
        fprintf(stderr, "descriptor %d: socket %llu, %s to %s\n", fd, (unsigned long long)facts.cookie,
                facts.local, facts.peer);

    // 3. Communicate.
    size_t len = strlen(argv[3]), done = 0;
    while (done < len) {
        ssize_t n = sockshim_write(fd, argv[3] + done, len - done);
        if (n < 0) die("write");
        done += n;
    }

    // 4. Disconnect.
    if (sockshim_shutdown(fd, SHUT_WR) < 0) die("shutdown");
    char text[1024];
    ssize_t n;
    while ((n = sockshim_read(fd, text, sizeof text)) > 0) fwrite(text, 1, n, stdout);
    if (n < 0) die("read");
    if (sockshim_close(fd) < 0) die("close");
    putchar('\n');
    return 0;
}
