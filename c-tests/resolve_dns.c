// Programs that speak DNS through libc's resolver. The name server is a thread of ours that knows no
// name at all.
// exercises: res_query res_search res_nquery res_nsearch res_send res_nsend res_querydomain
// exercises: res_nquerydomain
//: ...
//: res_query -> -1 name=one.test
//: res_search -> -1 name=two.test
//: res_nquery -> -1 name=three.test
//: res_nsearch -> -1 name=four.test
//: res_querydomain -> -1 name=five
//: res_nquerydomain -> -1 name=six
//: res_send
//: res_nsend
//: socket -> q
//: connect q -> 0
//: send q -> 1 sent=q
//: close q -> 0
//: ...
#include "harness.h"
#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>

static int questions;

// Turns each question into "there is no such name", until somebody sends a "q".
static void *name_server(void *fd)
{
    unsigned char packet[512];
    struct sockaddr_in from;
    for (;;) {
        socklen_t len = sizeof from;
        ssize_t n = recvfrom(*(int *)fd, packet, sizeof packet, 0, (struct sockaddr *)&from, &len);
        CHECK(n > 0);
        if (n == 1)
            return NULL;
        questions++;
        packet[2] |= 0x80;
        packet[3] = (unsigned char)((packet[3] & 0xf0) | ns_r_nxdomain);
        CHECK(sendto(*(int *)fd, packet, (size_t)n, 0, (struct sockaddr *)&from, len) == n);
    }
}

int main(void)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof where;
    unsigned char question[128], answer[512];
    pthread_t thread;
    begin();
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&where, sizeof where) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&where, &len) == 0);
    CHECK(pthread_create(&thread, NULL, name_server, &fd) == 0);

    CHECK(res_init() == 0);
    _res.nsaddr_list[0] = where;
    _res.nscount = 1;
    _res.options = RES_INIT | RES_RECURSE;

    printf("res_query %d\n", res_query("one.test", C_IN, T_A, answer, sizeof answer));
    printf("not found %d\n", h_errno == HOST_NOT_FOUND);
    printf("res_search %d\n", res_search("two.test", C_IN, T_A, answer, sizeof answer));
    printf("res_nquery %d\n", res_nquery(&_res, "three.test", C_IN, T_A, answer, sizeof answer));
    printf("res_nsearch %d\n", res_nsearch(&_res, "four.test", C_IN, T_A, answer, sizeof answer));
    printf("res_querydomain %d\n", res_querydomain("five", "test", C_IN, T_A, answer, sizeof answer));
    printf("res_nquerydomain %d\n", res_nquerydomain(&_res, "six", "test", C_IN, T_A, answer,
        sizeof answer));
    int n = res_mkquery(ns_o_query, "seven.test", C_IN, T_A, NULL, 0, NULL, question, sizeof question);
    CHECK(n > 0);
    printf("res_send: same length %d, code %d\n", res_send(question, n, answer, sizeof answer) == n,
        answer[3] & 0xf);
    printf("res_nsend: same length %d, code %d\n", res_nsend(&_res, question, n, answer,
        sizeof answer) == n, answer[3] & 0xf);

    int quit = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(connect(quit, (struct sockaddr *)&where, sizeof where) == 0);
    CHECK(send(quit, "q", 1, 0) == 1);
    CHECK(pthread_join(thread, NULL) == 0);
    printf("questions %d\n", questions);
    CHECK(close(quit) == 0);
    CHECK(close(fd) == 0);
}
