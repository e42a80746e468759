// Runs a program with system calls that the kernel seems not to have: a seccomp filter answers them with an
// error. REFUSE=number,errno[,argument,value]...[;...] says which, RUN names the program, which gets our
// arguments; PRELOAD is what it is to be preloaded with.
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static struct sock_filter code[64];
static unsigned short len;

static void add(struct sock_filter instruction)
{
    if (len < 63)
        code[len++] = instruction;
}

// Goes on if the word at `offset` of the call is `value`, else behind the next `skip` instructions.
static void compare(size_t offset, unsigned value, unsigned char skip)
{
    add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offset));
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip));
}

int main(int argc, char **argv)
{
    (void)argc;
    char *refuse = getenv("REFUSE"), *run = getenv("RUN"), *preload = getenv("PRELOAD");
    if (refuse == NULL || run == NULL)
        return 120;
    for (char *rest = refuse, *one; (one = strsep(&rest, ";")) != NULL;) {
        unsigned words[8];
        int count = 0;
        for (char *word; count < 8 && (word = strsep(&one, ",")) != NULL;)
            words[count++] = (unsigned)strtoul(word, NULL, 0);
        int arguments = (count - 2) / 2;
        compare(offsetof(struct seccomp_data, nr), words[0], (unsigned char)(2 * arguments + 1));
        for (int i = 0; i < arguments; i++)
            compare(offsetof(struct seccomp_data, args[words[2 + 2 * i]]), words[3 + 2 * i],
                    (unsigned char)(2 * (arguments - i - 1) + 1));
        add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | words[1]));
    }
    code[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {len, code};
    char *path = strdup(run);
    if (preload != NULL)
        setenv("LD_PRELOAD", preload, 1);
    unsetenv("REFUSE"), unsetenv("RUN"), unsetenv("PRELOAD");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return 77;
    argv[0] = path;
    execv(path, argv);
    perror(path);
    return 121;
}
