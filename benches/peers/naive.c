// The first thing that everybody writes: a line per call by fprintf, unbuffered so that none is lost
// when the program is killed. NAIVE_OUT says where to.
#include "peer.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static FILE *out;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("NAIVE_OUT");
    out = path ? fopen(path, "w") : stderr;
    if (out)
        setvbuf(out, NULL, _IONBF, 0);
}

#define LOGGED(RET, NAME, PARAMETERS, ARGUMENTS)                                                    \
    RET NAME PARAMETERS {                                                                           \
        static RET(*next) PARAMETERS;                                                               \
        if (!next)                                                                                  \
            next = (RET(*) PARAMETERS)dlsym(RTLD_NEXT, #NAME);                                      \
        double start = now();                                                                       \
        RET ret = next ARGUMENTS;                                                                   \
        int saved = errno;                                                                          \
        if (out)                                                                                    \
            fprintf(out, "%.6f %s(%d) = %ld errno %d <%.9f>\n", start, #NAME, a, (long)ret,         \
                    ret < 0 ? saved : 0, now() - start);                                            \
        errno = saved;                                                                              \
        return ret;                                                                                 \
    }

CALLS(LOGGED)
