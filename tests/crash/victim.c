// A program to be killed. It makes calls on sockets in several threads and forked children, and keeps
// its own account of them in a shared file, which outlives it: for each thread how many calls it has
// begun (stored before the call) and how many have returned (stored after). The bytes that it sends say
// which call of which thread they belong to, so a trace that is misparsed cannot pass for a good one.
//
//     victim LEDGER HOW THREADS CHILDREN CALLS
//
// Each thread makes CALLS calls. Where HOW is `killed`, all of them stop there, and wait for it. Otherwise
// the threads go on with as many calls eight times more, and the program ends as HOW says meanwhile, once
// its standard input has ended.
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROWS 1024
#define CHILDREN 14
// What is sent fills one slot, or several.
#define LONGEST 200
// Children that make a few calls and end, in the course of `killed`.
#define BRIEF 60

// tests/crash/ledger.rs knows these two.
struct row {
    _Atomic uint32_t pid, tid;
    _Atomic uint64_t begun, returned;
    _Atomic uint32_t waits; // 1: its one call is a recv that nobody answers
    uint32_t reserved[9];
};

struct ledger {
    _Atomic uint32_t rows, pid;
    _Atomic uint32_t children[CHILDREN];
    struct row row[ROWS];
};

struct worker {
    struct row *row;
    uint32_t number;
    int fds[2];
};

static struct ledger *ledger;
static uint64_t calls_each, calls_most;
static sem_t finished;

static void must(int good, const char *what)
{
    if (!good) {
        perror(what);
        _exit(99);
    }
}

static struct worker hired(void)
{
    struct worker worker = { .number = atomic_fetch_add(&ledger->rows, 1), .fds = { -1, -1 } };
    must(worker.number < ROWS, "rows");
    worker.row = &ledger->row[worker.number];
    worker.row->tid = syscall(SYS_gettid);
    worker.row->pid = getpid();
    return worker;
}

static void tcp_pair(int fds[2])
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    must(bind(listener, (struct sockaddr *)&address, length) == 0, "bind");
    must(listen(listener, 1) == 0, "listen");
    must(getsockname(listener, (struct sockaddr *)&address, &length) == 0, "getsockname");
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(fds[0], (struct sockaddr *)&address, length) == 0, "connect");
    fds[1] = accept(listener, NULL, NULL);
    must(fds[1] >= 0, "accept");
    close(listener);
}

// What call number `call` of a thread sends.
static size_t text_of(char *text, uint32_t number, uint64_t call)
{
    size_t length = 18 + call % (LONGEST - 18);
    snprintf(text, 19, "%08x:%08x:", number, (uint32_t)call);
    for (size_t i = 18; i < length; i++)
        text[i] = 'a' + (call + i) % 26;
    return length;
}

// What is sent by one call is received by the next.
static ssize_t delegate(int fds[2], uint64_t call, char *text, size_t length)
{
    struct iovec parts[2] = { { text, 9 }, { text + 9, length - 9 } };
    switch (call % 6) {
    case 0: return write(fds[0], text, length);
    case 1: return read(fds[1], text, length);
    case 2: return send(fds[0], text, length, 0);
    case 3: return recv(fds[1], text, length, MSG_WAITALL);
    case 4: return writev(fds[0], parts, 2);
    default: return readv(fds[1], parts, 2);
    }
}

static void one_call(struct worker *worker, uint64_t call)
{
    char text[LONGEST + 1] = "";
    if (call % 96 == 0) {
        if (call > 0)
            close(worker->fds[0]), close(worker->fds[1]);
        if (worker->number % 2)
            tcp_pair(worker->fds);
        else
            must(socketpair(AF_UNIX, SOCK_STREAM, 0, worker->fds) == 0, "socketpair");
    }
    size_t length = text_of(text, worker->number, call & ~1ull);
    atomic_store(&worker->row->begun, call + 1);
    ssize_t moved = delegate(worker->fds, call, text, length);
    atomic_store(&worker->row->returned, call + 1);
    must(moved == (ssize_t)length, "moved");
}

static void *work(void *unused)
{
    struct worker worker = hired();
    for (uint64_t call = 0; call < calls_most; call++) {
        one_call(&worker, call);
        if (call + 1 == calls_each)
            sem_post(&finished);
    }
    for (;;)
        pause();
    return unused;
}

// A thread that sits in a call for ever.
static void *wait_for_ever(void *unused)
{
    char byte;
    struct worker worker = hired();
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, worker.fds) == 0, "socketpair");
    worker.row->waits = 1;
    worker.row->begun = 1;
    must(recv(worker.fds[1], &byte, 1, 0) == 1, "recv");
    worker.row->returned = 1;
    return unused;
}

