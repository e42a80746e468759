// A TCP server that answers one client: the passive side of the four phases.
//
//     cc server.c -o server && ./server 8080
//
// It knows nothing of sockshim. README.md says how to watch it anyway.

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what) {
    perror(what);
    exit(1);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: server PORT (0 for any)\n");
        return 2;
    }

    // 1. Create: we ask the operating system for a socket, and get a descriptor for it.
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (listener < 0) die("socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);

    // 2. Connect, the passive way: give the socket an address, listen there, accept who comes.
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    socklen_t len = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
    if (listen(listener, 1) < 0) die("listen");
    if (getsockname(listener, (struct sockaddr *)&address, &len) < 0) die("getsockname");
    printf("listening on port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    int client = accept(listener, NULL, NULL);
    if (client < 0) die("accept");

    // 3. Communicate: what comes goes back in capital letters, until the client says no more.
    char text[1024];
    ssize_t n;
    while ((n = read(client, text, sizeof text)) > 0) {
        for (ssize_t i = 0; i < n; i++) text[i] = toupper((unsigned char)text[i]);
        for (ssize_t done = 0, wrote; done < n; done += wrote)
            if ((wrote = write(client, text + done, n - done)) < 0) die("write");
    }
    if (n < 0) die("read");

    // 4. Disconnect: both descriptors go back.
    if (close(client) < 0 || close(listener) < 0) die("close");
    printf("served\n");
    return 0;
}
