/* Expectations for Check (libcheck). Include check.h first:
 *
 *     ck_assert_sockshim("closes-first client");
 *     ck_assert_sockshim_trace("client.sst", "no-leaks");
 *
 * A test whose expectation does not hold fails, with the story of the connection. Check knows no skipped tests:
 * where the shim is absent a line on stderr says so, and the test goes on. Each test runs in a process of its own
 * (CK_FORK), which shares what is recorded with the one that asks: sockshim_check_setup, a checked fixture, begins a test
 * there.
 */

#ifndef SOCKSHIM_CHECK_H
#define SOCKSHIM_CHECK_H

#include "harness.h"

#include <stdio.h>

static inline void sockshim_check_setup(void) { (void)sockshim_test_begin("check"); }

// Returns the verdict, of which the macro makes a failure at its own place.
static inline int sockshim_check(const char *trace, const char *expectation, const char *file, int line, char *why,
                                 size_t room) {
  int verdict = sockshim_expect(trace, expectation, why, room);
  if (verdict == SOCKSHIM_SKIPPED) fprintf(stderr, "%s:%d: SKIPPED: %s: %s", file, line, expectation, why);
  return verdict;
}

#define ck_assert_sockshim_trace(trace, expectation)                                                       \
  do {                                                                                                     \
    char ck_why[4096]; /* Check hands no more on */                                                        \
    if (sockshim_check(trace, expectation, __FILE__, __LINE__, ck_why, sizeof ck_why) == SOCKSHIM_FAILS)    \
      ck_abort_msg("%s", ck_why);                                                                          \
  } while (0)
#define ck_assert_sockshim(expectation) ck_assert_sockshim_trace(NULL, expectation)

#endif /* SOCKSHIM_CHECK_H */
