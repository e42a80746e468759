// Prints the path of each shim that is mapped, and makes a socket.

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    char line[4096], seen[4096] = "";
    FILE *maps = fopen("/proc/self/maps", "r");
    if (maps == NULL) return 1;
    while (fgets(line, sizeof line, maps)) {
        char *path = strchr(line, '/');
        if (path && strstr(path, "/libsockshim.so") && strcmp(path, seen) != 0) printf("%s", strcpy(seen, path));
    }
    return close(socket(AF_UNIX, SOCK_STREAM, 0)) != 0;
}
