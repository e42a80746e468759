// Writing to a socket that nobody reads any more kills the program, unless it has arranged otherwise:
// pipelines end that way. A tool that makes SIGPIPE harmless, or deadly, changes what programs do.
// exercises: write writev pwritev2 send sendto sendmsg sendmmsg sendfile splice dprintf fclose syscall
//: ...
//:t write -> EPIPE
//:t send -> EPIPE
#include "harness.h"
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static int fds[2], pipes[2], file;
static char byte = 'x';
static struct iovec iov = {&byte, 1};
static struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
static struct mmsghdr several = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};
static volatile sig_atomic_t handled;

static long by_write(void) { return write(fds[0], &byte, 1); }
static long by_writev(void) { return writev(fds[0], &iov, 1); }
static long by_pwritev2(void) { return pwritev2(fds[0], &iov, 1, -1, 0); }
static long by_send(void) { return send(fds[0], &byte, 1, 0); }
static long by_sendto(void) { return sendto(fds[0], &byte, 1, 0, NULL, 0); }
static long by_sendmsg(void) { return sendmsg(fds[0], &msg, 0); }
static long by_sendmmsg(void) { return sendmmsg(fds[0], &several, 1, 0); }
static long by_sendfile(void) { return sendfile(fds[0], file, &(off_t){0}, 1); }
static long by_splice(void) { return splice(pipes[0], NULL, fds[0], NULL, 1, 0); }
static long by_dprintf(void) { return dprintf(fds[0], "%d", 1); }
static long by_syscall(void) { return syscall(SYS_sendto, fds[0], &byte, 1, 0, NULL, 0); }
static long by_fclose(void)
{
    FILE *stream = fdopen(fds[0], "w");
    CHECK(stream != NULL && fputs("words", stream) >= 0);
    return fclose(stream);
}
static long send_quietly(void) { return send(fds[0], &byte, 1, MSG_NOSIGNAL); }
static long sendto_quietly(void) { return sendto(fds[0], &byte, 1, MSG_NOSIGNAL, NULL, 0); }
static long sendmsg_quietly(void) { return sendmsg(fds[0], &msg, MSG_NOSIGNAL); }
static long sendmmsg_quietly(void) { return sendmmsg(fds[0], &several, 1, MSG_NOSIGNAL); }

static const struct {
    const char *name;
    long (*call)(void);
} rows[] = {
    {"write", by_write}, {"writev", by_writev}, {"pwritev2", by_pwritev2}, {"send", by_send},
    {"sendto", by_sendto}, {"sendmsg", by_sendmsg}, {"sendmmsg", by_sendmmsg},
    {"sendfile", by_sendfile}, {"splice", by_splice}, {"dprintf", by_dprintf},
    {"fclose", by_fclose}, {"syscall", by_syscall}, {"send, MSG_NOSIGNAL", send_quietly},
    {"sendto, MSG_NOSIGNAL", sendto_quietly}, {"sendmsg, MSG_NOSIGNAL", sendmsg_quietly},
    {"sendmmsg, MSG_NOSIGNAL", sendmmsg_quietly},
};

static void handle(int number)
{
    (void)number;
    handled++;
}

int main(void)
{
    static const char *const words[] = {"default", "ignored", "handled", "blocked"};
    begin();
    CHECK((file = memfd_create("body", 0)) >= 0 && write(file, "body", 4) == 4);
    CHECK(pipe(pipes) == 0 && write(pipes[1], "abcd", 4) == 4);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int way = 0; way < 4; way++) {
            pid_t pid = fork();
            CHECK(pid >= 0);
            if (pid == 0) {
                sigset_t pipe_only, pending;
                begin();
                signal(SIGPIPE, way == 1 ? SIG_IGN : way == 2 ? handle : SIG_DFL);
                sigemptyset(&pipe_only);
                sigaddset(&pipe_only, SIGPIPE);
                CHECK(way != 3 || sigprocmask(SIG_BLOCK, &pipe_only, NULL) == 0);
                CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0 && close(fds[1]) == 0);
                errno = 0;
                long ret = rows[i].call();
                const char *text = outcome(ret);
                CHECK(sigpending(&pending) == 0);
                printf("%s, %s: %s, handled %d, pending %d\n", rows[i].name, words[way], text, (int)handled,
                    sigismember(&pending, SIGPIPE));
                exit(0);
            }
            int status = reap(pid);
            if (status != 0)
                printf("%s, %s: status %d\n", rows[i].name, words[way], status);
        }
    }
}
