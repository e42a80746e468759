// An empty environment is the program's right: exec'ed so, the child runs without us, and runs well.
// exercises: execve execle
#include "harness.h"

int main(void)
{
    char *arguments[] = {"env", NULL}, *none[] = {NULL}, *one[] = {"ONLY=this", NULL};
    begin();
    for (int how = 0; how < 3; how++) {
        pid_t pid = fork();
        if (pid == 0) {
            if (how == 0)
                execve("/usr/bin/env", arguments, none);
            else if (how == 1)
                execle("/usr/bin/env", "env", (char *)NULL, one);
            else
                execve("/usr/bin/env", arguments, one);
            _exit(127);
        }
        printf("status %d\n", reap(pid));
    }
}
