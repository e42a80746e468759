// posix_spawn makes the child inside libc and reports errors as its result, not in errno. File actions
// work on the child's descriptors.
// exercises: posix_spawn posix_spawnp
//: socketpair -> 0 made=a,b
//: posix_spawn -> 0 path=/bin/echo
//: posix_spawnp -> 0 path=echo
//: posix_spawn -> 2 path=/nonexistent/program
//: close b -> 0
//: recv a -> 8 received=one\ntwo\n
//: read a -> 0
//: close a -> 0
#include "harness.h"
#include <spawn.h>

int main(void)
{
    int fds[2];
    char text[32];
    pid_t first, second, none = -5;
    posix_spawn_file_actions_t actions;
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO) == 0);
    CHECK(posix_spawn(&first, "/bin/echo", &actions, NULL, (char *[]){"echo", "one", NULL},
        environ) == 0);
    printf("first %d\n", reap(first));
    CHECK(posix_spawnp(&second, "echo", &actions, NULL, (char *[]){"echo", "two", NULL}, environ) == 0);
    printf("second %d\n", reap(second));
    errno = 0;
    printf("missing: %s\n", strerrorname_np(posix_spawn(&none, "/nonexistent/program", NULL, NULL,
        (char *[]){"x", NULL}, environ)));
    CHECK(posix_spawn_file_actions_destroy(&actions) == 0);
    CHECK(close(fds[1]) == 0);
    CHECK(recv(fds[0], text, 8, MSG_WAITALL) == 8);
    printf("%.8s", text);
    printf("end: %s\n", outcome(read(fds[0], text, sizeof text)));
    CHECK(close(fds[0]) == 0);
}
