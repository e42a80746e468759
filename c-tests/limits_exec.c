// Programs are started under tight limits: on address space, stack, file size, descriptors, processes.
// What a program can do natively under one it can do with us, from its very start.
// exercises: fork execv socketpair write read
//: ...
//= calls write 9
#include "harness.h"
#include <grp.h>
#include <sys/resource.h>

static const struct {
    const char *name;
    int which;
    rlim_t limit;
} limits[] = {
    {"address space, 96 MiB", RLIMIT_AS, 96 << 20}, {"data, 4 MiB", RLIMIT_DATA, 4 << 20},
    {"stack, 64 KiB", RLIMIT_STACK, 64 << 10}, {"file size, none", RLIMIT_FSIZE, 0},
    {"descriptors, 5", RLIMIT_NOFILE, 5}, {"locked memory, none", RLIMIT_MEMLOCK, 0},
    {"core, none", RLIMIT_CORE, 0}, {"signals, none", RLIMIT_SIGPENDING, 0},
    {"message queues, none", RLIMIT_MSGQUEUE, 0},
};

static int child(void)
{
    int fds[2];
    char byte = 'x';
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        return 1;
    if (write(fds[0], &byte, 1) != 1 || read(fds[1], &byte, 1) != 1)
        return 2;
    return fds[0] == 3 && fds[1] == 4 ? 40 : 3;
}

int main(int argc, char **argv)
{
    begin();
    if (argc > 1)
        return child();
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            struct rlimit limit = {limits[i].limit, limits[i].limit};
            if (setrlimit(limits[i].which, &limit) != 0)
                _exit(4);
            execv("/proc/self/exe", (char *[]){argv[0], "child", NULL});
            _exit(5);
        }
        printf("%s: %d\n", limits[i].name, reap(pid));
    }
    // No more processes: only a user who is not root can run out of them.
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit one = {1, 1};
        if (getuid() == 0 && (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0))
            _exit(6);
        CHECK(setrlimit(RLIMIT_NPROC, &one) == 0);
        // Whether one process of this user exists already depends on the machine, so two are tried.
        pid_t first = fork();
        if (first == 0)
            pause();
        pid_t second = fork();
        if (second == 0)
            _exit(0);
        int error = errno;
        if (first > 0)
            kill(first, SIGKILL);
        _exit(second == -1 && error == EAGAIN ? 50 : 7);
    }
    printf("processes: %d\n", reap(pid));
}
