/* What has this program done with its sockets? For tests, which ask it of themselves:
 *
 *     sockshim_test_begin("the client says goodbye");
 *     ... what is tested ...
 *     char why[4096];
 *     if (sockshim_expect(NULL, "closes-first client", why, sizeof why) == SOCKSHIM_FAILS) ... why ...
 *
 * Link with -lsockshim_harness, and have the shim there (-lsockshim, or LD_PRELOAD). Without the shim the tests
 * run, and every answer is SOCKSHIM_SKIPPED. sockshim/assert.h, cmocka.h, check.h and tap.h say it in the words
 * of these frameworks. With <sockshim/weak.h> in front of it this library may be absent, too.
 *
 * Whoever asks NULL asks about this process and those that it has forked, and about connections that were made
 * since the last sockshim_test_begin; whoever names a trace (SOCKSHIM_TRACE, `sockshim run -o`) asks about all of
 * it, as `sockshim check` does. The answers are those of `sockshim check`, in the same words.
 *
 * Every function may be called from any thread, takes time in proportion to what has been recorded, and leaves
 * errno as it is. None may be called in a signal handler. Structures have their size as their first member: later
 * versions add members at the end.
 */

#ifndef SOCKSHIM_HARNESS_H
#define SOCKSHIM_HARNESS_H

#include <stddef.h>
#include <stdint.h>

// What sockshim_expect says.
#define SOCKSHIM_FAILS 0
#define SOCKSHIM_HOLDS 1
#define SOCKSHIM_SKIPPED 2

// The phases of a connection, and of calls. The last three are of calls only.
enum sockshim_phase {
  SOCKSHIM_RESOLVE = 0,
  SOCKSHIM_CREATE = 1,
  SOCKSHIM_CONNECT = 2,
  SOCKSHIM_COMMUNICATE = 3,
  SOCKSHIM_DISCONNECT = 4,
  SOCKSHIM_WAIT = 5,
  SOCKSHIM_CONTROL = 6,
  SOCKSHIM_PROCESS = 7
};

// What a socket is for.
enum sockshim_role {
  SOCKSHIM_UNKNOWN = 0,
  SOCKSHIM_ACTIVE = 1,
  SOCKSHIM_PASSIVE = 2,
  SOCKSHIM_LISTENER = 3,
  SOCKSHIM_PAIR = 4,
  SOCKSHIM_DATAGRAM = 5
};

// A connection: one socket, from its making to its last close, in whatever processes. Times are in nanoseconds, -1
// where there is none.
typedef struct sockshim_connection {
  // sizeof(sockshim_connection), set by who provides the memory.
  size_t size;
  // The kernel's own number of the socket (SO_COOKIE).
  uint64_t cookie;
  // What reports call it: 1 for #1.
  unsigned number;
  // Who used it first, and under which descriptor.
  int pid;
  int fd;
  // One of sockshim_role.
  int role;
  // The phase that began last: one of sockshim_phase.
  int phase;
  // 1 while a descriptor names it.
  int open;
  // errno of a connect that failed, or 0.
  int error;
  // Who closed first: 1 this end, 2 the other, 3 both, 0 nobody or unknown.
  int closed_first;
  // What passed, and in how many calls.
  uint64_t sent_bytes;
  uint64_t received_bytes;
  uint64_t sent_calls;
  uint64_t received_calls;
  // When it began, since the epoch.
  int64_t begin_ns;
  // How long each phase took, so far; first_byte_ns is from connected to the first byte received.
  int64_t resolve_ns;
  int64_t create_ns;
  int64_t connect_ns;
  int64_t first_byte_ns;
  int64_t communicate_ns;
  int64_t disconnect_ns;
  // Addresses as text, zero-terminated, empty if there are none; and the name that was resolved.
  char local[112];
  char peer[112];
  char name[256];
  // What became of it, in a sentence, cut if it is longer.
  char sentence[512];
} sockshim_connection;

// A call that is over.
typedef struct sockshim_call {
  size_t size;
  // The kernel's own number of the socket, 0 if it was about none.
  uint64_t cookie;
  // "connect".
  const char *name;
  // "connect(4, 127.0.0.1:8080) = 0 <41.2µs>".
  const char *line;
  int pid;
  int tid;
  int fd;
  // One of sockshim_phase.
  int phase;
  // errno, or 0.
  int error;
  int reserved;
  int64_t result;
  int64_t begin_ns;
  int64_t duration_ns;
} sockshim_call;

// What a subscriber wants to be told: null members are not called. What they are given is theirs until they return.
typedef struct sockshim_callbacks {
  // sizeof(sockshim_callbacks).
  size_t size;
  // Handed to each of them.
  void *context;
  // A call is over.
  void (*call)(const sockshim_call *call, void *context);
  // A phase of a connection has begun: one of sockshim_phase.
  void (*phase)(const sockshim_connection *connection, int phase, void *context);
  // A connection is finished: nobody has it open.
  void (*finished)(const sockshim_connection *connection, void *context);
} sockshim_callbacks;

