// Some programs and runtimes make their socket calls by number. It is the same life.
// exercises: syscall
//: ...
//: socket -> a flag=syscall
//: connect a -> 0 flag=syscall
//: accept4 l -> b flag=syscall
//: write a -> 5 sent=hello flag=syscall
//: read b -> 5 received=hello flag=syscall
//: sendto b -> 5 sent=world flag=syscall
//: recvfrom a -> 5 received=world flag=syscall
//: shutdown a -> 0 flag=syscall
//: close a -> 0 flag=syscall
//: close b -> 0 flag=syscall
//: close l -> 0 flag=syscall
//: connect - -> EBADF flag=syscall
#include "harness.h"
#include <sys/syscall.h>

int main(void)
{
    struct sockaddr_in where;
    char text[8];
    begin();
    int listener = tcp_listener(&where);
    long a = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
    CHECK(a >= 0);
    CHECK(syscall(SYS_connect, a, &where, sizeof where) == 0);
    long b = syscall(SYS_accept4, listener, NULL, NULL, 0);
    CHECK(b >= 0);
    CHECK(syscall(SYS_write, a, "hello", 5) == 5);
    CHECK(syscall(SYS_read, b, text, sizeof text) == 5);
    printf("%.5s\n", text);
    CHECK(syscall(SYS_sendto, b, "world", 5, MSG_NOSIGNAL, NULL, 0) == 5);
    CHECK(syscall(SYS_recvfrom, a, text, sizeof text, 0, NULL, NULL) == 5);
    printf("%.5s\n", text);
    CHECK(syscall(SYS_shutdown, a, SHUT_RDWR) == 0);
    CHECK(syscall(SYS_close, a) == 0);
    CHECK(syscall(SYS_close, b) == 0);
    CHECK(syscall(SYS_close, listener) == 0);
    printf("getpid: %d\n", syscall(SYS_getpid) == getpid());
    printf("no such call: %s\n", outcome(syscall(100000, 1, 2, 3)));
    printf("bad descriptor: %s\n", outcome(syscall(SYS_connect, -1, &where, sizeof where)));
}
