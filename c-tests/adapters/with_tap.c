// cc with_tap.c -lsockshim_harness -lsockshim -lpthread; prove ./a.out
#include <sockshim/tap.h>

#include "client.h"

int main(void) {
    struct server server;
    sockshim_test_begin("greeting");
    server_start(&server, 0);
    tap_ok(greet(server.port) == 10, "ten bytes of answer");
    server_stop(&server);
    tap_sockshim("writes-first client");
    tap_sockshim("closes-first server");
    tap_sockshim("no-leaks");
    return tap_done();
}
