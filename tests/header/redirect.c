// The plain names of this file are the look-alikes: also by pointer, and as members they stay what they are.

#include <sockshim/redirect.h>

struct operations {
    ssize_t (*read)(int, void *, size_t);
    int (*close)(int);
};

int main(void) {
    struct operations operations = {read, close};
    int pair[2];
    char text[8];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return 1;
    if (write(pair[0], "ping", 5) != 5) return 2;
    if (operations.read(pair[1], text, sizeof text) != 5) return 3;
    return operations.close(pair[0]) != 0 || close(pair[1]) != 0;
}
