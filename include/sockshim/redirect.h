/* The plain names of one translation unit are those of sockshim.h:
 *
 *     #include <sockshim/redirect.h>    // first of all
 *
 *     int fd = socket(AF_INET, SOCK_STREAM, 0);    // is sockshim_socket
 *
 * For programs in which the library cannot take the plain names, such as fully static ones, and for
 * recording one part of a program only. The names stay what they were to the compiler: prototypes,
 * pointers to the functions, and methods and members that are called the same. For C and C++, by gcc
 * and clang.
 *
 * Include it first, so that read, recv, recvfrom and poll are still functions: _FORTIFY_SOURCE makes them
 * inline code that calls libc by other names. It is off for this translation unit.
 */

#ifndef SOCKSHIM_REDIRECT_H
#define SOCKSHIM_REDIRECT_H

#ifndef _FEATURES_H
#undef _FORTIFY_SOURCE
#endif

#include "../sockshim.h"

#include <sys/sendfile.h>
#include <unistd.h>

#if defined __USE_FORTIFY_LEVEL && __USE_FORTIFY_LEVEL > 0
#error "include sockshim/redirect.h first, or compile with -U_FORTIFY_SOURCE: read and poll are inline code already"
#endif
#ifdef SOCKSHIM_WEAK_H
#error "sockshim/redirect.h needs the library, and sockshim/weak.h does without: take one of them"
#endif

#define SOCKSHIM_REDIRECT(name) extern __typeof__(name) name __asm__("sockshim_" #name)

#ifdef __cplusplus
extern "C" {
#endif

SOCKSHIM_REDIRECT(socket);
SOCKSHIM_REDIRECT(socketpair);
SOCKSHIM_REDIRECT(connect);
SOCKSHIM_REDIRECT(bind);
SOCKSHIM_REDIRECT(listen);
SOCKSHIM_REDIRECT(accept);
SOCKSHIM_REDIRECT(read);
SOCKSHIM_REDIRECT(readv);
SOCKSHIM_REDIRECT(write);
SOCKSHIM_REDIRECT(writev);
SOCKSHIM_REDIRECT(send);
SOCKSHIM_REDIRECT(sendto);
SOCKSHIM_REDIRECT(sendmsg);
SOCKSHIM_REDIRECT(recv);
SOCKSHIM_REDIRECT(recvfrom);
SOCKSHIM_REDIRECT(recvmsg);
SOCKSHIM_REDIRECT(shutdown);
SOCKSHIM_REDIRECT(close);
SOCKSHIM_REDIRECT(dup);
SOCKSHIM_REDIRECT(dup2);
SOCKSHIM_REDIRECT(getsockopt);
SOCKSHIM_REDIRECT(setsockopt);
SOCKSHIM_REDIRECT(getsockname);
SOCKSHIM_REDIRECT(getpeername);
SOCKSHIM_REDIRECT(poll);
#ifdef __USE_GNU
SOCKSHIM_REDIRECT(accept4);
SOCKSHIM_REDIRECT(dup3);
#endif

#ifdef __cplusplus
}
#endif

#undef SOCKSHIM_REDIRECT

/* libc may have redirected it already, to sendfile64, which is the same. */
#define sendfile(output, input, offset, count) sockshim_sendfile(output, input, offset, count)

#endif /* SOCKSHIM_REDIRECT_H */
