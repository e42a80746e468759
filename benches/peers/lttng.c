// The same calls as one LTTng-UST event each, which has its own time; how long a call took needs two more.
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "peer.h"
#include "lttng.h"
#include <errno.h>
#include <time.h>

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

#define NUMBER(RET, NAME, PARAMETERS, ARGUMENTS) OP_##NAME,
enum { CALLS(NUMBER) };

#define TRACED(RET, NAME, PARAMETERS, ARGUMENTS)                                                    \
    RET NAME PARAMETERS {                                                                           \
        static RET(*next) PARAMETERS;                                                               \
        if (!next)                                                                                  \
            next = (RET(*) PARAMETERS)dlsym(RTLD_NEXT, #NAME);                                      \
        uint64_t start = now();                                                                     \
        RET ret = next ARGUMENTS;                                                                   \
        int saved = errno;                                                                          \
        lttng_ust_tracepoint(sockshim_bench, call, OP_##NAME, a, ret, ret < 0 ? saved : 0,          \
                             now() - start);                                                        \
        errno = saved;                                                                              \
        return ret;                                                                                 \
    }

CALLS(TRACED)
