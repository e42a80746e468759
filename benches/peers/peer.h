// What the libraries here have in common: the calls that the workloads make, one row each, with the
// first parameter always named `a`.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

typedef struct sockaddr address;

#define CALLS(ROW)                                                                                            \
    ROW(int, socket, (int a, int b, int c), (a, b, c))                                                        \
    ROW(int, socketpair, (int a, int b, int c, int d[2]), (a, b, c, d))                                       \
    ROW(int, bind, (int a, const address *b, socklen_t c), (a, b, c))                                         \
    ROW(int, listen, (int a, int b), (a, b))                                                                  \
    ROW(int, accept, (int a, address *b, socklen_t *c), (a, b, c))                                            \
    ROW(int, accept4, (int a, address *b, socklen_t *c, int d), (a, b, c, d))                                 \
    ROW(int, connect, (int a, const address *b, socklen_t c), (a, b, c))                                      \
    ROW(int, shutdown, (int a, int b), (a, b))                                                                \
    ROW(int, close, (int a), (a))                                                                             \
    ROW(ssize_t, read, (int a, void *b, size_t c), (a, b, c))                                                 \
    ROW(ssize_t, write, (int a, const void *b, size_t c), (a, b, c))                                          \
    ROW(ssize_t, readv, (int a, const struct iovec *b, int c), (a, b, c))                                     \
    ROW(ssize_t, writev, (int a, const struct iovec *b, int c), (a, b, c))                                    \
    ROW(ssize_t, recv, (int a, void *b, size_t c, int d), (a, b, c, d))                                       \
    ROW(ssize_t, send, (int a, const void *b, size_t c, int d), (a, b, c, d))                                 \
    ROW(ssize_t, recvmsg, (int a, struct msghdr *b, int c), (a, b, c))                                        \
    ROW(ssize_t, sendmsg, (int a, const struct msghdr *b, int c), (a, b, c))
