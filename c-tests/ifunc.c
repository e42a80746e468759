// An IFUNC resolver runs while the libraries are being relocated, ours perhaps not yet: the calls that
// it makes must work even so. Constructors of other libraries run before ours, and their destructors,
// and handlers of atexit and on_exit, after it.
// library: chooser
// library: resolver
// exercises: read write close
//: ...
//: write a -> 5 sent=hello
//: read b -> 5 received=hello
//: ...
#include "harness.h"

extern int chosen(void), through_pointer(void), early(long *resolver, long *constructor);
extern void write_late(int fd);

static int kept[2];

static void at_exit(void)
{
    printf("atexit: %s\n", outcome(write(kept[0], "a", 1)));
}

static void on_exit_too(int status, void *word)
{
    printf("on_exit: %d, %s, %s\n", status, (char *)word, outcome(write(kept[0], "o", 1)));
}

int main(void)
{
    int fds[2];
    long resolver, constructor;
    char text[32];
    begin();
    printf("%d %d\n", chosen(), through_pointer());
    int fd = early(&resolver, &constructor);
    printf("resolver wrote %ld, constructor %ld\n", resolver, constructor);
    CHECK(resolver == 8 && constructor == 11 && recv(fd, text, 19, MSG_WAITALL) == 19);
    printf("%.19s\n", text);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(write(fds[0], "hello", 5) == 5 && read(fds[1], text, sizeof text) == 5);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, kept) == 0);
    write_late(kept[0]);
    CHECK(atexit(at_exit) == 0 && on_exit(on_exit_too, "words") == 0);
    // The child ends first, and the parent sees what its destructor wrote.
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        return 3;
    write_late(-1);
    CHECK(close(kept[0]) == 0);
    printf("child %d\n", reap(pid));
    ssize_t n = recv(kept[1], text, sizeof text, MSG_WAITALL);
    printf("%.*s\n", (int)n, text);
}
