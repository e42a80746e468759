// cc with_assert.c -lsockshim_harness -lsockshim -lpthread
#include <assert.h>

#include <sockshim/assert.h>

#include "client.h"

int main(void) {
    struct server server;
    sockshim_test_begin("greeting");
    server_start(&server, 0);
    int got = greet(server.port);
    server_stop(&server);
    assert(got == 10);
    sockshim_assert("writes-first client");
    sockshim_assert("closes-first server");
    sockshim_assert("no-leaks");
    return 0;
}