static void start(int threads)
{
    pthread_t id;
    for (int i = 0; i < threads; i++)
        must(pthread_create(&id, NULL, work, NULL) == 0, "pthread_create");
    must(pthread_create(&id, NULL, wait_for_ever, NULL) == 0, "pthread_create");
}

static void wait_for(int threads)
{
    for (int i = 0; i < threads; i++)
        sem_wait(&finished);
}

static void die_with(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
}

// Children that make a few calls and end come and go while the threads work. Then the end is waited for.
static void be_killed(int children)
{
    pid_t self = getpid();
    for (int i = 0; i < BRIEF && children > 0; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            die_with(self);
            struct worker worker = hired();
            for (int call = 0; call < 9; call++)
                one_call(&worker, call);
            _exit(0);
        }
        waitpid(pid, NULL, 0);
    }
    for (;;)
        pause();
}

// Deeper than any stack, which the compiler is not to know.
static volatile int endless = 1;
static int overflow(volatile char *above)
{
    volatile char frame[4096];
    frame[0] = above[0];
    if (!endless)
        return 0;
    return overflow(frame) + frame[0];
}

// The same, with a call in each frame, so that what goes too deep may be the call.
static int overflow_calling(struct worker *worker, uint64_t call)
{
    volatile char frame[16];
    one_call(worker, call);
    frame[0] = call;
    if (!endless)
        return 0;
    return overflow_calling(worker, call + 1) + frame[0];
}

// A handler on a stack of its own makes a last call, and lets the signal do its work.
static int last_word = -1;
static void on_segv(int signal)
{
    must(write(last_word, "last word", 9) == 9, "write");
    raise(signal);
}

static void handle_segv(void)
{
    int fds[2];
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0, "socketpair");
    last_word = fds[0];
    stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };
    struct sigaction action = { .sa_handler = on_segv, .sa_flags = SA_ONSTACK | SA_RESETHAND | SA_NODEFER };
    must(sigaltstack(&stack, NULL) == 0 && sigaction(SIGSEGV, &action, NULL) == 0, "sigaltstack");
}

static void *fall(void *how)
{
    if (strstr(how, "handled"))
        handle_segv();
    struct worker worker = hired();
    // Where the stack ends differs from one number of calls to the next.
    volatile char shift[1 + calls_each % 16 * 64];
    shift[0] = 0;
    overflow_calling(&worker, shift[0]);
    return NULL;
}

static void end(char *how)
{
    printf("ends by %s\n", how);
    fflush(stdout);
    if (strcmp(how, "abort") == 0)
        abort();
    if (strcmp(how, "_exit") == 0)
        _exit(3);
    if (strcmp(how, "exit") == 0)
        exit(4);
    if (strcmp(how, "segv") == 0)
        *(volatile int *)8 = 1;
    if (strncmp(how, "overflow-calling", 16) == 0) {
        pthread_attr_t attributes;
        pthread_t id;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 131072);
        must(pthread_create(&id, &attributes, fall, how) == 0, "pthread_create");
        pthread_join(id, NULL);
    }
    if (strcmp(how, "overflow-handled") == 0)
        handle_segv();
    if (strncmp(how, "overflow", 8) == 0)
        _exit(overflow(how));
    must(0, how);
}

int main(int argc, char **argv)
{
    must(argc == 6, "victim LEDGER HOW THREADS CHILDREN CALLS");
    char *how = argv[2], byte;
    int killed = strcmp(how, "killed") == 0, threads = atoi(argv[3]), children = atoi(argv[4]), status;
    calls_each = strtoull(argv[5], NULL, 10);
    calls_most = killed ? calls_each : 9 * calls_each;
    sem_init(&finished, 0, 0);
    int fd = open(argv[1], O_RDWR);
    ledger = mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must(ledger != MAP_FAILED && children <= CHILDREN, argv[1]);
    close(fd);
    pid_t self = getpid();
    ledger->pid = self;
    for (int i = 0; i < children; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            die_with(self);
            start(threads);
            if (killed)
                be_killed(0);
            wait_for(threads);
            _exit(0);
        }
        ledger->children[i] = pid;
    }
    start(threads);
    if (killed)
        be_killed(children);
    wait_for(threads);
    for (int i = 0; i < children; i++) {
        must(wait(&status) > 0, "wait");
        printf("child %d\n", status);
    }
    while (read(0, &byte, 1) > 0) {
    }
    end(how);
}
