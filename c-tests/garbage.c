// Whatever nonsense a program passes, the answer is the kernel's, or glibc's: result and errno are
// what they are natively, for every function and each of its arguments in turn; and where glibc itself
// crashes, the program dies by the same signal. Nobody may look at an argument before they did.
// exercises: socket socketpair connect bind listen accept accept4 read readv preadv2 write writev
// exercises: pwritev2 send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg sendfile splice tee
// exercises: vmsplice copy_file_range shutdown close close_range closefrom dup dup2 dup3 fcntl ioctl
// exercises: getsockopt setsockopt getsockname getpeername poll ppoll select pselect epoll_create
// exercises: epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 getaddrinfo getnameinfo
// exercises: sockatmark isfdtype fdopen popen pclose posix_spawn posix_spawnp execve execv execvp
// exercises: execveat fexecve pidfd_getfd aio_read aio_write lio_listio gethostbyname gethostbyname2
// exercises: gethostbyname_r gethostbyaddr dprintf vdprintf system fclose freopen getifaddrs res_query
// exercises: res_send prctl
//: ...
//:t recvmmsg
//:t getnameinfo
#include "harness.h"
#include <aio.h>
#include <ifaddrs.h>
#include <limits.h>
#include <netdb.h>
#include <resolv.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

/* The arguments that are right, by letter: u a UDP socket and a its address, f a stream, T a TCP socket
 * and L the address of the listener l, e an epoll, i a file, o the end of a pipe; b bytes, d room for an
 * address and n its length, v iovecs, m a message, s messages, p polls, x a set, w no time, t an epoll
 * event, c a text, h a host, H hints, R "r+", q a place for a result; A sixteen, N minus one, F FIONREAD;
 * digits are themselves. A name with a star returns a pointer, one with an exclamation mark nothing. */
static const struct row {
    const char *name;
    void *call;
    const char *arguments;
} rows[] = {
    {"socket", socket, "210"}, {"socketpair", socketpair, "110q"}, {"connect", connect, "uaA"},
    {"connect", connect, "TLA"}, {"bind", bind, "uaA"}, {"bind", bind, "TaA"}, {"listen", listen, "l5"},
    {"accept", accept, "ldn"}, {"accept4", accept4, "ldn0"}, {"read", read, "fbA"},
    {"readv", readv, "fv1"}, {"preadv2", preadv2, "fv1N0"}, {"write", write, "fbA"},
    {"writev", writev, "fv1"}, {"pwritev2", pwritev2, "fv1N0"}, {"send", send, "fbA0"},
    {"sendto", sendto, "ubA0aA"}, {"sendmsg", sendmsg, "fm0"}, {"sendmmsg", sendmmsg, "us10"},
    {"recv", recv, "fbA0"}, {"recvfrom", recvfrom, "ubA0dn"}, {"recvmsg", recvmsg, "fm0"},
    {"recvmmsg", recvmmsg, "us10w"}, {"sendfile", sendfile, "fiq4"}, {"splice", splice, "f0o042"},
    {"tee", tee, "oo42"}, {"vmsplice", vmsplice, "ov12"}, {"copy_file_range", copy_file_range, "i0f040"},
    {"shutdown", shutdown, "T1"}, {"dup", dup, "f"}, {"dup2", dup2, "ff"}, {"dup3", dup3, "fi0"},
    {"fcntl", fcntl, "f3b"}, {"fcntl", fcntl, "i5b"}, {"ioctl", ioctl, "fFb"},
    {"getsockopt", getsockopt, "f13bn"}, {"setsockopt", setsockopt, "f19b4"},
    {"getsockname", getsockname, "udn"}, {"getpeername", getpeername, "fdn"}, {"poll", poll, "p10"},
    {"ppoll", ppoll, "p1w0"}, {"select", select, "9xxxw"}, {"pselect", pselect, "9xxxw0"},
    {"epoll_create", epoll_create, "1"}, {"epoll_create1", epoll_create1, "0"},
    {"epoll_ctl", epoll_ctl, "e1ft"}, {"epoll_wait", epoll_wait, "et10"},
    {"epoll_pwait", epoll_pwait, "et100"}, {"epoll_pwait2", epoll_pwait2, "et1w0"},
    {"getnameinfo", getnameinfo, "aAb9b93"}, {"sockatmark", sockatmark, "T"}, {"isfdtype", isfdtype, "f9"},
    {"pidfd_getfd", pidfd_getfd, "ff0"}, {"aio_read", aio_read, "b"}, {"aio_write", aio_write, "b"},
    {"lio_listio", lio_listio, "0b0b"}, {"*gethostbyaddr", gethostbyaddr, "b42"},
    {"getaddrinfo", getaddrinfo, "hcHq"}, {"*gethostbyname", gethostbyname, "h"},
    {"*gethostbyname2", gethostbyname2, "h2"}, {"gethostbyname_r", gethostbyname_r, "hbd9qt"},
    {"res_query", res_query, "c11b9"}, {"res_send", res_send, "b9b9"}, {"getifaddrs", getifaddrs, "q"},
    {"*fdopen", fdopen, "fR"}, {"dprintf", dprintf, "fc"}, {"vdprintf", vdprintf, "fcb"},
    {"*popen", popen, "cc"}, {"system", system, "0"}, {"posix_spawn", posix_spawn, "qc00b0"},
    {"posix_spawnp", posix_spawnp, "qc00b0"}, {"execve", execve, "cbb"}, {"execv", execv, "cb"},
    {"execvp", execvp, "cb"}, {"execveat", execveat, "fcbb0"}, {"fexecve", fexecve, "fbb"},
    {"fclose", fclose, "0"}, {"pclose", pclose, "0"}, {"*freopen", freopen, "cR0"},
    {"prctl", prctl, "30000"}, {"close", close, "f"},
    {"close_range", close_range, "990"}, {"!closefrom", closefrom, "9"},
};
#define ROWS (sizeof rows / sizeof *rows)

