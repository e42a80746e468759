// Datagrams have no connection, or one that the kernel never negotiated: the peer is in each call.
// exercises: socket bind sendto recvfrom connect send recv
//: socket -> a
//: bind a -> 0
//: getsockname a -> 0
//: socket -> b
//: sendto b -> 5 sent=first
//: recvfrom a -> 5 received=first
//: sendto a -> 5 sent=reply
//: connect b -> 0
//: recv b -> 5 received=reply
//: send b -> 6 sent=second
//: recvfrom a -> 6 received=second
//: send b -> 0
//: recv a -> 0
//: close b -> 0
//: close a -> 0
#include "harness.h"

int main(void)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, from;
    socklen_t len = sizeof where, from_len = sizeof from;
    char text[16];
    begin();
    int a = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(bind(a, (struct sockaddr *)&where, sizeof where) == 0);
    CHECK(getsockname(a, (struct sockaddr *)&where, &len) == 0);
    int b = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    CHECK(sendto(b, "first", 5, 0, (struct sockaddr *)&where, sizeof where) == 5);
    CHECK(recvfrom(a, text, sizeof text, 0, (struct sockaddr *)&from, &from_len) == 5);
    printf("%.5s, address of %u bytes\n", text, from_len);
    CHECK(sendto(a, "reply", 5, 0, (struct sockaddr *)&from, from_len) == 5);
    CHECK(connect(b, (struct sockaddr *)&where, sizeof where) == 0);
    CHECK(recv(b, text, sizeof text, 0) == 5);
    printf("%.5s\n", text);
    CHECK(send(b, "second", 6, 0) == 6);
    CHECK(recvfrom(a, text, sizeof text, 0, NULL, NULL) == 6);
    printf("%.6s\n", text);
    printf("empty datagram: %s\n", outcome(send(b, "", 0, 0)));
    printf("empty datagram: %s\n", outcome(recv(a, text, sizeof text, 0)));
    CHECK(close(b) == 0);
    CHECK(close(a) == 0);
}
