// With SOCKSHIM_EDGES=off nobody asks about connections but the program: a parent counts the questions from outside. A
// socket is told from the next one on the same number all the same, and known in a child that is forked.
// settings: SOCKSHIM_EDGES=off
// not logged: the log asks who is at the other end
// exercises: socket connect accept write read close
//: ...
//:2 ...
//:2 socket -> l
//:2 ...
//:2 socket -> a
//:2 connect a -> 0
//:2 accept l -> b
//:2 write a -> 4 sent=ping
//:2 fork -> ?
//:2 ...
//:2 close a -> 0 socket=a
//:2 close b -> 0 socket=b
//:2 socket -> c
//:2 connect c -> 0
//:2 accept l -> d
//:2 close c -> 0 socket=c
//:2 close d -> 0 socket=d
//:2 close l -> 0 socket=l
//:2 _exit
//:3 ...
//:3 read b -> 4 received=ping socket=b
//:3 ...
#include "harness.h"
#include <sys/ptrace.h>
#include <sys/syscall.h>

static void child(void)
{
    struct sockaddr_in where;
    char text[8];
    begin();
    CHECK(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
    raise(SIGSTOP);
    int listener = tcp_listener(&where);
    int a = tcp_connect(&where), b = accept(listener, NULL, NULL);
    CHECK(write(a, "ping", 4) == 4);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(read(b, text, sizeof text) == 4);
        _exit(0);
    }
    reap(pid);
    CHECK(close(a) == 0 && close(b) == 0);
    int c = tcp_connect(&where), d = accept(listener, NULL, NULL);
    CHECK(close(c) == 0 && close(d) == 0 && close(listener) == 0);
    _exit(0);
}

int main(void)
{
    static const struct {
        const char *name;
        uint64_t number;
    } questions[] = {
        {"getsockopt", SYS_getsockopt},
        {"getsockname", SYS_getsockname},
        {"getpeername", SYS_getpeername},
        {"ioctl", SYS_ioctl},
    };
    enum { QUESTIONS = sizeof questions / sizeof *questions };
    int asked[QUESTIONS] = {0}, status;
    begin();
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        child();
    CHECK(waitpid(pid, &status, 0) == pid);
    if (!WIFSTOPPED(status) || ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) != 0)
        return SKIP;
    for (int signal = 0;;) {
        struct __ptrace_syscall_info info;
        CHECK(ptrace(PTRACE_SYSCALL, pid, 0, signal) == 0 && waitpid(pid, &status, 0) == pid);
        if (!WIFSTOPPED(status))
            break;
        signal = WSTOPSIG(status);
        if (signal != (SIGTRAP | 0x80))
            continue;
        signal = 0;
        CHECK(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0);
        for (int i = 0; i < QUESTIONS; i++)
            asked[i] += info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == questions[i].number;
    }
    for (int i = 0; i < QUESTIONS; i++)
        printf("%s: %d\n", questions[i].name, asked[i]);
    printf("child %d\n", WEXITSTATUS(status));
}