// What is called for a connection: 0 goes on.
typedef int (*sockshim_each)(const sockshim_connection *connection, void *context);

// A subscription. Opaque.
typedef struct sockshim_watch sockshim_watch;

#ifdef __cplusplus
extern "C" {
#endif

// A test begins: what was made before is not asked about any more. Records into memory if there is no trace
// (sockshim_record). The name goes into the trace. Returns 0, or -1 when nobody can be asked: the shim is
// absent, or runs under `sockshim run` without -o, which keeps no trace. A process that is forked then belongs to the
// test, and may ask itself.
int sockshim_test_begin(const char *name);

// Whether something holds, by now: "no-leaks", "connects-to localhost:8080 x2", "closes-first client", "max-connect 50ms"
// and whatever else `sockshim check --help` lists under Expecting. "no-leaks" means, while the program runs, that
// nothing is open which was opened since the test began. Returns SOCKSHIM_HOLDS, SOCKSHIM_SKIPPED when there is nobody to
// ask, and else SOCKSHIM_FAILS, also when the expectation is misspelt, the trace cannot be read, or calls were
// lost. `message` (may be null) gets what to tell people, with the story of the connections that it fails for: lines of
// text, zero-terminated, cut to `room`.
int sockshim_expect(const char *trace, const char *expectation, char *message, size_t room);

// Calls `each` for each connection, in order, until it returns something else than 0. Returns how many it was
// called for, or -1 when there is nothing to read.
int sockshim_connections(const char *trace, sockshim_each each, void *context);

// What is known of the connection that `fd` names, into a structure of yours whose `size` you have set. Returns 0, or
// -1 if it names none that was recorded.
int sockshim_connection_of(int fd, sockshim_connection *connection);

// The story of the connection that reports call by this number: its sentence, and its calls, a line each.
// Returns its length without the zero, as snprintf does, or -1 if there is none.
long sockshim_story(const char *trace, unsigned number, char *story, size_t room);

// Subscribes to what this process and its children do from now on. Returns null when nobody can be asked.
sockshim_watch *sockshim_watch_new(const sockshim_callbacks *callbacks);

// Tells what is new: calls, then phases and finished connections, each in the order in which they began. The callbacks run
// on the thread that calls this, one after the other, before it returns; never inside a socket call, and never
// unasked. Each call and each phase is told once, when this is called after it. A callback may use sockets: that is told
// the next time. Returns how many were told; -1 when there is nothing to read, or another thread, or the
// callback that calls this, is at it already.
int sockshim_watch_deliver(sockshim_watch *watch);

// Ends a subscription. Null does nothing. Not from its own callbacks.
void sockshim_watch_free(sockshim_watch *watch);

// Writes what has been recorded to a file that `sockshim report` reads. Returns 0 or -1.
int sockshim_save(const char *path);

#ifdef __cplusplus
} // extern "C"
#endif

#ifdef SOCKSHIM_WEAK_H
#pragma weak sockshim_test_begin
#pragma weak sockshim_expect
#pragma weak sockshim_connections
#pragma weak sockshim_connection_of
#pragma weak sockshim_story
#pragma weak sockshim_watch_new
#pragma weak sockshim_watch_deliver
#pragma weak sockshim_watch_free
#pragma weak sockshim_save

/* Without the library: nobody to ask. */
static inline int sockshim_expect_or_skip(const char *trace, const char *expectation, char *message, size_t room) {
  const char *absent = "sockshim is absent: link with -lsockshim_harness\n";
  if (sockshim_expect) return sockshim_expect(trace, expectation, message, room);
  size_t at = 0;
  for (; message && at + 1 < room && absent[at]; at++) message[at] = absent[at];
  if (message && room) message[at] = 0;
  return SOCKSHIM_SKIPPED;
}
#define sockshim_test_begin(name) (sockshim_test_begin ? sockshim_test_begin(name) : -1)
#define sockshim_expect(trace, expectation, message, room) sockshim_expect_or_skip(trace, expectation, message, room)
#define sockshim_connections(trace, each, context) \
  (sockshim_connections ? sockshim_connections(trace, each, context) : -1)
#define sockshim_connection_of(fd, connection) (sockshim_connection_of ? sockshim_connection_of(fd, connection) : -1)
#define sockshim_story(trace, number, story, room) (sockshim_story ? sockshim_story(trace, number, story, room) : -1L)
#define sockshim_watch_new(callbacks) (sockshim_watch_new ? sockshim_watch_new(callbacks) : (sockshim_watch *)0)
#define sockshim_watch_deliver(watch) (sockshim_watch_deliver ? sockshim_watch_deliver(watch) : -1)
#define sockshim_watch_free(watch) (sockshim_watch_free ? sockshim_watch_free(watch) : (void)0)
#define sockshim_save(path) (sockshim_save ? sockshim_save(path) : -1)
#endif

#endif /* SOCKSHIM_HARNESS_H */
