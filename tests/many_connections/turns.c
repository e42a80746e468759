/* Connections in turn, each with both its ends here: so many, a pause, and so many again. The pause is longer than
   the model waits for the other end of a connection, so that those in front of it have finished. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int turn(int listener, struct sockaddr_in *address, long number)
{
    char bytes[64];
    /* Ports rest for a minute after a connection; each address has ports of its own. */
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK + number % 60000);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(client, (struct sockaddr *)address, sizeof *address))
        return -1;
    int server = accept(listener, NULL, NULL);
    if (write(client, "hello", 5) != 5 || read(server, bytes, sizeof bytes) != 5)
        return -1;
    if (write(server, "world!", 6) != 6 || read(client, bytes, sizeof bytes) != 6)
        return -1;
    return close(client) | close(server);
}

int main(int count, char **words)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 16))
        return 1;
    getsockname(listener, (struct sockaddr *)&address, &size);
    long number = 0;
    for (int at = 1; at < count; at++) {
        if (at > 1)
            usleep(1200000);
        for (long end = number + atol(words[at]); number < end; number++)
            if (turn(listener, &address, number)) {
                perror("turn");
                return 1;
            }
    }
    return close(listener);
}
