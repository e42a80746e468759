// The next free descriptor, after each kind of call: a shim that had one open for a moment, or kept
// one, would shift it. Close 0 and open is how programs redirect.
// exercises: socket socketpair connect bind listen accept accept4 dup dup2 dup3 fcntl fdopen fclose
// exercises: freopen popen pclose epoll_create1 getaddrinfo getnameinfo getifaddrs gethostbyname fork
// exercises: posix_spawn system close close_range shutdown getsockname
//: ...
#include "harness.h"
#include <ifaddrs.h>
#include <netdb.h>
#include <spawn.h>
#include <sys/epoll.h>

static int next(void)
{
    int fd = open("/dev/null", O_RDONLY);
    CHECK(fd >= 0 && close(fd) == 0);
    return fd;
}

#define SHOW(call) (printf("%-60s", #call), fflush(stdout), (void)(call), printf(" next %d\n", next()))

int main(void)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *any = (struct sockaddr *)&where;
    socklen_t len = sizeof where;
    int fds[2], listener = -1, a = -1, b = -1, copy = -1;
    struct addrinfo *answer = NULL;
    struct ifaddrs *list = NULL;
    char host[64];
    pid_t pid = 0;
    FILE *file = NULL;
    begin();
    setvbuf(stdout, NULL, _IOFBF, 8192);
    printf("at start: %d\n", next());
    SHOW(listener = socket(AF_INET, SOCK_STREAM, 0));
    SHOW(bind(listener, any, len));
    SHOW(listen(listener, 4));
    SHOW(getsockname(listener, any, &len));
    SHOW(a = socket(AF_INET, SOCK_STREAM, 0));
    SHOW(connect(a, any, len));
    SHOW(b = accept(listener, NULL, NULL));
    SHOW(shutdown(a, SHUT_WR));
    SHOW(close(a));
    SHOW(close(b));
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    SHOW(copy = dup(fds[0]));
    SHOW(dup2(fds[0], copy));
    SHOW(dup3(fds[0], 30, 0));
    SHOW(fcntl(fds[0], F_DUPFD, 7));
    SHOW(close_range(7, 40, 0));
    SHOW(epoll_create1(0));
    SHOW(file = fdopen(fds[0], "w"));
    SHOW(file = freopen("/dev/null", "w", file));
    SHOW(fclose(file));
    SHOW(file = popen("true", "r"));
    SHOW(pclose(file));
    SHOW(system("true"));
    SHOW(getaddrinfo("127.0.0.1", "80", NULL, &answer));
    SHOW(getnameinfo(any, len, host, sizeof host, NULL, 0, NI_NUMERICHOST));
    SHOW(gethostbyname("localhost"));
    SHOW(getifaddrs(&list));
    SHOW(posix_spawn(&pid, "/bin/true", NULL, NULL, (char *[]){"true", NULL}, environ));
    reap(pid);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        begin();
        SHOW(socket(AF_UNIX, SOCK_STREAM, 0));
        SHOW(close(0));
        SHOW(close_range(0, 0, 0));
        fflush(stdout);
        _exit(0);
    }
    reap(pid);
    SHOW(accept4(listener, NULL, NULL, SOCK_NONBLOCK | (int)0x80000000));
    SHOW(close(listener));
    freeaddrinfo(answer);
    freeifaddrs(list);
}