static long right[128], wrong[64];
static int wrongs;

/* Where the children write, for the parent to print, and how far they came. */
static struct shared {
    volatile size_t row, argument, value, length;
    char text[1 << 20];
} *shared;

static void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(shared->text + shared->length, sizeof shared->text - shared->length, format, arguments);
    va_end(arguments);
    shared->length += (size_t)n;
}

/* Two pages that can be read and written, one that cannot be touched, one that can be read. Their place
 * is fixed: half of a pointer is a number where a number is wanted, and has to be the same each time. */
static char *const pages = (char *)0x200000000000;

static void *room(size_t size)
{
    static size_t used;
    char *found = pages + used;
    used += (size + 15) / 16 * 16;
    CHECK(used <= 4096);
    return memset(found, 0, size);
}

static void prepare(void)
{
    int pair[2], pipes[2], ready[2];
    struct sockaddr_in *own = room(sizeof *own), *where = room(sizeof *where);
    socklen_t *len = room(sizeof *len);
    struct iovec *iov = (struct iovec *)(pages + 4096);
    struct msghdr *msg = room(sizeof *msg);
    struct mmsghdr *several = room(sizeof *several);
    struct pollfd *waits = room(sizeof *waits);
    fd_set *set = room(sizeof *set);
    struct epoll_event *event = room(sizeof *event);
    struct addrinfo *hints = room(sizeof *hints);
    begin();
    signal(SIGPIPE, SIG_IGN);
    for (int digit = 0; digit < 10; digit++)
        right['0' + digit] = digit;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0 && write(pair[1], "some bytes", 10) == 10);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ready) == 0);
    CHECK(pipe2(pipes, O_NONBLOCK) == 0 && fcntl(pipes[0], F_SETPIPE_SZ, 1 << 20) > 0);
    right['f'] = pair[0], right['o'] = pipes[1];
    right['l'] = tcp_listener(where), right['L'] = (long)where;
    CHECK(fcntl((int)right['l'], F_SETFL, O_NONBLOCK) == 0);
    CHECK((right['T'] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) >= 0);
    CHECK((right['u'] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)) >= 0);
    *own = *where;
    own->sin_port = 0, *len = sizeof *own;
    CHECK(bind((int)right['u'], (struct sockaddr *)own, *len) == 0);
    CHECK(getsockname((int)right['u'], (struct sockaddr *)own, len) == 0);
    right['a'] = (long)own, right['n'] = (long)len;
    CHECK((right['i'] = memfd_create("words", 0)) >= 0 && write((int)right['i'], "some words", 10) == 10);
    *event = (struct epoll_event){.events = EPOLLOUT};
    CHECK((right['e'] = epoll_create1(0)) >= 0 && epoll_ctl((int)right['e'], EPOLL_CTL_ADD, ready[0], event) == 0);
    right['b'] = (long)(pages + 4096 + 2048), right['d'] = (long)room(128);
    iov[0] = (struct iovec){room(16), 4}, right['v'] = (long)iov;
    *msg = (struct msghdr){.msg_iov = iov, .msg_iovlen = 1}, right['m'] = (long)msg;
    several->msg_hdr = (struct msghdr){.msg_iov = iov, .msg_iovlen = 1, .msg_name = own, .msg_namelen = sizeof *own};
    *waits = (struct pollfd){ready[0], POLLOUT, 0}, right['s'] = (long)several, right['p'] = (long)waits;
    right['x'] = (long)set, right['w'] = (long)room(16), right['t'] = (long)event;
    right['c'] = (long)strcpy(room(8), "text"), right['h'] = (long)strcpy(room(16), "127.0.0.1");
    hints->ai_flags = AI_NUMERICHOST, right['H'] = (long)hints, right['R'] = (long)strcpy(room(8), "r+");
    right['q'] = (long)room(16), right['A'] = 16, right['N'] = -1, right['F'] = FIONREAD;

    long values[] = {0, 1, 2, 15, 17, 28, 110, 128, 129, 1024, 1025, INT_MAX, INT_MIN, -1, UINT_MAX, LONG_MAX,
        LONG_MIN, 900, right['i'], right['o'], right['e'], right['l'], right['u'], (long)pages + 8191,
        (long)pages + 8189, (long)pages + 8192, (long)0xffff800000000000, (long)pages + 12288};
    memcpy(wrong, values, sizeof values);
    wrongs = sizeof values / sizeof *values;

    // A name server that is not there: what asks is refused at once.
    CHECK(res_init() == 0);
    _res.nscount = 1, _res.retry = 1;
    _res.nsaddr_list[0] = *own, _res.nsaddr_list[0].sin_port = htons(1);
    // By now the heap is as it will be.
    free(malloc(100));
}

