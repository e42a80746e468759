// isfdtype asks whether a descriptor is a socket; sockatmark whether urgent data comes next.
// exercises: isfdtype sockatmark
//: ...
//: accept l -> b
//: close l -> 0
//: isfdtype a -> 1
//: isfdtype a -> 0
//: ...
//: send a -> 1 sent=x
//: send a -> 1 sent=!
//: poll - -> 1
//: sockatmark b -> 0
//: recv b -> 1 received=x
//: sockatmark b -> 1
//: recv b -> 1 received=!
//: close a -> 0
//: close b -> 0
#include "harness.h"
#include <sys/stat.h>

int main(void)
{
    int fds[2];
    char byte;
    begin();
    tcp_pair(fds);
    printf("a socket: %d\n", isfdtype(fds[0], S_IFSOCK));
    printf("a file: %d\n", isfdtype(fds[0], S_IFREG));
    printf("stdin is a socket: %d\n", isfdtype(STDIN_FILENO, S_IFSOCK));
    printf("closed number: %d\n", isfdtype(4711, S_IFSOCK));
    CHECK(send(fds[0], "x", 1, 0) == 1);
    CHECK(send(fds[0], "!", 1, MSG_OOB) == 1);
    struct pollfd wait = {.fd = fds[1], .events = POLLPRI};
    CHECK(poll(&wait, 1, -1) == 1);
    printf("at mark %d\n", sockatmark(fds[1]));
    CHECK(recv(fds[1], &byte, 1, 0) == 1);
    printf("%c, at mark %d\n", byte, sockatmark(fds[1]));
    CHECK(recv(fds[1], &byte, 1, MSG_OOB) == 1);
    printf("%c\n", byte);
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
