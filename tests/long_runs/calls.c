// Opens a TCP connection, sends and receives numbers on it so many times, and prints how many socket calls
// that were. Pauses so many microseconds after each thousand.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK(call) ((call) < 0 ? (perror(#call), exit(1)) : (void)calls++)

int main(int argc, char **argv) {
    long times = argc > 1 ? atol(argv[1]) : 1000, pause = argc > 2 ? atol(argv[2]) : 0, calls = 0;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener, client, server;
    CHECK(listener = socket(AF_INET, SOCK_STREAM, 0));
    CHECK(bind(listener, (struct sockaddr *)&address, length));
    CHECK(listen(listener, 1));
    CHECK(getsockname(listener, (struct sockaddr *)&address, &length));
    CHECK(client = socket(AF_INET, SOCK_STREAM, 0));
    CHECK(connect(client, (struct sockaddr *)&address, length));
    CHECK(server = accept(listener, NULL, NULL));
    for (long i = 0; i < times; i++) {
        CHECK(send(client, &i, sizeof i, 0));
        CHECK(recv(server, &i, sizeof i, MSG_WAITALL));
        if (pause && i % 1000 == 999) usleep(pause);
    }
    CHECK(close(client));
    CHECK(close(server));
    CHECK(close(listener));
    printf("%ld\n", calls);
    return 0;
}
