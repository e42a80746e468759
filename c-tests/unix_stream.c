// A server behind a path in the file system, as databases and display servers have it.
// exercises: socket bind listen connect accept send recv
//: socket -> l
//: bind l -> 0
//: listen l -> 0
//: socket -> a
//: connect a -> 0
//: accept l -> b
//: send a -> 5 sent=local
//: recv b -> 5 received=local
//: close a -> 0
//: recv b -> 0
//: close b -> 0
//: socket -> c
//: connect c -> ENOENT
//: close c -> 0
//: close l -> 0
#include "harness.h"

int main(void)
{
    char folder[] = "/tmp/sockshim-XXXXXX", text[8];
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    begin();
    CHECK(mkdtemp(folder) != NULL);
    snprintf(where.sun_path, sizeof where.sun_path, "%s/server.sock", folder);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(listener, (struct sockaddr *)&where, sizeof where) == 0);
    CHECK(listen(listener, 4) == 0);
    int a = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(connect(a, (struct sockaddr *)&where, sizeof where) == 0);
    int b = accept(listener, NULL, NULL);
    CHECK(send(a, "local", 5, MSG_NOSIGNAL) == 5);
    CHECK(recv(b, text, sizeof text, 0) == 5);
    printf("%.5s\n", text);
    CHECK(close(a) == 0);
    CHECK(recv(b, text, sizeof text, 0) == 0);
    CHECK(close(b) == 0);
    CHECK(unlink(where.sun_path) == 0);
    int c = socket(AF_UNIX, SOCK_STREAM, 0);
    printf("after unlink: %s\n", outcome(connect(c, (struct sockaddr *)&where, sizeof where)));
    CHECK(close(c) == 0);
    CHECK(close(listener) == 0);
    CHECK(rmdir(folder) == 0);
}
