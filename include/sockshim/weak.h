/* sockshim.h for code that is shipped without the library: marks and the rest may stay in it.
 *
 *     #include <sockshim/weak.h>    // instead of sockshim.h; nothing to link
 *
 *     sockshim_mark("request 17");
 *
 * Where the shim is there (LD_PRELOAD, `sockshim run`, -lsockshim) these are its functions. Where it is
 * not, marks do nothing, what has to say that it failed says so (-1; null for the version), and the
 * look-alikes are the functions that they are named after.
 *
 * The names are weak symbols, and macros of the same names ask whether they are there: a load and a
 * comparison. So they have no address of their own to be taken. In programs at fixed addresses (-no-pie)
 * and in static ones a weak symbol is settled when the program is linked: preloaded later, the shim is
 * not found by these names, and they do nothing.
 */

#ifndef SOCKSHIM_WEAK_H
#define SOCKSHIM_WEAK_H

#include "../sockshim.h"

#include <sys/sendfile.h>
#include <unistd.h>

#ifdef SOCKSHIM_REDIRECT_H
#error "sockshim/redirect.h needs the library, and sockshim/weak.h does without: take one of them"
#endif

#pragma weak sockshim_version
#pragma weak sockshim_start
#pragma weak sockshim_stop
#pragma weak sockshim_log_to
#pragma weak sockshim_mark
#pragma weak sockshim_inject
#pragma weak sockshim_filter
#pragma weak sockshim_describe
#pragma weak sockshim_span_begin
#pragma weak sockshim_span_end
#pragma weak sockshim_record
#pragma weak sockshim_region
#pragma weak sockshim_socket
#pragma weak sockshim_socketpair
#pragma weak sockshim_connect
#pragma weak sockshim_bind
#pragma weak sockshim_listen
#pragma weak sockshim_accept
#pragma weak sockshim_accept4
#pragma weak sockshim_read
#pragma weak sockshim_readv
#pragma weak sockshim_write
#pragma weak sockshim_writev
#pragma weak sockshim_send
#pragma weak sockshim_sendto
#pragma weak sockshim_sendmsg
#pragma weak sockshim_recv
#pragma weak sockshim_recvfrom
#pragma weak sockshim_recvmsg
#pragma weak sockshim_shutdown
#pragma weak sockshim_close
#pragma weak sockshim_dup
#pragma weak sockshim_dup2
#pragma weak sockshim_dup3
#pragma weak sockshim_getsockopt
#pragma weak sockshim_setsockopt
#pragma weak sockshim_getsockname
#pragma weak sockshim_getpeername
#pragma weak sockshim_poll
#pragma weak sockshim_sendfile

/* Without the shim: nothing, or what says that it is not there. */
#define sockshim_version() (sockshim_version ? sockshim_version() : (const char *)0)
#define sockshim_start() (sockshim_start ? sockshim_start() : -1)
#define sockshim_stop() (sockshim_stop ? sockshim_stop() : (void)0)
#define sockshim_log_to(fd) (sockshim_log_to ? sockshim_log_to(fd) : -1)
#define sockshim_mark(text) (sockshim_mark ? sockshim_mark(text) : (void)0)
#define sockshim_span_begin(name) (sockshim_span_begin ? sockshim_span_begin(name) : (void)0)
#define sockshim_span_end(name) (sockshim_span_end ? sockshim_span_end(name) : (void)0)
#define sockshim_record(bytes) (sockshim_record ? sockshim_record(bytes) : -1)
#define sockshim_region(bytes) (sockshim_region ? sockshim_region(bytes) : (const void *)0)
#define sockshim_inject(plan) (sockshim_inject ? sockshim_inject(plan) : -1)
#define sockshim_filter(filter) (sockshim_filter ? sockshim_filter(filter) : -1)
#define sockshim_describe(fd, facts) (sockshim_describe ? sockshim_describe(fd, facts) : -1)

/* Without the shim: the function of the plain name. */
#define SOCKSHIM_OR(name, ...) (sockshim_##name ? sockshim_##name(__VA_ARGS__) : name(__VA_ARGS__))
#define sockshim_socket(...) SOCKSHIM_OR(socket, __VA_ARGS__)
#define sockshim_socketpair(...) SOCKSHIM_OR(socketpair, __VA_ARGS__)
#define sockshim_connect(...) SOCKSHIM_OR(connect, __VA_ARGS__)
#define sockshim_bind(...) SOCKSHIM_OR(bind, __VA_ARGS__)
#define sockshim_listen(...) SOCKSHIM_OR(listen, __VA_ARGS__)
#define sockshim_accept(...) SOCKSHIM_OR(accept, __VA_ARGS__)
#define sockshim_accept4(...) SOCKSHIM_OR(accept4, __VA_ARGS__)
#define sockshim_read(...) SOCKSHIM_OR(read, __VA_ARGS__)
#define sockshim_readv(...) SOCKSHIM_OR(readv, __VA_ARGS__)
#define sockshim_write(...) SOCKSHIM_OR(write, __VA_ARGS__)
#define sockshim_writev(...) SOCKSHIM_OR(writev, __VA_ARGS__)
#define sockshim_send(...) SOCKSHIM_OR(send, __VA_ARGS__)
#define sockshim_sendto(...) SOCKSHIM_OR(sendto, __VA_ARGS__)
#define sockshim_sendmsg(...) SOCKSHIM_OR(sendmsg, __VA_ARGS__)
#define sockshim_recv(...) SOCKSHIM_OR(recv, __VA_ARGS__)
#define sockshim_recvfrom(...) SOCKSHIM_OR(recvfrom, __VA_ARGS__)
#define sockshim_recvmsg(...) SOCKSHIM_OR(recvmsg, __VA_ARGS__)
#define sockshim_shutdown(...) SOCKSHIM_OR(shutdown, __VA_ARGS__)
#define sockshim_close(...) SOCKSHIM_OR(close, __VA_ARGS__)
#define sockshim_dup(...) SOCKSHIM_OR(dup, __VA_ARGS__)
#define sockshim_dup2(...) SOCKSHIM_OR(dup2, __VA_ARGS__)
#define sockshim_dup3(...) SOCKSHIM_OR(dup3, __VA_ARGS__)
#define sockshim_getsockopt(...) SOCKSHIM_OR(getsockopt, __VA_ARGS__)
#define sockshim_setsockopt(...) SOCKSHIM_OR(setsockopt, __VA_ARGS__)
#define sockshim_getsockname(...) SOCKSHIM_OR(getsockname, __VA_ARGS__)
#define sockshim_getpeername(...) SOCKSHIM_OR(getpeername, __VA_ARGS__)
#define sockshim_poll(...) SOCKSHIM_OR(poll, __VA_ARGS__)
#define sockshim_sendfile(...) SOCKSHIM_OR(sendfile, __VA_ARGS__)

#endif /* SOCKSHIM_WEAK_H */
