// A tracer lives in somebody else's house. Nothing there may be in another place than it was:
// descriptors, threads, children, signal dispositions and masks, alternate stacks, timers, limits.
// It is looked at before main, after traffic, in an exit handler, and after a fork.
// exercises: socketpair write read fork close
//: ...
//= calls write 12
#include "harness.h"
#include <dirent.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

// The names in a folder of /proc, in order.
static void names(const char *word, const char *path)
{
    DIR *folder = opendir(path);
    int numbers[256], count = 0;
    struct dirent *entry;
    CHECK(folder != NULL);
    while ((entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(folder) && count < 256)
            numbers[count++] = atoi(entry->d_name);
    closedir(folder);
    if (!strcmp(word, "threads")) {
        printf("  threads %d\n", count);
        return;
    }
    printf("  %s", word);
    for (int low = 0; low <= 1024; low++)
        for (int i = 0; i < count; i++)
            if (numbers[i] == low)
                printf(" %d", low);
    puts("");
}

static void file(const char *path, const char *prefix)
{
    char line[512];
    FILE *text = fopen(path, "r");
    if (text == NULL)
        return;
    while (fgets(line, sizeof line, text) != NULL)
        if (!strncmp(line, prefix, strlen(prefix)))
            printf("  %s", line);
    fclose(text);
}

static void look(const char *when)
{
    printf("%s, errno %d\n", when, errno);
    names("descriptors", "/proc/self/fd");
    names("threads", "/proc/self/task");
    for (int i = 1; i < 65; i++) {
        struct sigaction action;
        if (sigaction(i, NULL, &action) == 0 && (action.sa_handler != SIG_DFL || action.sa_flags != 0))
            printf("  signal %d: %s, flags %x\n", i, action.sa_handler == SIG_IGN ? "ignored" : "handled",
                (unsigned)action.sa_flags);
    }
    static const char *const lines[] = {"SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "CapEff",
        "NoNewPrivs", "Seccomp:", "Threads", "Umask", "CoreDumping", "VmLck"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        file("/proc/self/status", lines[i]);
    char path[64], children[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/children", gettid());
    FILE *text = fopen(path, "r");
    if (text != NULL) {
        printf("  children: %s\n", fgets(children, sizeof children, text) == NULL ? "none" : "some");
        fclose(text);
    }
    file("/proc/self/timers", "ID");
    for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
        struct itimerval timer;
        CHECK(getitimer(which, &timer) == 0);
        printf("  timer %d: %s\n", which, timerisset(&timer.it_value) ? "set" : "off");
    }
    for (int which = 0; which < RLIM_NLIMITS; which++) {
        struct rlimit limit;
        if (getrlimit(which, &limit) == 0)
            printf("  limit %d: %llx %llx\n", which, (unsigned long long)limit.rlim_cur,
                (unsigned long long)limit.rlim_max);
    }
    stack_t stack;
    CHECK(sigaltstack(NULL, &stack) == 0);
    printf("  alternate stack: flags %d\n", stack.ss_flags);
    int state;
    char name[32] = "";
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state) == 0);
    CHECK(prctl(PR_GET_NAME, name) == 0);
    printf("  dumpable %d, slack %d, nice %d, cancel state %d, name %.15s\n", prctl(PR_GET_DUMPABLE),
        prctl(PR_GET_TIMERSLACK), getpriority(PRIO_PROCESS, 0), state, name);
    errno = 0;
}

static int fds[2];

__attribute__((constructor)) static void before_main(void)
{
    look("before main");
}

static void at_exit(void)
{
    look("in an exit handler");
}

__attribute__((destructor)) static void after_main(void)
{
    look("in a destructor");
}

static void *traffic(void *unused)
{
    char bytes;
    for (int i = 0; i < 10; i++)
        CHECK(write(fds[0], "x", 1) == 1 && read(fds[1], &bytes, 1) == 1);
    return unused;
}

int main(void)
{
    pthread_t thread;
    char bytes[8];
    begin();
    CHECK(atexit(at_exit) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(write(fds[0], "words", 5) == 5 && read(fds[1], bytes, 5) == 5);
    look("after traffic");
    CHECK(pthread_create(&thread, NULL, traffic, NULL) == 0 && pthread_join(thread, NULL) == 0);
    look("after a thread");
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(write(fds[0], "child", 5) == 5 && read(fds[1], bytes, 5) == 5);
        look("in a child");
        fflush(stdout);
        _exit(0);
    }
    printf("child %d\n", reap(pid));
    CHECK(close(fds[0]) == 0);
    look("after the child");
}
