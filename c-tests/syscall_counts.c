// On the data path a hook makes no system call at all, and a few hundred instructions: the numbers are
// counted from outside, by a parent that steps through the program. A hook that is slow, or asks the
// kernel something, does not show in any other test.
// not logged: each line of the log is a system call
// exercises: read readv preadv2 recv recvfrom recvmsg recvmmsg write writev pwritev2 send sendto
// exercises: sendmsg sendmmsg poll ppoll select pselect epoll_wait epoll_pwait epoll_pwait2 sendfile
// exercises: splice fcntl ioctl syscall
//: ...
//= calls send 103
//= calls recvmsg 103
#include "harness.h"
#include <limits.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>

#define TIMES 100
/* More instructions than these, glibc's few dozen included, are a mistake: for plain transfers, and
 * for those with structures to walk. SHOW_INSTRUCTIONS=1 prints what they are. */
#define MOST_PLAIN 500
#define MOST 1500
/* The least of three calls counts: one of them may need a new place to record to. */
#define TRIES 3

static int tcp[2], epoll, pipes[2], file, value;
static char bytes[64] = "words";
static struct iovec iov = {bytes, 5};
static struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
static struct mmsghdr several = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};
static struct epoll_event event = {.events = EPOLLOUT};
static struct pollfd wait_for = {.events = POLLOUT};
static struct timespec none;
static struct timeval no_time;
static fd_set set;

/* What is not a socket is not worth a question, either. */
static long read_all(int opened)
{
    return read(opened, bytes, sizeof bytes) + close(opened);
}

#define CALLS(ROW)                                                                               \
    ROW(write, write(tcp[0], bytes, 5))                                                          \
    ROW(writev, writev(tcp[0], &iov, 1))                                                         \
    ROW(pwritev2, pwritev2(tcp[0], &iov, 1, -1, 0))                                              \
    ROW(send, send(tcp[0], bytes, 5, 0))                                                         \
    ROW(sendto, sendto(tcp[0], bytes, 5, 0, NULL, 0))                                            \
    ROW(sendmsg, sendmsg(tcp[0], &msg, 0))                                                       \
    ROW(sendmmsg, sendmmsg(tcp[0], &several, 1, 0))                                              \
    ROW(sendfile, sendfile(tcp[0], file, &(off_t){0}, 5))                                        \
    ROW(read, read(tcp[1], bytes, 5))                                                            \
    ROW(readv, readv(tcp[1], &iov, 1))                                                           \
    ROW(preadv2, preadv2(tcp[1], &iov, 1, -1, 0))                                                \
    ROW(recv, recv(tcp[1], bytes, 5, 0))                                                         \
    ROW(recvfrom, recvfrom(tcp[1], bytes, 5, 0, NULL, NULL))                                     \
    ROW(recvmsg, recvmsg(tcp[1], &msg, 0))                                                       \
    ROW(recvmmsg, recvmmsg(tcp[1], &several, 1, 0, NULL))                                        \
    ROW(splice, splice(tcp[1], NULL, pipes[1], NULL, 5, 0))                                      \
    ROW(again, recv(tcp[1], bytes, 5, MSG_DONTWAIT))                                             \
    ROW(refused, write(-1, bytes, 5))                                                            \
    ROW(poll, poll(&wait_for, 1, 0))                                                             \
    ROW(ppoll, ppoll(&wait_for, 1, &none, NULL))                                                 \
    ROW(select, select(tcp[0] + 1, NULL, &set, NULL, &no_time))                                  \
    ROW(pselect, pselect(tcp[0] + 1, NULL, &set, NULL, &none, NULL))                             \
    ROW(epoll_wait, epoll_wait(epoll, &event, 1, 0))                                             \
    ROW(epoll_pwait, epoll_pwait(epoll, &event, 1, 0, NULL))                                     \
    ROW(epoll_pwait2, epoll_pwait2(epoll, &event, 1, &none, NULL))                               \
    ROW(fcntl, fcntl(tcp[0], F_GETFL))                                                           \
    ROW(ioctl, ioctl(tcp[1], FIONREAD, &value))                                                  \
    ROW(by_number, syscall(SYS_sendto, tcp[0], bytes, 5, 0, NULL, 0))                            \
    ROW(opened, read_all(open("/proc/self/comm", O_RDONLY)))                                     \
    ROW(file, pread(file, bytes, 5, 0))                                                          \
    ROW(pipe, write(pipes[1], bytes, 1))

