// A program that is killed in the middle of a call leaves that call on record, unfinished: that is
// where it hung.
// exercises: read
//: socketpair -> 0 made=a,b
//: fork -> ?
//: read a -> 1
//: close a -> 0
//: close b -> 0
//:2 write b -> 1
//:2 read b -> ?
#include "harness.h"

int main(void)
{
    int fds[2];
    char byte;
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(20);
        CHECK(write(fds[1], "x", 1) == 1);
        CHECK(read(fds[1], &byte, 1) == 1);
        _exit(1);
    }
    CHECK(read(fds[0], &byte, 1) == 1);
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    do {
        FILE *file = fopen(path, "r");
        CHECK(file != NULL && fgets(text, sizeof text, file) != NULL);
        fclose(file);
        sched_yield();
    } while (strrchr(text, ')')[2] != 'S');
    CHECK(kill(pid, SIGKILL) == 0);
    printf("child %d\n", reap(pid));
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
