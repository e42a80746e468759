/* Expectations for cmocka. Include cmocka.h first, as it asks for, then this:
 *
 *     assert_sockshim("closes-first client");
 *     assert_sockshim_trace("client.sst", "no-leaks");
 *
 * A test whose expectation does not hold fails, with the story of the connection; where the shim is absent the
 * test is skipped. sockshim_cmocka_setup is a setup function that begins a test.
 */

#ifndef SOCKSHIM_CMOCKA_H
#define SOCKSHIM_CMOCKA_H

#include "harness.h"

static inline int sockshim_cmocka_setup(void **state) {
  (void)state;
  (void)sockshim_test_begin("cmocka");
  return 0;
}

static inline void sockshim_cmocka(const char *trace, const char *expectation, const char *file, int line) {
  static char why[8192]; // cmocka leaves by longjmp
  int verdict = sockshim_expect(trace, expectation, why, sizeof why);
  if (verdict == SOCKSHIM_SKIPPED) {
    print_message("%s:%d: SKIPPED: %s: %s", file, line, expectation, why);
    _skip(file, line);
  } else if (verdict == SOCKSHIM_FAILS) {
    print_error("%s", why);
    _fail(file, line);
  }
}

#define assert_sockshim(expectation) sockshim_cmocka(NULL, expectation, __FILE__, __LINE__)
#define assert_sockshim_trace(trace, expectation) sockshim_cmocka(trace, expectation, __FILE__, __LINE__)

#endif /* SOCKSHIM_CMOCKA_H */
