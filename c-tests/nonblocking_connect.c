// Event-driven programs connect in three steps: EINPROGRESS, writable, SO_ERROR. The connection is
// established by a call that does not say so.
// exercises: connect poll getsockopt
//: ...
//: socket -> a
//: connect a -> EINPROGRESS
//: poll - -> 1
//: getsockopt a -> 0
//: connect a -> 0
//: connect a -> EISCONN
//: accept l -> b
//: close b -> 0
//: close a -> 0
//: close l -> 0
#include "harness.h"

int main(void)
{
    struct sockaddr_in where;
    int error = -1;
    socklen_t len = sizeof error;
    begin();
    int listener = tcp_listener(&where);
    int a = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    printf("connect: %s\n", outcome(connect(a, (struct sockaddr *)&where, sizeof where)));
    struct pollfd wait = {.fd = a, .events = POLLOUT};
    CHECK(poll(&wait, 1, -1) == 1);
    printf("revents %#x\n", wait.revents);
    CHECK(getsockopt(a, SOL_SOCKET, SO_ERROR, &error, &len) == 0);
    printf("SO_ERROR %d\n", error);
    printf("connect: %s\n", outcome(connect(a, (struct sockaddr *)&where, sizeof where)));
    printf("connect: %s\n", outcome(connect(a, (struct sockaddr *)&where, sizeof where)));
    int b = accept(listener, NULL, NULL);
    CHECK(b >= 0);
    CHECK(close(b) == 0);
    CHECK(close(a) == 0);
    CHECK(close(listener) == 0);
}
