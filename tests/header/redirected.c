// Names every function of the family, plainly. Compiled, and never run. C99, C11 and C++17.

#include <sockshim/redirect.h>

int main(void) {
    struct sockaddr *address = NULL;
    struct msghdr *message = NULL;
    struct iovec *iov = NULL;
    struct pollfd ready = {0, POLLIN, 0};
    socklen_t *len = NULL;
    char text[8] = "";
    int pair[2], sum = 0;
    sum += socket(AF_INET, SOCK_STREAM, 0) + socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    sum += connect(3, address, 0) + bind(3, address, 0) + listen(3, 1);
    sum += accept(3, address, len) + accept4(3, address, len, 0);
    sum += (int)(read(3, text, sizeof text) + readv(3, iov, 0) + write(3, text, 1) + writev(3, iov, 0));
    sum += (int)(send(3, text, 1, 0) + sendto(3, text, 1, 0, address, 0) + sendmsg(3, message, 0));
    sum += (int)(recv(3, text, sizeof text, 0) + recvfrom(3, text, sizeof text, 0, address, len) + recvmsg(3, message, 0));
    sum += shutdown(3, SHUT_WR) + close(3) + dup(3) + dup2(3, 4) + dup3(3, 4, 0);
    sum += getsockopt(3, 0, 0, text, len) + setsockopt(3, 0, 0, text, 0) + getsockname(3, address, len);
    sum += getpeername(3, address, len) + poll(&ready, 1, 0) + (int)sendfile(3, 4, NULL, 1);
    return sum;
}
