// accept stores as much of the address as there is room for, and how long it is; the record has all of it, whether the
// length lies beside the call or somewhere else.
// without edges: the kernel is not asked for what there was no room for
// exercises: accept accept4
//: ...
//: accept l -> ? returned=127.0.0.1
//: ...
//: accept l -> ? returned=127.0.0.1
//: ...
//: accept l -> ? returned=127.0.0.1
//: ...
//: accept l -> ? returned=127.0.0.1
//: ...
//: accept l -> ? returned=127.0.0.1
//: ...
//: accept l -> ? returned=127.0.0.1
//: ...
//: accept4 l -> ? returned=127.0.0.1
//: ...
//: accept4 l -> ? returned=127.0.0.1
//: ...
//: accept4 l -> ? returned=127.0.0.1
//: ...
//: accept4 l -> ? returned=127.0.0.1
//: ...
//: accept4 l -> ? returned=127.0.0.1
//: ...
//: accept4 l -> ? returned=127.0.0.1
//: ...
#include "harness.h"

/* Where the caller's frame is not. */
static struct {
    struct sockaddr_in address;
    socklen_t len;
} elsewhere;

static void take(int listener, struct sockaddr_in *address, socklen_t *len, socklen_t room, int with_flags)
{
    struct sockaddr_in where;
    socklen_t size = sizeof where;
    CHECK(getsockname(listener, (struct sockaddr *)&where, &size) == 0);
    int a = tcp_connect(&where);
    memset(address, 0, sizeof *address);
    *len = room;
    int b = with_flags ? accept4(listener, (struct sockaddr *)address, len, SOCK_CLOEXEC)
                       : accept(listener, (struct sockaddr *)address, len);
    CHECK(b >= 0);
    printf("room for %u, length %u, family %d, host %s\n", room, *len, address->sin_family,
           address->sin_addr.s_addr == htonl(INADDR_LOOPBACK) ? "there" : "not there");
    CHECK(close(b) == 0);
    CHECK(close(a) == 0);
}

int main(void)
{
    const socklen_t rooms[] = {0, 4, sizeof(struct sockaddr_in)};
    struct sockaddr_in where, address;
    socklen_t len;
    begin();
    int listener = tcp_listener(&where);
    for (int with_flags = 0; with_flags < 2; with_flags++) {
        for (int i = 0; i < 3; i++) {
            socklen_t room = rooms[i];
            take(listener, &address, &len, room, with_flags);
            take(listener, &elsewhere.address, &elsewhere.len, room, with_flags);
        }
    }
    CHECK(close(listener) == 0);
}
