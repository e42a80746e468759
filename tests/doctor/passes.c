// Bytes on TCP connections that pass around libc's socket functions, or all through them: the first
// argument says how. The end that it is about is the active one; its peer is in the same process.
#include "../../c-tests/harness.h"
#include <dlfcn.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netdb.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

extern char **environ;

// Whose number comes from a register, as in a function like libc's syscall: not to be found in the code.
__attribute__((noinline)) static long raw(long number, long a, long b, long c, long d)
{
    long ret;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = 0, r9 __asm__("r9") = 0;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}

static void send_all(int fd, size_t len)
{
    char data[512];
    memset(data, 'x', sizeof data);
    CHECK(send(fd, data, len, 0) == (ssize_t)len);
}

static void receive_all(int fd, size_t len)
{
    char data[512];
    CHECK(recv(fd, data, len, MSG_WAITALL) == (ssize_t)len);
}

// 12 bytes out and 340 in through a stream; 6 more are flushed by its fclose.
static void by_stdio(int us, int peer)
{
    char line[512];
    FILE *stream = fdopen(us, "r+");
    CHECK(stream != NULL);
    CHECK(fprintf(stream, "twelve bytes") == 12 && fflush(stream) == 0);
    receive_all(peer, 12);
    send_all(peer, 339);
    CHECK(send(peer, "\n", 1, 0) == 1);
    CHECK(fgets(line, sizeof line, stream) != NULL && strlen(line) == 340);
    CHECK(fseek(stream, 0, SEEK_CUR) == -1); // from reading to writing
    CHECK(fputs("in the", stream) >= 0);
    CHECK(fclose(stream) == 0);
    receive_all(peer, 6);
    CHECK(close(peer) == 0);
}

static void by_assembly(int us, int peer)
{
    char data[64];
    send_all(us, 10);
    CHECK(raw(SYS_sendto, us, (long)"hidden", 6, 0) == 6);
    receive_all(peer, 16);
    send_all(peer, 30);
    receive_all(us, 20);
    CHECK(raw(SYS_recvfrom, us, (long)data, 10, 0) == 10);
    CHECK(close(us) == 0 && close(peer) == 0);
}

// The child gets the active end as its standard input and output.
static void by_child(int us, int peer, char *program)
{
    pid_t child;
    char *arguments[] = {program, NULL};
    posix_spawn_file_actions_t actions;
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, us, 0) == 0);
    send_all(us, 3);
    receive_all(peer, 3);
    send_all(peer, 7);
    CHECK(posix_spawn(&child, program, &actions, NULL, arguments, environ) == 0);
    CHECK(reap(child) == 0);
    receive_all(peer, 5);
    CHECK(close(us) == 0 && close(peer) == 0);
}

static void executed(const char *how, const char *program)
{
    if (strcmp(how, "system") == 0) {
        CHECK(system(program) == 0);
        return;
    }
    if (strcmp(how, "popen") == 0) {
        FILE *stream = popen(program, "r");
        CHECK(stream != NULL && pclose(stream) == 0);
        return;
    }
    pid_t child = strcmp(how, "vfork") == 0 ? vfork() : fork();
    if (child == 0) {
        execl(program, program, (char *)NULL);
        _exit(1);
    }
    CHECK(reap(child) == 0);
}

// An exec that fails starts nothing.
static void refused(void)
{
    char *arguments[] = {"/no/such/program", NULL};
    CHECK(execv(arguments[0], arguments) == -1);
    CHECK(execl(arguments[0], arguments[0], (char *)NULL) == -1);
    CHECK(posix_spawn(&(pid_t){0}, arguments[0], NULL, NULL, arguments, environ) == ENOENT);
    close(socket(AF_INET, SOCK_STREAM, 0));
}

// The peer resets.
static void reset(int us, int peer)
{
    char data[16];
    send_all(us, 10);
    receive_all(peer, 10);
    send_all(peer, 4);
    receive_all(us, 4);
    CHECK(setsockopt(peer, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger)) == 0);
    CHECK(close(peer) == 0);
    CHECK(recv(us, data, sizeof data, 0) == -1 && errno == ECONNRESET);
    CHECK(close(us) == 0);
}

static void half_close(int us, int peer)
{
    send_all(us, 10);
    CHECK(shutdown(us, SHUT_WR) == 0);
    receive_all(peer, 10);
    send_all(peer, 4);
    CHECK(close(peer) == 0);
    receive_all(us, 4);
    CHECK(recv(us, &(char){0}, 1, 0) == 0);
    CHECK(close(us) == 0);
}

static void unread(int us, int peer)
{
    send_all(us, 10);
    receive_all(peer, 3);
    send_all(peer, 100);
    receive_all(us, 60);
    CHECK(close(us) == 0 && close(peer) == 0);
}

// A name is resolved, then a filter installed that allows everything.
static void restricted(void)
{
    struct addrinfo *found;
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog filter = {.len = 1, .filter = code};
    CHECK(getaddrinfo("127.0.0.1", "80", NULL, &found) == 0);
    freeaddrinfo(found);
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0);
    CHECK(close(socket(AF_INET, SOCK_STREAM, 0)) == 0);
}

int main(int count, char **arguments)
{
    int fds[2];
    begin();
    CHECK(count >= 2);
    const char *how = arguments[1];
    if (strcmp(how, "refused") == 0 || strcmp(how, "restricted") == 0) {
        strcmp(how, "refused") == 0 ? refused() : restricted();
        return 0;
    }
    if (strcmp(how, "deepbind") == 0) {
        CHECK(dlopen(arguments[2], RTLD_NOW | RTLD_DEEPBIND) != NULL);
        CHECK(dlmopen(LM_ID_NEWLM, arguments[2], RTLD_NOW) != NULL);
        return 0;
    }
    if (count == 3 && strcmp(how, "child") != 0) {
        executed(how, arguments[2]);
        return 0;
    }
    // Nothing passes through it; what matters is that it is there.
    if (strcmp(how, "ring") == 0)
        CHECK(syscall(SYS_io_uring_setup, 4, (char[120]){0}) >= 0);
    tcp_pair(fds);
    if (strcmp(how, "stdio") == 0)
        by_stdio(fds[0], fds[1]);
    else if (strcmp(how, "assembly") == 0 || strcmp(how, "ring") == 0)
        by_assembly(fds[0], fds[1]);
    else if (strcmp(how, "child") == 0)
        by_child(fds[0], fds[1], arguments[2]);
    else if (strcmp(how, "reset") == 0)
        reset(fds[0], fds[1]);
    else if (strcmp(how, "half_close") == 0)
        half_close(fds[0], fds[1]);
    else
        unread(fds[0], fds[1]);
    return 0;
}
