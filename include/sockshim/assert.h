/* Expectations in tests that have no framework, as assert(3) is one:
 *
 *     sockshim_assert("closes-first client");
 *     sockshim_assert_trace("client.sst", "no-leaks");
 *
 * What does not hold is told on stderr, with the story of the connection, and aborts the program. Where the shim
 * is absent a line on stderr says that it was skipped. NDEBUG does not turn it off.
 */

#ifndef SOCKSHIM_ASSERT_H
#define SOCKSHIM_ASSERT_H

#include "harness.h"

#include <stdio.h>
#include <stdlib.h>

static inline void sockshim_assert_at(const char *trace, const char *expectation, const char *file, int line) {
  char why[8192];
  int verdict = sockshim_expect(trace, expectation, why, sizeof why);
  if (verdict == SOCKSHIM_SKIPPED) {
    fprintf(stderr, "%s:%d: SKIPPED: %s: %s", file, line, expectation, why);
  } else if (verdict == SOCKSHIM_FAILS) {
    fprintf(stderr, "%s:%d: %s", file, line, why);
    abort();
  }
}

#define sockshim_assert(expectation) sockshim_assert_at(NULL, expectation, __FILE__, __LINE__)
#define sockshim_assert_trace(trace, expectation) sockshim_assert_at(trace, expectation, __FILE__, __LINE__)

#endif /* SOCKSHIM_ASSERT_H */
