// talk COUNT [unlink|truncate|leave VARIABLE|PATH]: sends COUNT noisy messages to itself and prints what came.
// Half way it does something to a file, named by its path or by a variable of the environment.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int fds[2], count = argc > 1 ? atoi(argv[1]) : 1;
    uint64_t noise[8] = {88172645463325252u}, back[8], sum = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        return 1;
    for (int i = 0; i < count; i++) {
        if (i == count / 2 && argc > 3) {
            const char *path = argv[3][0] == '/' ? argv[3] : getenv(argv[3]);
            // Without us there is no such variable, and no such file.
            if (path != NULL)
                (void)!(strcmp(argv[2], "leave") == 0    ? 0
                        : strcmp(argv[2], "unlink") == 0 ? unlink(path)
                                                         : truncate(path, 0));
        }
        for (int j = 0; j < 8; j++) {
            uint64_t x = noise[(j + 7) % 8] + (uint64_t)i + 1;
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            noise[j] = x;
        }
        if (write(fds[0], noise, sizeof noise) != sizeof noise || read(fds[1], back, sizeof back) != sizeof back)
            return 2;
        sum += back[0] ^ back[7];
    }
    printf("%d messages, sum %016llx\n", count, (unsigned long long)sum);
    return close(fds[0]) || close(fds[1]);
}
