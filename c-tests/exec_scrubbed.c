// A program that is executed with an environment of somebody else's making, in every form that there is:
// it sees exactly that environment, and is followed nevertheless. So is what it executes in turn.
// exercises: execve execv execvp execvpe execl execlp execle execveat fexecve posix_spawn posix_spawnp vfork
// exercises: system popen pclose syscall
// linked: not followed
//= calls write 22
//= bytes sent 22
#include "harness.h"
#include <spawn.h>
#include <sys/syscall.h>

static char self[4096];

/* Says what it was given, and makes a call to be seen by. */
static int child(const char *form)
{
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(write(fds[0], "x", 1) == 1);
    printf("%s:", form);
    for (char **entry = environ; *entry != NULL; entry++)
        /* What a shell adds of its own. */
        if (strncmp(*entry, "PWD=", 4) != 0 && strncmp(*entry, "OLDPWD=", 7) != 0 && strncmp(*entry, "_=", 2) != 0 &&
            strncmp(*entry, "SHLVL=", 6) != 0)
            printf(" %s", *entry);
    printf("\n");
    return 0;
}

static void start(const char *form)
{
    char *none[] = {NULL}, *one[] = {"ONLY=this", NULL}, *preload[] = {"A=a", "LD_PRELOAD=libm.so.6", "B=b", NULL};
    char *arguments[] = {self, "child", (char *)form, NULL};
    char command[5000];
    if (strcmp(form, "execve") == 0)
        execve(self, arguments, one);
    else if (strcmp(form, "execve, empty") == 0)
        execve(self, arguments, none);
    else if (strcmp(form, "execve, null") == 0)
        execve(self, arguments, NULL);
    else if (strcmp(form, "execve, another preload") == 0)
        execve(self, arguments, preload);
    else if (strcmp(form, "execvpe") == 0)
        execvpe(self, arguments, one);
    else if (strcmp(form, "execle") == 0)
        execle(self, self, "child", form, (char *)NULL, one);
    else if (strcmp(form, "execle, many") == 0)
        execle(self, self, "child", form, "3", "4", "5", "6", "7", (char *)NULL, one);
    else if (strcmp(form, "execveat") == 0)
        execveat(AT_FDCWD, self, arguments, one, 0);
    else if (strcmp(form, "fexecve") == 0)
        fexecve(open(self, O_RDONLY | O_CLOEXEC), arguments, one);
    else if (strcmp(form, "SYS_execve") == 0)
        syscall(SYS_execve, self, arguments, one);
    else if (strcmp(form, "SYS_execveat") == 0)
        syscall(SYS_execveat, AT_FDCWD, self, arguments, one, 0);
    /* These pass on the program's own. */
    clearenv();
    CHECK(setenv("MINE", "1", 1) == 0);
    if (strcmp(form, "execv") == 0)
        execv(self, arguments);
    else if (strcmp(form, "execvp") == 0)
        execvp(self, arguments);
    else if (strcmp(form, "execl") == 0)
        execl(self, self, "child", form, (char *)NULL);
    else if (strcmp(form, "execlp") == 0)
        execlp(self, self, "child", form, "3", "4", "5", "6", "7", "8", (char *)NULL);
    else if (strcmp(form, "twice") == 0)
        execl(self, self, "again", "execve", (char *)NULL);
    snprintf(command, sizeof command, "%s child '%s'", self, form);
    if (strcmp(form, "system") == 0) {
        CHECK(setenv("LD_PRELOAD", "libm.so.6", 1) == 0);
        exit(system(command));
    }
    if (strcmp(form, "popen") == 0) {
        FILE *stream = popen(command, "r");
        for (int c; (c = fgetc(stream)) != EOF;)
            putchar(c);
        exit(pclose(stream));
    }
    _exit(127);
}

int main(int argc, char **argv)
{
    static const char *forms[] = {
        "execve", "execve, empty", "execve, null", "execve, another preload", "execvpe", "execle", "execle, many",
        "execveat", "fexecve", "SYS_execve", "SYS_execveat", "execv", "execvp", "execl", "execlp", "twice", "system",
        "popen",
    };
    begin();
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(len > 0);
    if (argc > 2 && strcmp(argv[1], "child") == 0)
        return child(argv[2]);
    if (argc > 2)
        start(argv[2]);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0)
            start(forms[i]);
        printf("status %d\n", reap(pid));
    }
    char *one[] = {"ONLY=this", NULL};
    for (int p = 0; p < 2; p++) {
        pid_t pid;
        char *arguments[] = {self, "child", p ? "posix_spawnp" : "posix_spawn", NULL};
        CHECK((p ? posix_spawnp : posix_spawn)(&pid, self, NULL, NULL, arguments, one) == 0);
        printf("status %d\n", reap(pid));
    }
    /* The usual way of shells and runtimes: between vfork and exec the child records nothing. */
    for (int l = 0; l < 2; l++) {
        pid_t pid = vfork();
        if (pid == 0) {
            if (l)
                execle(self, self, "child", "vfork, execle", (char *)NULL, one);
            else
                execve(self, (char *[]){self, "child", "vfork, execve", NULL}, one);
            _exit(127);
        }
        printf("status %d\n", reap(pid));
    }
}
