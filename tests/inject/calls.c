// Makes each call of the family a few times, over loopback, and prints what each returned: the same each time.

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void tell(const char *name, long ret) {
    printf("%s %ld %s\n", name, ret, ret < 0 ? strerror(errno) : "");
}

static void usr1(int number) {
    (void)number;
    // The only thing that a handler may print with.
    static const char text[] = "SIGUSR1\n";
    if (write(STDOUT_FILENO, text, sizeof text - 1) < 0) {
        _exit(9);
    }
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    signal(SIGUSR1, usr1);
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    tell("setsockopt", setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    tell("bind", bind(listener, (struct sockaddr *)&address, len));
    tell("listen", listen(listener, 8));
    tell("getsockname", getsockname(listener, (struct sockaddr *)&address, &len));
    for (int i = 0; i < 3; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        tell("socket", fd < 0 ? fd : 0);
        int ret = connect(fd, (struct sockaddr *)&address, sizeof address);
        tell("connect", ret);
        if (ret < 0) {
            close(fd);
            continue;
        }
        int other = accept(listener, NULL, NULL);
        tell("accept", other < 0 ? other : 0);
        char buffer[16];
        tell("send", sendto(fd, "ping", 4, MSG_NOSIGNAL, NULL, 0));
        if (other >= 0) {
            tell("recv", recvfrom(other, buffer, sizeof buffer, MSG_DONTWAIT, NULL, NULL));
        }
        tell("shutdown", shutdown(fd, SHUT_WR));
        close(other);
        close(fd);
    }
    close(listener);
    return 0;
}