static void one(const struct row *row, size_t argument, int value)
{
    long a[7] = {0};
    for (size_t i = 0; row->arguments[i] != 0; i++)
        a[i] = i == argument && value >= 0 ? wrong[value] : right[(int)row->arguments[i]];
    long (*call)(long, long, long, long, long, long, long);
    memcpy(&call, &row->call, sizeof call);
    // select leaves its result there.
    FD_SET(STDIN_FILENO, (fd_set *)right['x']);
    errno = 0;
    long ret = call(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
    if (row->name[0] == '!')
        say(" done");
    else if (row->name[0] == '*')
        say(" %s", ret == 0 ? strerrorname_np(errno) : "pointer");
    else
        say(" %s", outcome((int)ret));
}

/* Goes on from where the last child came to. */
static void child(void)
{
    for (; shared->row < ROWS; shared->row++) {
        const struct row *row = &rows[shared->row];
        for (; row->arguments[shared->argument] != 0; shared->argument++) {
            if (shared->value == 0)
                say("\n%s, %zu:", row->name, shared->argument + 1);
            while (shared->value < (size_t)wrongs)
                one(row, shared->argument, (int)shared->value++);
            shared->value = 0;
        }
        shared->argument = 0;
        shared->row++;
        _exit(1);
    }
    _exit(0);
}

int main(void)
{
    struct rlimit none = {0, 0};
    int status;
    CHECK(mmap(pages, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
        0) == pages);
    CHECK(mprotect(pages + 8192, 4096, PROT_NONE) == 0 && mprotect(pages + 12288, 4096, PROT_READ) == 0);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED && setrlimit(RLIMIT_CORE, &none) == 0);
    prepare();
    // Each row begins in a child of its own, with these sockets; and so does what follows a crash.
    do {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(20);
            int null = open("/dev/null", O_RDWR);
            CHECK(dup2(null, STDOUT_FILENO) == STDOUT_FILENO);
            child();
        }
        CHECK(waitpid(pid, &status, 0) == pid);
        if (WIFSIGNALED(status))
            say(" signal %d", WTERMSIG(status));
        else if (WEXITSTATUS(status) > 1)
            say(" status %d", WEXITSTATUS(status));
        if (shared->row >= ROWS)
            break;
    } while (WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
    puts(shared->text);
}
