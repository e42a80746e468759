// Libraries that are loaded later call through their own tables: they reach us as the program does.
// exercises: socketpair read close
//: socketpair -> 0 made=a,b
//: write a -> 5 sent=found
//: read b -> 5 received=found
//: close a -> 0
//: close b -> 0
#include "harness.h"
#include <dlfcn.h>

int main(void)
{
    int fds[2];
    char text[8];
    ssize_t (*found)(int, const void *, size_t);
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    void *symbol = dlsym(RTLD_DEFAULT, "write");
    CHECK(symbol != NULL);
    memcpy(&found, &symbol, sizeof found);
    CHECK(found(fds[0], "found", 5) == 5);
    CHECK(read(fds[1], text, sizeof text) == 5);
    printf("%.5s\n", text);
    CHECK(dlsym(RTLD_NEXT, "no_such_symbol_at_all") == NULL);
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
