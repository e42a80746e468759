// Prints its port, accepts a connection, says hello, and waits for the next one until it is killed.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK(call) ((call) < 0 ? (perror(#call), exit(1)) : (void)0)

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener, client;
    CHECK(listener = socket(AF_INET, SOCK_STREAM, 0));
    CHECK(bind(listener, (struct sockaddr *)&address, length));
    CHECK(listen(listener, 4));
    CHECK(getsockname(listener, (struct sockaddr *)&address, &length));
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        CHECK(client = accept(listener, NULL, NULL));
        CHECK(send(client, "hello", 5, 0));
    }
}
