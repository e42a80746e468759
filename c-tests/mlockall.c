// A program without privilege locks its memory, within the 8 MiB that it may: what is mapped into it
// counts as well. A trace without the tool is 64 MiB by default, so such a program needs a smaller one
// (docs/LIMITATIONS.md).
// settings: SOCKSHIM_SIZE=4M
// exercises: fork _exit
//: fork -> ?
#include "harness.h"
#include <sys/mman.h>

int main(void)
{
    begin();
    pid_t pid = fork();
    if (pid == 0) {
        alarm(20);
        if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(SKIP);
        _exit(mlockall(MCL_CURRENT) == 0 ? 5 : errno == ENOMEM ? 6 : 7);
    }
    printf("child %d\n", reap(pid));
}
