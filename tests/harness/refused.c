// The memory to record in cannot be had: the log that there was goes on, by the clock that it had.

#include <sockshim.h>

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    struct rlimit before, least;
    int pair[2];
    if (sockshim_log_to(2) != 0) return 1;
    if (getrlimit(RLIMIT_AS, &before) != 0) return 2;
    least = before;
    least.rlim_cur = 1 << 20;
    if (setrlimit(RLIMIT_AS, &least) != 0) return 3;
    if (sockshim_record(32 << 20) != -1) return 4;
    if (setrlimit(RLIMIT_AS, &before) != 0) return 5;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return 6;
    return close(pair[0]) + close(pair[1]);
}
