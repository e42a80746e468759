// Behind a seccomp filter the recorder can ask for no memory; there is room all the same.
// exercises: prctl send recv
//= calls send 6000
//= calls recv 6000
#include "filter.h"
#include "harness.h"

int main(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(SYS_sendto), ALLOW(SYS_recvfrom), ALLOW(SYS_write), ALLOW(SYS_exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog filter = {sizeof code / sizeof *code, code};
    int fds[2];
    char text[8];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    puts("before");
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
    for (int i = 0; i < 6000; i++)
        CHECK(send(fds[0], "words", 5, 0) == 5 && recv(fds[1], text, sizeof text, 0) == 5);
    puts("after");
    _exit(0);
}
