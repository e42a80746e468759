// A sandboxed child uses a socket for the first time behind its filter, where nothing can be asked: that it is
// one, and which, was asked when the filter was installed, with prctl or with seccomp(2).
// exercises: prctl syscall
//: ...
//:t prctl -> 0
//:t prctl -> 0 flag=syscall
//:t send a -> 5 sent=first socket=a
//:t send b -> 6 sent=second socket=b
#include "filter.h"
#include "harness.h"

int main(int argc, char **argv)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(SYS_sendto), ALLOW(SYS_exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog filter = {sizeof code / sizeof *code, code};
    int fds[2];
    char text[16], number[16];
    begin();
    if (argc == 3) {
        int fd = atoi(argv[1]);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
            _exit(SKIP);
        if (strcmp(argv[2], "first") == 0 ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0
                                          : syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0)
            _exit(SKIP);
        size_t len = strlen(argv[2]);
        _exit(send(fd, argv[2], len, 0) == (ssize_t)len ? 6 : 1);
    }
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    for (int i = 0; i < 2; i++) {
        snprintf(number, sizeof number, "%d", fds[i]);
        pid_t pid = fork();
        if (pid == 0) {
            execl("/proc/self/exe", argv[0], number, i == 0 ? "first" : "second", (char *)NULL);
            _exit(127);
        }
        int status = reap(pid);
        if (status == SKIP)
            return SKIP;
        printf("child %d\n", status);
    }
    printf("%zd\n", recv(fds[1], text, sizeof text, MSG_DONTWAIT));
    printf("%zd\n", recv(fds[0], text, sizeof text, MSG_DONTWAIT));
    CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
}
