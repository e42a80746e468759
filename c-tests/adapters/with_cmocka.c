// cc with_cmocka.c -lcmocka -lsockshim_harness -lsockshim -lpthread
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sockshim/cmocka.h>

#include "client.h"

static void greets_before_it_listens(void **state) {
    (void)state;
    struct server server;
    server_start(&server, 0);
    assert_int_equal(greet(server.port), 10);
    server_stop(&server);
    assert_sockshim("writes-first client");
    assert_sockshim("closes-first server");
    assert_sockshim("no-leaks");
}

static void connects_once(void **state) {
    (void)state;
    struct server server;
    server_start(&server, 0);
    assert_int_equal(greet(server.port), 10);
    server_stop(&server);
    assert_sockshim("connections 1"); // those of the first test are not meant
    assert_sockshim("max-connect 5s");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(greets_before_it_listens, sockshim_cmocka_setup),
        cmocka_unit_test_setup(connects_once, sockshim_cmocka_setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
