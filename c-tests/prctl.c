// prctl has five arguments of any type; most commands are none of our business and pass through.
// exercises: prctl
//: socketpair -> 0 made=a,b
//: ...
//: close a -> 0
//: close b -> 0
#include "harness.h"
#include <sys/prctl.h>

int main(void)
{
    int fds[2], signal_number = 0;
    char name[16];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(prctl(PR_SET_NAME, "shimmed") == 0);
    CHECK(prctl(PR_GET_NAME, name) == 0);
    printf("%s\n", name);
    CHECK(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0);
    CHECK(prctl(PR_GET_PDEATHSIG, &signal_number) == 0);
    printf("%d\n", signal_number == SIGUSR1);
    printf("unknown: %s\n", outcome(prctl(4711, 0, 0, 0, 0)));
    printf("unused arguments must be 0: %s\n", outcome(prctl(PR_SET_NO_NEW_PRIVS, 1, 2, 3, 4)));
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
