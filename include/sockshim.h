/* sockshim: what is this program doing with its sockets?
 *
 * Generated from src/abi by cbindgen (`make header`). Do not edit.
 *
 * Link with -lsockshim and the plain names (socket, connect, write, read, close and the rest of the
 * family) are recorded with no change to your sources. Call the sockshim_* look-alikes below where
 * you want to be explicit: they do exactly what the plain names do.
 *
 * Without settings each socket call is printed on stderr. SOCKSHIM_LOG=off|stderr|fd:N|FILE says
 * where to, SOCKSHIM_TRACE=FILE keeps a trace that `sockshim show FILE` prints, SOCKSHIM_SNAPLEN=N
 * says how many bytes of payload are kept of each call.
 *
 * Every function may be called from any thread. The control functions never change errno; the
 * look-alikes leave it as the functions that they stand for do.
 */

#ifndef SOCKSHIM_H
#define SOCKSHIM_H

#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/uio.h>

// The version that this header belongs to; sockshim_version() tells that of the library.
#define SOCKSHIM_VERSION_MAJOR 0
#define SOCKSHIM_VERSION_MINOR 1

// What is known of a descriptor. Set `size` to sizeof(sockshim_descriptor) before the call: later
// versions add fields at the end and fill only as many as you have room for.
typedef struct sockshim_descriptor {
  // sizeof(sockshim_descriptor), set by you.
  size_t size;
  // The kernel's own number of the socket (SO_COOKIE; `ss -e` prints it as `sk:`): the same in
  // every process that has the socket open, and never used again. From 2^63 up one of ours, good in
  // this process and its children: with SOCKSHIM_EDGES=off, and behind a seccomp filter.
  uint64_t cookie;
  // Address family, such as AF_INET.
  int domain;
  // SOCK_STREAM, SOCK_DGRAM and so on.
  int kind;
  // IPPROTO_TCP and so on.
  int protocol;
  // 1 for a listening socket.
  int listening;
  // The socket's own address as text, zero-terminated, cut if it is longer: "127.0.0.1:8080",
  // "/run/x.sock".
  char local[112];
  // The other end's address, empty if it is not connected.
  char peer[112];
} sockshim_descriptor;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library, such as "0.1.0". Static: never free it.
const char *sockshim_version(void);

// Records from now on. Returns 0, or -1 when there is nothing to record to: no trace, no log.
int sockshim_start(void);

// Stops recording: every call passes straight through until sockshim_start.
void sockshim_stop(void);

// Sends the text log to a descriptor of yours from now on, and starts it if it was off; -1 turns it
// off. The descriptor stays yours: keep it open. If its number comes to name something else,
// nothing is written. Returns 0, or -1 when `fd` is not open.
int sockshim_log_to(int fd);

// Puts a text of yours into the trace and the log, at its time: "request 17". `text` is
// zero-terminated and is copied, at most 1,024 bytes of it; null does nothing.
void sockshim_mark(const char *text);

// Marks the beginning of a span of time: "NAME: begin". Null does nothing.
void sockshim_span_begin(const char *name);

// Marks the end of a span: "NAME: end". Null does nothing.
void sockshim_span_end(const char *name);

// Records into memory from now on, which this process shares with its children: `bytes` of it, 2 to 128 MiB,
// 16 MiB for 0. It is not recycled: when it is full, calls are counted and no longer kept. With a trace
// (SOCKSHIM_TRACE, `sockshim run`) everything is recorded there already, and this does nothing. Lines are
// then printed only if SOCKSHIM_LOG asks for them. Returns 0, or -1 when there is no memory, or the
// program has more privilege than its user. Call it before other threads use sockets.
int sockshim_record(size_t bytes);

// Where calls are recorded, and how many bytes that is: a live region, as docs/FORMAT.md tells it, for
// reading. Null when there is none. It stays where it is as long as the process lives. Most programs want
// sockshim/harness.h instead.
const void *sockshim_region(size_t *bytes);

// Makes calls go wrong from now on as a plan says: "connect:error=ECONNREFUSED:when=2+". Rules have spaces
// between them; docs/INJECT.md tells the language. The plan takes the place of the one before; null ends it.
// Each process counts for itself. Returns 0, or -1 when a word of the plan is none, or when there is nothing to
// record to: what is not recorded is not made to fail. Takes memory at each call, which is not given back.
int sockshim_inject(const char *plan);

