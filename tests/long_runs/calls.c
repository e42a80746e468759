// Opens a TCP connection, sends and receives numbers on it so many times, in each of so many threads, and prints
// how many socket calls that were. Pauses so many microseconds after each thousand.
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK(call) ((call) < 0 ? (perror(#call), exit(1)) : (void)calls++)

static long times, pause_us;

static void *talk(void *unused) {
    long calls = 0;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener, client, server;
    (void)unused;
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
        if (pause_us && i % 1000 == 999) usleep(pause_us);
    }
    CHECK(close(client));
    CHECK(close(server));
    CHECK(close(listener));
    return (void *)calls;
}

int main(int argc, char **argv) {
    times = argc > 1 ? atol(argv[1]) : 1000, pause_us = argc > 2 ? atol(argv[2]) : 0;
    int threads = argc > 3 ? atoi(argv[3]) : 1;
    long calls = 0;
    pthread_t others[64];
    for (int i = 1; i < threads; i++) pthread_create(&others[i], NULL, talk, NULL);
    calls += (long)talk(NULL);
    for (int i = 1; i < threads; i++) {
        void *theirs;
        pthread_join(others[i], &theirs);
        calls += (long)theirs;
    }
    printf("%ld\n", calls);
    return 0;
}
