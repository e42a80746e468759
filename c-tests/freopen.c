// freopen closes the socket behind a stream without any call to close.
// exercises: freopen freopen64
//: socketpair -> 0 made=a,b
//: fdopen a
//: freopen a symbol=freopen
//: read b -> 0
//: close b -> 0
//: socketpair -> 0 made=c,d
//: fdopen c
//: freopen c symbol=freopen64
//: read d -> 0
//: close d -> 0
#include "harness.h"

extern FILE *freopen64(const char *path, const char *mode, FILE *file);

int main(void)
{
    begin();
    for (int i = 0; i < 2; i++) {
        int fds[2];
        char byte;
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
        FILE *file = fdopen(fds[0], "w");
        CHECK(file != NULL);
        file = i ? freopen64("/dev/null", "w", file) : freopen("/dev/null", "w", file);
        CHECK(file != NULL);
        printf("peer reads: %s\n", outcome(read(fds[1], &byte, 1)));
        printf("same number: %d\n", fileno(file) == fds[0]);
        CHECK(close(fds[1]) == 0);
        CHECK(fclose(file) == 0);
    }
}
