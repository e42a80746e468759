// PR_SET_TSC makes the time-stamp counter a deadly instruction, and the vDSO clock with it: whoever
// takes the time around each call dies here.
// exercises: prctl
//: socketpair -> 0 made=a,b
//: ...
//: write a -> 5 sent=frozn
//: read b -> 5 received=frozn
//: ...
//: write a -> 5 sent=thawd
//: read b -> 5 received=thawd
//: close a -> 0
//: close b -> 0
#include "harness.h"
#include <sys/prctl.h>

int main(void)
{
    int fds[2];
    char text[8];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) != 0)
        return SKIP;
    CHECK(write(fds[0], "frozn", 5) == 5);
    CHECK(read(fds[1], text, sizeof text) == 5);
    CHECK(prctl(PR_SET_TSC, PR_TSC_ENABLE, 0, 0, 0) == 0);
    printf("%.5s\n", text);
    CHECK(write(fds[0], "thawd", 5) == 5);
    CHECK(read(fds[1], text, sizeof text) == 5);
    printf("%.5s\n", text);
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
