// Handlers of pthread_atfork run in the child before fork returns there, so before a hook of fork can know: their
// calls are the child's own all the same.
// exercises: fork write
//: socketpair -> 0 made=a,b
//: fork -> ?
//: read a -> 7 received=handler
//: read a -> 5 received=child
//: close a -> 0
//: close b -> 0
//:2 write b -> 7 sent=handler
//:2 write b -> 5 sent=child
//:2 _exit
//= calls write 2
#include "harness.h"

static int fds[2];

static void in_child(void)
{
    if (write(fds[1], "handler", 7) != 7)
        _exit(2);
}

int main(void)
{
    char text[8];
    begin();
    CHECK(pthread_atfork(NULL, NULL, in_child) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(20);
        _exit(write(fds[1], "child", 5) == 5 ? 7 : 1);
    }
    CHECK(read(fds[0], text, 7) == 7);
    printf("%.7s\n", text);
    CHECK(read(fds[0], text, 5) == 5);
    printf("%.5s, child %d\n", text, reap(pid));
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
