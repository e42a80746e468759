// cc with_check.c $(pkg-config --cflags --libs check) -lsockshim_harness -lsockshim
#include <check.h>
#include <stdlib.h>

#include <sockshim/check.h>

#include "client.h"

START_TEST(greets_before_it_listens) {
    struct server server;
    server_start(&server, 0);
    ck_assert_int_eq(greet(server.port), 10);
    server_stop(&server);
    ck_assert_sockshim("writes-first client");
    ck_assert_sockshim("closes-first server");
    ck_assert_sockshim("no-leaks");
}
END_TEST

START_TEST(connects_once) {
    struct server server;
    server_start(&server, 0);
    ck_assert_int_eq(greet(server.port), 10);
    server_stop(&server);
    ck_assert_sockshim("connections 1"); // those of the first test, in another process, are not meant
}
END_TEST

int main(void) {
    sockshim_test_begin("client"); // so that all processes record into the same memory, and no lines are printed
    Suite *suite = suite_create("client");
    TCase *greeting = tcase_create("greeting");
    tcase_add_checked_fixture(greeting, sockshim_check_setup, NULL);
    tcase_add_test(greeting, greets_before_it_listens);
    tcase_add_test(greeting, connects_once);
    suite_add_tcase(suite, greeting);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
