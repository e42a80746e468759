// Abstract names begin with a zero byte and end with the address length, so nobody may treat them as
// strings; a name that the kernel chooses (autobind) is one of them.
// exercises: bind getsockname connect accept getpeername
//: socket -> l
//: bind l -> 0
//: listen l -> 0
//: getsockname l -> 0
//: socket -> a
//: connect a -> 0
//: accept l -> b
//: getpeername a -> 0
//: getpeername b -> 0
//: close a -> 0
//: close b -> 0
//: close l -> 0
#include "harness.h"

int main(void)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX}, peer = {0};
    socklen_t len = sizeof where;
    begin();
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(listener, (struct sockaddr *)&where, sizeof where.sun_family) == 0);
    CHECK(listen(listener, 4) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&where, &len) == 0);
    printf("the kernel's name: %u bytes, first %d\n", len, where.sun_path[0]);
    int a = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(connect(a, (struct sockaddr *)&where, len) == 0);
    int b = accept(listener, NULL, NULL);
    socklen_t peer_len = sizeof peer;
    CHECK(getpeername(a, (struct sockaddr *)&peer, &peer_len) == 0);
    printf("peer of the client: same %d\n", peer_len == len && memcmp(&peer, &where, len) == 0);
    peer_len = sizeof peer;
    CHECK(getpeername(b, (struct sockaddr *)&peer, &peer_len) == 0);
    printf("peer of the server: %u bytes\n", peer_len);
    CHECK(close(a) == 0);
    CHECK(close(b) == 0);
    CHECK(close(listener) == 0);
}
