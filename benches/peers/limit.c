// As near to the hardware as a record that survives a kill can come: two readings of the clock and one
// record of 64 bytes in memory shared with a file. It decodes nothing, follows nothing and is correct
// for nobody: it is here to be measured against.
//
// Built in two ways. By default each new megabyte of the file is touched for the first time, as a
// recorder does that nobody drains. With -DRING the same 256 KiB are written over and over: warm memory,
// which is the limit for one that is drained.
#include "peer.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <x86intrin.h>

#ifdef RING
#define WINDOW (256 << 10)
#else
#define WINDOW (1 << 20)
#endif

struct record {
    uint64_t start, duration, ret, size, sequence;
    uint32_t fd, op, error, reserved;
    uint64_t socket;
};
_Static_assert(sizeof(struct record) == 64, "one cache line");

static __thread struct record *at, *end;
static __thread uint64_t sequence;
static int file = -1;
static off_t used;
static unsigned char kinds[65536]; // 0 not asked, 1 a socket, 2 something else

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("LIMIT_OUT");
    file = path ? open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
}

static __attribute__((noinline)) void more(void) {
    int saved = errno;
#ifdef RING
    if (at) {
        at -= WINDOW / sizeof *at;
        return;
    }
#endif
    off_t place = __atomic_fetch_add(&used, WINDOW, __ATOMIC_RELAXED);
    if (at)
        munmap(at - WINDOW / sizeof *at, WINDOW);
    at = end = NULL;
    if (file >= 0 && !posix_fallocate(file, place, WINDOW)) {
        void *map = mmap(NULL, WINDOW, PROT_READ | PROT_WRITE, MAP_SHARED, file, place);
        if (map != MAP_FAILED) {
            madvise(map, WINDOW, 23 /* MADV_POPULATE_WRITE */);
            at = map;
            end = at + WINDOW / sizeof *at;
        }
    }
    errno = saved;
}

static __attribute__((noinline)) int kind(int fd) {
    struct stat s;
    int saved = errno, is = fstat(fd, &s) == 0 && S_ISSOCK(s.st_mode) ? 1 : 2;
    if (fd >= 0 && fd < 65536)
        kinds[fd] = is;
    errno = saved;
    return is;
}

static inline int is_socket(int fd) {
    int known = (unsigned)fd < 65536 ? kinds[fd] : 2;
    return (known ? known : kind(fd)) == 1;
}

static inline void record(int op, int fd, uint64_t start, long ret) {
    if (__builtin_expect(at == end, 0)) {
        more();
        if (!at)
            return;
    }
    struct record *r = at++;
    r->duration = __rdtsc() - start;
    r->ret = ret;
    r->size = 0;
    r->sequence = ++sequence;
    r->fd = fd;
    r->op = op;
    r->error = ret < 0 ? errno : 0;
    r->socket = 0;
    __atomic_store_n(&r->start, start, __ATOMIC_RELEASE);
}

#define RECORDED(RET, NAME, PARAMETERS, ARGUMENTS)                                       \
    RET NAME PARAMETERS {                                                                \
        static RET(*next) PARAMETERS;                                                    \
        if (__builtin_expect(!next, 0))                                                  \
            next = (RET(*) PARAMETERS)dlsym(RTLD_NEXT, #NAME);                           \
        if (!MAKES(NAME) && !is_socket(a))                                               \
            return next ARGUMENTS;                                                       \
        uint64_t start = __rdtsc();                                                      \
        RET ret = next ARGUMENTS;                                                        \
        record(__COUNTER__, a, start, ret);                                              \
        if (FORGETS(NAME) && a >= 0 && a < 65536)                                        \
            kinds[a] = 0;                                                                \
        return ret;                                                                      \
    }
#define MAKES(NAME) (#NAME[0] == 's' && #NAME[1] == 'o')
#define FORGETS(NAME) (#NAME[0] == 'c' && #NAME[1] == 'l')

CALLS(RECORDED)
