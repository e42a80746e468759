// Many threads at once, each on its own connection: nothing is lost, nothing is mixed up.
// exercises: write read
//= calls write 12800
//= calls read 12800
//= calls socketpair 64
//= calls close 128
#include "harness.h"

#define THREADS 64
#define EXCHANGES 200

static void *exchange(void *number)
{
    int fds[2];
    unsigned char mine = (unsigned char)(uintptr_t)number, got;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    for (int i = 0; i < EXCHANGES; i++) {
        CHECK(write(fds[0], &mine, 1) == 1);
        CHECK(read(fds[1], &got, 1) == 1);
        CHECK(got == mine);
    }
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
    return number;
}

int main(void)
{
    pthread_t threads[THREADS];
    begin();
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, exchange, (void *)(i + 33)) == 0);
    for (uintptr_t i = 0; i < THREADS; i++) {
        void *number;
        CHECK(pthread_join(threads[i], &number) == 0);
        CHECK(number == (void *)(i + 33));
    }
    puts("joined");
}
