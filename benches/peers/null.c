// The least that any preloaded library costs: each call is passed on, and that is all.
#include "peer.h"

#define PASS(RET, NAME, PARAMETERS, ARGUMENTS)                  \
    RET NAME PARAMETERS {                                       \
        static RET(*next) PARAMETERS;                           \
        if (__builtin_expect(!next, 0))                         \
            next = (RET(*) PARAMETERS)dlsym(RTLD_NEXT, #NAME);  \
        return next ARGUMENTS;                                  \
    }

CALLS(PASS)
