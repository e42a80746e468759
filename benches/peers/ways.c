// The ways in which one call could be recorded, part by part: what a time stamp, a reservation, the thread's own
// storage and 64 bytes in this or that memory cost on this machine. Everything is measured in turns, many times; the
// least of all turns is told, because whatever else the machine does only adds.
//
//   ways [FOLDER ON A DISK]      prints a table
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define TURNS 31
#define TIMES 20000
#define RECORD 64

struct way {
    const char *part, *what;
    void (*run)(void);
    /* Before each turn, outside of the time that is taken. */
    void (*prepare)(void);
    double least_ns;
};

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static volatile uint64_t sink;
#define LOOP for (long i = 0; i < TIMES; i++)

static void nothing(void) { LOOP sink = i; }

static void tsc(void) { LOOP sink = __rdtsc(); }
static void tscp(void) { unsigned cpu; LOOP sink = __rdtscp(&cpu); }
static void fenced(void) { LOOP { _mm_lfence(); sink = __rdtsc(); } }
static void ask(clockid_t clock) { struct timespec t; LOOP { clock_gettime(clock, &t); sink = t.tv_nsec; } }
static void monotonic(void) { ask(CLOCK_MONOTONIC); }
static void coarse(void) { ask(CLOCK_MONOTONIC_COARSE); }

static uint32_t used;
static void add(void) { LOOP { __asm__ volatile("addl $1, %0" : "+m"(used)); } }
static void xadd(void) { LOOP { uint32_t n = 1; __asm__ volatile("xaddl %0, %1" : "+r"(n), "+m"(used)); sink = n; } }
static void locked(void) { LOOP sink = __atomic_fetch_add(&used, 1, __ATOMIC_SEQ_CST); }
static void exchanged(void) { LOOP { uint32_t n = used; __atomic_compare_exchange_n(&used, &n, n + 1, 0, 5, 5); sink = n; } }

static __thread uint64_t initial __attribute__((tls_model("initial-exec")));
static void initial_exec(void) { LOOP { __asm__ volatile("" ::: "memory"); sink = initial++; } }
/* What a library does that asks for no static storage: a call for a module and an offset. */
extern void *__tls_get_addr(size_t *index);
static void global_dynamic(void) {
    static size_t index[2] = {1, 0};
    LOOP sink = *(volatile char *)__tls_get_addr(index);
}

/* Where records go. */
static char *memory;
static size_t size, at;
static void fill(void) {
    LOOP {
        uint64_t *slot = (uint64_t *)(memory + at);
        for (int word = 1; word < RECORD / 8; word++)
            slot[word] = i + word;
        __atomic_store_n(slot, i, __ATOMIC_RELEASE);
        at = at + RECORD < size ? at + RECORD : 0;
    }
}
/* 32 bytes say as much where times and sizes are cut to 32 bits. */
static void fill_half(void) {
    LOOP {
        uint64_t *slot = (uint64_t *)(memory + at);
        for (int word = 1; word < RECORD / 16; word++)
            slot[word] = i + word;
        __atomic_store_n(slot, i, __ATOMIC_RELEASE);
        at = at + RECORD / 2 < size ? at + RECORD / 2 : 0;
    }
}

