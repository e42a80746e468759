// C++ programs throw out of handlers and callbacks, through whatever stands between: a call that
// blocks, a stream's own write and close functions, a conversion of printf, a fork handler. Where glibc
// lets the exception pass so must we.
// flags: -O1 -fnon-call-exceptions
// exercises: read recv poll dprintf fclose
//:t read
//= calls accept 1
#include "blocking.h"
#include <atomic>
#include <dlfcn.h>
#include <printf.h>

static std::atomic<int> tid;
static long result;

static void handle(int)
{
    throw 4711;
}

static void *run(void *row)
{
    result = 0;
    try {
        tid = gettid();
        result = static_cast<const struct blocking *>(row)->call();
        printf("returned %s\n", outcome(result));
    } catch (int value) {
        result = value;
    }
    return nullptr;
}

// Says what a call does that throws on its way.
template <typename Call> static void show(const char *what, Call call)
{
    try {
        printf("%s: returned %s\n", what, outcome(call()));
    } catch (int value) {
        printf("%s: caught %d\n", what, value);
    }
}

static ssize_t write_throws(void *, const char *, size_t)
{
    throw 1;
}

static int close_throws(void *)
{
    throw 2;
}

static int conversion_throws(FILE *, const struct printf_info *, const void *const *)
{
    throw 3;
}

static int one_pointer(const struct printf_info *, size_t, int *types, int *)
{
    types[0] = PA_POINTER;
    return 1;
}

static bool armed;

static void prepare_throws()
{
    if (armed)
        throw 5;
}

int main()
{
    struct sigaction action = {};
    begin();
    action.sa_handler = handle;
    action.sa_flags = SA_NODEFER;
    CHECK(sigaction(SIGUSR1, &action, nullptr) == 0);
    prepare_to_block();

    cookie_io_functions_t only_write = {}, only_close = {};
    only_write.write = write_throws;
    only_close.close = close_throws;
    FILE *first = fopencookie(nullptr, "w", only_write), *second = fopencookie(nullptr, "w", only_close);
    CHECK(first != nullptr && second != nullptr && fputs("words", first) >= 0);
    show("write function under fclose", [=] { return fclose(first); });
    show("close function under fclose", [=] { return fclose(second); });

    // The header says that fork throws nothing; the pointer does not.
    pid_t (*fork_it)(void);
    void *symbol = dlsym(RTLD_DEFAULT, "fork");
    memcpy(&fork_it, &symbol, sizeof fork_it);
    CHECK(pthread_atfork(prepare_throws, nullptr, nullptr) == 0);
    armed = true;
    show("atfork handler under fork", [=] { return fork_it(); });
    armed = false;

    for (const auto &row : blocking) {
        pthread_t thread;
        if (!(row.may & LEAVE))
            continue;
        tid = 0;
        CHECK(pthread_create(&thread, nullptr, run, const_cast<struct blocking *>(&row)) == 0);
        while (tid == 0)
            sched_yield();
        wait_until_asleep(tid);
        CHECK(pthread_kill(thread, SIGUSR1) == 0);
        CHECK(pthread_join(thread, nullptr) == 0);
        printf("%s: %ld\n", row.name, result);
    }
    CHECK(register_printf_specifier('Y', conversion_throws, one_pointer) == 0);
    const char *volatile format = "%Y";
    show("conversion under dprintf", [=] { return dprintf(empty[0], format, nullptr); });
    // See cancel_points.c.
    fflush(stdout);
    _exit(0);
}
