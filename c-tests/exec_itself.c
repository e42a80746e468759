// A socket survives exec under its number: the new program goes on with a connection that it never
// opened.
// exercises: execv
//: socketpair -> 0 made=a,b
//: write a -> 6 sent=before
//: execv
//:2 read b -> 6 received=before
//:2 write b -> 5 sent=after socket=b
//:2 read a -> 5 received=after
//:2 close a -> 0
//:2 close b -> 0
#include "harness.h"

int main(int argc, char **argv)
{
    int fds[2];
    char text[16], first[8], second[8];
    begin();
    if (argc == 1) {
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
        CHECK(write(fds[0], "before", 6) == 6);
        snprintf(first, sizeof first, "%d", fds[0]);
        snprintf(second, sizeof second, "%d", fds[1]);
        execv("/proc/self/exe", (char *[]){argv[0], first, second, NULL});
        return 1;
    }
    fds[0] = atoi(argv[1]);
    fds[1] = atoi(argv[2]);
    CHECK(read(fds[1], text, sizeof text) == 6);
    printf("%.6s\n", text);
    CHECK(write(fds[1], "after", 5) == 5);
    CHECK(read(fds[0], text, sizeof text) == 5);
    printf("%.5s\n", text);
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
