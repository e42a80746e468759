// As redirect.c, beside methods of the same names.

#include <sockshim/redirect.h>

#include <fstream>

int main() {
    int pair[2];
    char text[8];
    std::fstream file("/dev/zero");
    file.read(text, 1);
    file.close();
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return 1;
    if (::write(pair[0], "ping", 5) != 5) return 2;
    if (read(pair[1], text, sizeof text) != 5) return 3;
    return ::close(pair[0]) != 0 || close(pair[1]) != 0;
}
