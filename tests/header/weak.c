// Code that is shipped with its marks: it runs with and without the library. C99, C11 and C++17.

#include <sockshim/weak.h>

#include <stdio.h>

int main(void) {
    int pair[2];
    char text[8] = "";
    sockshim_mark("begin");
    if (sockshim_socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return 1;
    if (sockshim_write(pair[0], "ping", 5) != 5) return 2;
    if (sockshim_read(pair[1], text, sizeof text) != 5) return 3;
    if (sockshim_close(pair[0]) != 0 || sockshim_close(pair[1]) != 0) return 4;
    const char *version = sockshim_version();
    printf("%s %s\n", text, version ? version : "none");
    return 0;
}
