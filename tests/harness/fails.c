// One expectation, from the command line, in the words of one framework. The client is reset by its peer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#if defined CMOCKA
#include <cmocka.h>
#include <sockshim/cmocka.h>
#elif defined CHECK
#include <check.h>
#include <sockshim/check.h>
#elif defined TAP
#include <sockshim/tap.h>
#else
#include <sockshim/assert.h>
#endif

#include "client.h"

static const char *expectation;

static void talk(void) {
    struct server server;
    server_start(&server, 1);
    greet(server.port);
    server_stop(&server);
}

#if defined CMOCKA
static void test(void **state) {
    (void)state;
    talk();
    assert_sockshim(expectation);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup(test, sockshim_cmocka_setup)};
    expectation = argv[argc - 1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#elif defined CHECK
START_TEST(test) {
    talk();
    ck_assert_sockshim(expectation);
}
END_TEST

int main(int argc, char **argv) {
    expectation = argv[argc - 1];
    sockshim_test_begin("suite");
    Suite *suite = suite_create("suite");
    TCase *tests = tcase_create("tests");
    tcase_add_checked_fixture(tests, sockshim_check_setup, NULL);
    tcase_add_test(tests, test);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    return srunner_ntests_failed(runner) != 0;
}
#elif defined TAP
int main(int argc, char **argv) {
    expectation = argv[argc - 1];
    sockshim_test_begin("test");
    talk();
    tap_sockshim(expectation);
    return tap_done();
}
#else
int main(int argc, char **argv) {
    expectation = argv[argc - 1];
    sockshim_test_begin("test");
    talk();
    sockshim_assert(expectation);
    return 0;
}
#endif
