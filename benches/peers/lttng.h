// The event of lttng.c, in the form that LTTng-UST wants: a header that it includes several times.
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER sockshim_bench
#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "lttng.h"

#if !defined(LTTNG_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define LTTNG_H
#include <lttng/tracepoint.h>
#include <stdint.h>

LTTNG_UST_TRACEPOINT_EVENT(sockshim_bench, call,
                           LTTNG_UST_TP_ARGS(uint16_t, op, int32_t, fd, int64_t, ret, int32_t, error, uint64_t, duration),
                           LTTNG_UST_TP_FIELDS(lttng_ust_field_integer(uint16_t, op, op)
                                                   lttng_ust_field_integer(int32_t, fd, fd)
                                                       lttng_ust_field_integer(int64_t, ret, ret)
                                                           lttng_ust_field_integer(int32_t, error, error)
                                                               lttng_ust_field_integer(uint64_t, duration, duration)))
#endif

#include <lttng/tracepoint-event.h>