#define FUNCTION(name, call) static long call_##name(void) { return call; }
CALLS(FUNCTION)
static const struct {
    const char *name;
    long (*call)(void);
} rows[] = {
#define ENTRY(name, call) {#name, call_##name},
    CALLS(ENTRY)
};
#define ROWS (sizeof rows / sizeof *rows)

/* Tells the parent where the program is, by a system call that is refused. */
__attribute__((noinline)) static void mark(long number)
{
    __asm__ volatile("syscall" : : "a"(-2L), "D"(number) : "rcx", "r11", "memory");
}

static int child(void)
{
    begin();
    tcp_pair(tcp);
    CHECK((epoll = epoll_create1(0)) >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, tcp[0], &event) == 0);
    CHECK(pipe(pipes) == 0 && fcntl(pipes[1], F_SETPIPE_SZ, 1 << 20) > 0);
    CHECK((file = memfd_create("body", 0)) >= 0 && write(file, bytes, 5) == 5);
    wait_for.fd = tcp[0];
    FD_SET(tcp[0], &set);
    CHECK(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
    raise(SIGSTOP);
    for (size_t i = 0; i < ROWS; i++) {
        mark((long)i);
        for (int n = 0; n < TIMES; n++)
            rows[i].call();
    }
    mark(-1);
    // One call at a time, for the instructions.
    for (size_t i = 0; i < ROWS * TRIES; i++) {
        mark((long)i);
        rows[i / TRIES].call();
        mark(-1);
    }
    return 0;
}

/* Lets the child run to its next stop. */
static int resume(pid_t pid, int request)
{
    int status;
    CHECK(ptrace(request, pid, 0, 0) == 0);
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

int main(void)
{
    static int calls[ROWS][512];
    struct user_regs_struct registers;
    int status, entering = 1;
    long row = -2;
    begin();
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        _exit(child());
    CHECK(waitpid(pid, &status, 0) == pid);
    if (!WIFSTOPPED(status) || ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) != 0)
        return SKIP;
    while (row != -1) {
        status = resume(pid, PTRACE_SYSCALL);
        CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80));
        CHECK(ptrace(PTRACE_GETREGS, pid, 0, &registers) == 0);
        if (entering && (long)registers.orig_rax == -2)
            row = (long)registers.rdi;
        else if (entering && row >= 0 && registers.orig_rax < 512)
            calls[row][registers.orig_rax]++;
        entering = !entering;
    }
    for (size_t i = 0; i < ROWS; i++) {
        printf("%s:", rows[i].name);
        for (int number = 0; number < 512; number++)
            // Without the tool, memory for the next 4,000 records is made by one.
            if (calls[i][number] != 0 && !(number == SYS_madvise && calls[i][number] == 1))
                printf(" %d of number %d", calls[i][number], number);
        puts("");
    }
    // The instructions between a mark and the next. A step over a system call counts as one.
    for (size_t i = 0; i < ROWS; i++) {
        long steps = LONG_MAX;
        for (int try = 0; try < TRIES; try++) {
            long taken = 0, marks = 0;
            while (marks < 2) {
                CHECK(ptrace(PTRACE_GETREGS, pid, 0, &registers) == 0);
                long word = ptrace(PTRACE_PEEKTEXT, pid, registers.rip, 0);
                marks += (word & 0xffff) == 0x050f && (long)registers.rax == -2;
                taken += marks == 1;
                status = resume(pid, PTRACE_SINGLESTEP);
                CHECK(WIFSTOPPED(status));
            }
            steps = taken < steps ? taken : steps;
        }
        if (getenv("SHOW_INSTRUCTIONS") != NULL)
            fprintf(stderr, "%s: %ld instructions\n", rows[i].name, steps);
        static const char *const plain[] = {"write", "read", "send", "recv", "sendto", "recvfrom"};
        long most = MOST;
        for (size_t n = 0; n < sizeof plain / sizeof *plain; n++)
            if (!strcmp(rows[i].name, plain[n]))
                most = MOST_PLAIN;
        if (steps > most)
            printf("%s: %ld instructions\n", rows[i].name, steps);
    }
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    printf("child %d\n", reap(pid));
}
