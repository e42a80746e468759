/* Expectations as lines of TAP, the Test Anything Protocol, for prove(1), automake and meson:
 *
 *     tap_sockshim("closes-first client");            // ok 1 - closes-first client
 *     tap_sockshim_trace("client.sst", "no-leaks");   // not ok 2 - no-leaks, and the story as comments
 *     return tap_done();                              // 1..2; 0 if all hold
 *
 * Where the shim is absent: ok 1 - closes-first client # SKIP sockshim is absent. One file of a program has it.
 */

#ifndef SOCKSHIM_TAP_H
#define SOCKSHIM_TAP_H

#include "harness.h"

#include <stdio.h>
#include <string.h>

static int tap_number, tap_failed;

/* A check of your own, in the same numbering. */
static inline int tap_ok(int holds, const char *name) {
  tap_failed += !holds;
  printf("%sok %d - %s\n", holds ? "" : "not ", ++tap_number, name);
  return holds;
}

static inline int tap_sockshim_trace(const char *trace, const char *expectation) {
  char why[8192];
  int verdict = sockshim_expect(trace, expectation, why, sizeof why);
  if (verdict == SOCKSHIM_SKIPPED) {
    printf("ok %d - %s # SKIP %s", ++tap_number, expectation, why);
  } else if (!tap_ok(verdict == SOCKSHIM_HOLDS, expectation)) {
    for (char *line = why; *line;) {
      size_t len = strcspn(line, "\n");
      printf("# %.*s\n", (int)len, line);
      line += len + (line[len] == '\n');
    }
  }
  return verdict != SOCKSHIM_FAILS;
}

static inline int tap_sockshim(const char *expectation) { return tap_sockshim_trace(NULL, expectation); }

/* The plan, which may come last. Returns what main returns. */
static inline int tap_done(void) {
  printf("1..%d\n", tap_number);
  return tap_failed != 0;
}

#endif /* SOCKSHIM_TAP_H */
