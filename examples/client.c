// A TCP client that sends one line and prints the answer: the active side of the four phases.
//
//     cc client.c -o client && ./client 127.0.0.1 8080 hello
//
// It knows nothing of sockshim. README.md says how to watch it anyway.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what) {
    perror(what);
    exit(1);
}

int main(int argc, char **argv) {
    struct sockaddr_in server = {.sin_family = AF_INET};
    if (argc != 4 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) {
        fprintf(stderr, "usage: client ADDRESS PORT TEXT, such as client 127.0.0.1 8080 hello\n");
        return 2;
    }
    server.sin_port = htons(atoi(argv[2]));

    // 1. Create: we ask the operating system for a socket, and get a descriptor for it.
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) die("socket");

    // 2. Connect: the socket gets a peer. From here on the descriptor stands for a connection.
    if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0) die("connect");

    // 3. Communicate: the text goes out in however many pieces the system takes it.
    size_t len = strlen(argv[3]), done = 0;
    while (done < len) {
        ssize_t n = write(fd, argv[3] + done, len - done);
        if (n < 0) die("write");
        done += n;
    }

    // 4. Disconnect, one direction first: that was all from us. What the server says still arrives.
    if (shutdown(fd, SHUT_WR) < 0) die("shutdown");
    char text[1024];
    ssize_t n;
    while ((n = read(fd, text, sizeof text)) > 0) fwrite(text, 1, n, stdout);
    if (n < 0) die("read");
    if (close(fd) < 0) die("close");
    putchar('\n');
    return 0;
}