// Records from now on only the calls that a filter means: "port=443", "%connect,close:peer=10.0.0.1". Rules have
// spaces between them, and one of them has to hold; docs/INJECT.md tells the words. The filter takes the place of the
// one before; null ends it. A socket is on record from the first call on for which a rule holds, and to its end;
// calls that are left out are counted. The trace has a mark where a filter begins. Returns 0, or -1 when a word of it
// is none, or when there is nothing to record to. Takes memory at each call, which is not given back.
int sockshim_filter(const char *filter);

// Tells what `fd` names, into a structure of yours whose `size` you have set. Returns 0, or -1 if
// `fd` is no socket, `facts` is null, or `facts->size` is too small; then nothing is written.
int sockshim_describe(int fd, struct sockshim_descriptor *facts);

// Create: a new socket. As socket(2).
int sockshim_socket(int domain, int kind, int protocol);

// Create: two connected sockets. As socketpair(2).
int sockshim_socketpair(int domain, int kind, int protocol, int *pair);

// Connect: the active open. As connect(2).
int sockshim_connect(int fd, const struct sockaddr *address, socklen_t len);

// Connect: gives the socket its own address. As bind(2).
int sockshim_bind(int fd, const struct sockaddr *address, socklen_t len);

// Connect: the socket accepts connections from now on. As listen(2).
int sockshim_listen(int fd, int backlog);

// Connect: the passive open. As accept(2).
int sockshim_accept(int fd, struct sockaddr *address, socklen_t *len);

// Connect: the passive open, with flags. As accept4(2).
int sockshim_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags);

// Communicate: receives. As read(2).
ssize_t sockshim_read(int fd, void *buffer, size_t len);

// Communicate: receives into several buffers. As readv(2).
ssize_t sockshim_readv(int fd, const struct iovec *iov, int count);

// Communicate: sends. As write(2).
ssize_t sockshim_write(int fd, const void *buffer, size_t len);

// Communicate: sends from several buffers. As writev(2).
ssize_t sockshim_writev(int fd, const struct iovec *iov, int count);

// Communicate: sends, with flags. As send(2).
ssize_t sockshim_send(int fd, const void *buffer, size_t len, int flags);

// Communicate: sends to an address. As sendto(2).
ssize_t sockshim_sendto(int fd,
                        const void *buffer,
                        size_t len,
                        int flags,
                        const struct sockaddr *address,
                        socklen_t address_len);

// Communicate: sends a message. As sendmsg(2).
ssize_t sockshim_sendmsg(int fd, const struct msghdr *message, int flags);

// Communicate: receives, with flags. As recv(2).
ssize_t sockshim_recv(int fd, void *buffer, size_t len, int flags);

// Communicate: receives, and says from whom. As recvfrom(2).
ssize_t sockshim_recvfrom(int fd,
                          void *buffer,
                          size_t len,
                          int flags,
                          struct sockaddr *address,
                          socklen_t *address_len);

// Communicate: receives a message. As recvmsg(2).
ssize_t sockshim_recvmsg(int fd, struct msghdr *message, int flags);

// Disconnect: ends one direction, or both. As shutdown(2).
int sockshim_shutdown(int fd, int how);

// Disconnect: gives the descriptor back. As close(2).
int sockshim_close(int fd);

// Copies a descriptor. As dup(2).
int sockshim_dup(int fd);

// Copies a descriptor to a number. As dup2(2).
int sockshim_dup2(int from, int to);

// Copies a descriptor to a number, with flags. As dup3(2).
int sockshim_dup3(int from, int to, int flags);

// Reads a socket option. As getsockopt(2).
int sockshim_getsockopt(int fd, int level, int name, void *value, socklen_t *len);

// Sets a socket option. As setsockopt(2).
int sockshim_setsockopt(int fd, int level, int name, const void *value, socklen_t len);

// Tells the socket's own address. As getsockname(2).
int sockshim_getsockname(int fd, struct sockaddr *address, socklen_t *len);

// Tells the other end's address. As getpeername(2).
int sockshim_getpeername(int fd, struct sockaddr *address, socklen_t *len);

// Waits until a descriptor is ready. As poll(2).
int sockshim_poll(struct pollfd *fds, nfds_t count, int timeout);

// Communicate: sends from a file. As sendfile(2).
ssize_t sockshim_sendfile(int output, int input, off_t *offset, size_t count);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SOCKSHIM_H */
