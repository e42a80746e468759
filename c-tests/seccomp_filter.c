// Sandboxes such as sshd's kill for any call that is not on their list; getsockopt, the shim's way to
// ask who a socket is, is not on it.
// exercises: prctl recv send close _exit
//: socketpair -> 0 made=a,b
//: fork -> ?
//: close b -> 0
//: read a -> 8 received=filtered
//: write a -> 4 sent=good
//: read a -> 4 received=good
//: read a -> 0
//: close a -> 0
//:t send b -> 8 sent=filtered
//:t recv b -> 4 received=good
//:t close b -> 0
#include "filter.h"
#include "harness.h"

int main(void)
{
    // write is for the shim's log on stderr, which cannot do without.
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(SYS_sendto), ALLOW(SYS_recvfrom), ALLOW(SYS_write), ALLOW(SYS_close),
            ALLOW(SYS_exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog filter = {sizeof code / sizeof *code, code};
    int fds[2];
    char text[16];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(20);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER,
            &filter) != 0)
            _exit(SKIP);
        if (send(fds[1], "filtered", 8, 0) == 8 && recv(fds[1], text, 4, 0) == 4 && send(fds[1], text,
            4, 0) == 4)
            _exit(close(fds[1]) == 0 ? 6 : 2);
        _exit(1);
    }
    CHECK(close(fds[1]) == 0);
    if (read(fds[0], text, 8) != 8)
        return reap(pid) == SKIP ? SKIP : 1;
    printf("%.8s\n", text);
    CHECK(write(fds[0], "good", 4) == 4);
    CHECK(read(fds[0], text, sizeof text) == 4);
    printf("%.4s\n", text);
    printf("end: %s\n", outcome(read(fds[0], text, sizeof text)));
    printf("child %d\n", reap(pid));
    CHECK(close(fds[0]) == 0);
}
