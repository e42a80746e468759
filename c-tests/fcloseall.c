// fcloseall writes out every stream of the process, sockets included; glibc leaves the descriptors open,
// and the exit closes them. A child does it, to keep our stdout.
// exercises: fcloseall fork _exit
//: socketpair -> 0 made=a,b
//: fork -> ?
//: close a -> 0
//: read b -> 8 received=buffered
//: read b -> 0
//: close b -> 0
//:2 close b -> 0
//:2 fdopen a
//:2 fcloseall
//:2 _exit
#include "harness.h"

int main(void)
{
    int fds[2];
    char text[16];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        begin();
        CHECK(close(fds[1]) == 0);
        FILE *file = fdopen(fds[0], "w");
        CHECK(file != NULL && fputs("buffered", file) >= 0);
        _exit(fcloseall() == 0 ? 0 : 1);
    }
    CHECK(close(fds[0]) == 0);
    CHECK(read(fds[1], text, sizeof text) == 8);
    printf("%.8s\n", text);
    printf("end: %s\n", outcome(read(fds[1], text, sizeof text)));
    CHECK(close(fds[1]) == 0);
    printf("child %d\n", reap(pid));
}
