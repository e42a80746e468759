// When descriptors run out every call that makes one fails with EMFILE, and whoever needs one for
// itself fails too.
// exercises: socket socketpair accept dup epoll_create1
//: ...
//: socket -> EMFILE
//: socketpair -> EMFILE
//: accept l -> EMFILE
//: dup l -> EMFILE
//: epoll_create1 -> EMFILE
//: close - -> 0
//: accept l -> b
//: write b -> 4 sent=room
//: read a -> 4 received=room
//: ...
#include "harness.h"
#include <sys/epoll.h>
#include <sys/resource.h>

int main(void)
{
    struct rlimit eight = {8, 8};
    struct sockaddr_in where;
    int fds[2], last = -1, fd;
    char text[8];
    begin();
    CHECK(setrlimit(RLIMIT_NOFILE, &eight) == 0);
    int listener = tcp_listener(&where), a = tcp_connect(&where);
    while ((fd = socket(AF_INET, SOCK_STREAM, 0)) >= 0)
        last = fd;
    printf("last %d, then %s\n", last, outcome(fd));
    printf("socketpair: %s\n", outcome(socketpair(AF_UNIX, SOCK_STREAM, 0, fds)));
    printf("accept: %s\n", outcome(accept(listener, NULL, NULL)));
    printf("dup: %s\n", outcome(dup(listener)));
    printf("epoll_create1: %s\n", outcome(epoll_create1(0)));
    CHECK(close(last) == 0);
    int b = accept(listener, NULL, NULL);
    printf("accept: %s\n", outcome(b));
    CHECK(write(b, "room", 4) == 4);
    CHECK(read(a, text, sizeof text) == 4);
    printf("%.4s\n", text);
}