static const char *disk = "/var/tmp";
static int file_in(const char *folder) {
    int fd = open(folder, O_TMPFILE | O_RDWR, 0600);
    if (fd < 0) {
        perror(folder);
        exit(1);
    }
    return fd;
}
/* FD is -1 for memory without a file. */
static void map(int fd, size_t bytes, int flags, int touch) {
    if (memory)
        munmap(memory, size);
    size = bytes, at = 0;
    if (fd >= 0 && posix_fallocate(fd, 0, bytes))
        exit(1);
    memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    if (touch)
        memset(memory, 1, bytes);
    if (fd >= 0)
        close(fd);
}
#define FRESH ((size_t)TIMES * RECORD)
static void warm_4k(void) { map(file_in("/dev/shm"), 4096, MAP_SHARED, 1); }
static void warm_64k(void) { map(file_in("/dev/shm"), 65536, MAP_SHARED, 1); }
static void warm_1m(void) { map(file_in("/dev/shm"), FRESH, MAP_SHARED, 1); }
static void fresh_shm(void) { map(file_in("/dev/shm"), FRESH, MAP_SHARED, 0); }
static void fresh_populated(void) {
    map(file_in("/dev/shm"), FRESH, MAP_SHARED, 0);
    madvise(memory, size, MADV_POPULATE_WRITE);
}
static void fresh_memfd(void) { map(memfd_create("ways", 0), FRESH, MAP_SHARED, 0); }
static void fresh_disk(void) { map(file_in(disk), FRESH, MAP_SHARED, 0); }
static void fresh_anonymous(void) { map(-1, FRESH, MAP_PRIVATE, 0); }
static void fresh_huge(void) {
    map(-1, 4 << 20, MAP_PRIVATE, 0);
    madvise(memory, size, MADV_HUGEPAGE);
}

static struct way ways[] = {
    {"loop", "the loop alone, taken off below", nothing, NULL, 0},
    {"clock", "`rdtsc`", tsc, NULL, 0},
    {"clock", "`rdtscp`", tscp, NULL, 0},
    {"clock", "`lfence; rdtsc`", fenced, NULL, 0},
    {"clock", "`clock_gettime(CLOCK_MONOTONIC)`", monotonic, NULL, 0},
    {"clock", "`clock_gettime(CLOCK_MONOTONIC_COARSE)`", coarse, NULL, 0},
    {"reserve", "`add`, which says nothing of where", add, NULL, 0},
    {"reserve", "`xadd` on the thread's own chunk", xadd, NULL, 0},
    {"reserve", "`lock xadd`", locked, NULL, 0},
    {"reserve", "`lock cmpxchg`", exchanged, NULL, 0},
    {"thread", "initial-exec storage", initial_exec, NULL, 0},
    {"thread", "`__tls_get_addr`", global_dynamic, NULL, 0},
    {"record", "64 bytes, 4 KiB of tmpfs again and again", fill, warm_4k, 0},
    {"record", "32 bytes, the same way", fill_half, warm_4k, 0},
    {"record", "64 bytes, 64 KiB again and again", fill, warm_64k, 0},
    {"record", "64 bytes, 1.2 MiB again and again", fill, warm_1m, 0},
    {"record", "64 bytes, fresh pages of tmpfs, allocated", fill, fresh_shm, 0},
    {"record", "64 bytes, the same, mapped beforehand too", fill, fresh_populated, 0},
    {"record", "64 bytes, fresh pages of a memfd, allocated", fill, fresh_memfd, 0},
    {"record", "64 bytes, fresh pages of a file on a disk", fill, fresh_disk, 0},
    {"record", "64 bytes, fresh private memory", fill, fresh_anonymous, 0},
    {"record", "64 bytes, the same in huge pages", fill, fresh_huge, 0},
};

int main(int count, char **arguments) {
    size_t all = sizeof ways / sizeof *ways;
    if (count > 1)
        disk = arguments[1];
    for (int turn = 0; turn < TURNS; turn++)
        for (size_t i = 0; i < all; i++) {
            if (ways[i].prepare)
                ways[i].prepare();
            double before = now_ns();
            ways[i].run();
            double each = (now_ns() - before) / TIMES;
            if (turn == 0 || each < ways[i].least_ns)
                ways[i].least_ns = each;
        }
    printf("| part | way | ns |\n| --- | --- | ---: |\n");
    for (size_t i = 1; i < all; i++) {
        double own = ways[i].least_ns - ways[0].least_ns;
        printf("| %s | %s | %.1f |\n", ways[i].part, ways[i].what, own > 0 ? own : 0);
    }
    return 0;
}
