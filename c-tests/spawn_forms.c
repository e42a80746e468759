// posix_spawn changes the child before it runs: its descriptors, folder, group, session, masks and
// dispositions, in the order that the program asked for. None of it may reach the parent, whose memory
// the child shares meanwhile.
// exercises: posix_spawn posix_spawnp write read
//: ...
//= calls posix_spawn 11
#include "harness.h"
#include <dirent.h>
#include <spawn.h>
#include <sys/stat.h>

static int fds[2];

/* What the child finds. Told on its standard output. */
static int child(void)
{
    sigset_t mask;
    char folder[64] = "?";
    CHECK(sigprocmask(SIG_BLOCK, NULL, &mask) == 0);
    struct sigaction user, hangup;
    CHECK(sigaction(SIGUSR1, NULL, &user) == 0 && sigaction(SIGHUP, NULL, &hangup) == 0);
    CHECK(getcwd(folder, sizeof folder) != NULL);
    printf("  group %s, session %s, SIGUSR2 %s, SIGUSR1 %s, SIGHUP %s, in %s, open", getpgrp() == getpid() ? "own" : "old",
        getsid(0) == getpid() ? "own" : "old", sigismember(&mask, SIGUSR2) ? "blocked" : "free",
        user.sa_handler == SIG_IGN ? "ignored" : "default", hangup.sa_handler == SIG_IGN ? "ignored" : "default",
        !strcmp(folder, "/") ? "/" : "its folder");
    for (int fd = 0; fd < 60; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            printf(" %d", fd);
    puts("");
    return 0;
}

static void spawn(const char *what, posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes)
{
    pid_t pid = -1;
    printf("%s\n", what);
    int error = posix_spawn(&pid, "/proc/self/exe", actions, attributes, (char *[]){"spawn_forms", "child", NULL}, environ);
    if (error != 0)
        printf("  %s\n", strerrorname_np(error));
    else
        printf("  status %d\n", reap(pid));
    // The parent's sockets are what they were.
    char byte = 'x';
    CHECK(write(fds[0], &byte, 1) == 1 && read(fds[1], &byte, 1) == 1);
}

int main(int argc, char **argv)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t set;
    begin();
    if (argc > 1 && argv[1][0] == 'c')
        return child();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    signal(SIGUSR1, SIG_IGN);
    CHECK(posix_spawnattr_init(&attributes) == 0);
    spawn("plain", NULL, NULL);

    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_addclose(&actions, fds[0]) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, fds[1], 40) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, fds[1], fds[1]) == 0);
    CHECK(posix_spawn_file_actions_addopen(&actions, 41, "/dev/null", O_RDONLY, 0) == 0);
    spawn("close, dup2, open", &actions, NULL);
    CHECK(posix_spawn_file_actions_addchdir_np(&actions, "/") == 0);
    spawn("chdir", &actions, NULL);
    CHECK(posix_spawn_file_actions_addclosefrom_np(&actions, 3) == 0);
    spawn("closefrom", &actions, NULL);
    CHECK(posix_spawn_file_actions_adddup2(&actions, 50, 51) == 0);
    spawn("dup2 of nothing", &actions, NULL);

    CHECK(posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP) == 0);
    CHECK(posix_spawnattr_setpgroup(&attributes, 0) == 0);
    spawn("group", NULL, &attributes);
    CHECK(posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID) == 0);
    spawn("session", NULL, &attributes);
    CHECK(sigemptyset(&set) == 0 && sigaddset(&set, SIGUSR2) == 0);
    CHECK(posix_spawnattr_setsigmask(&attributes, &set) == 0);
    CHECK(sigemptyset(&set) == 0 && sigaddset(&set, SIGUSR1) == 0);
    CHECK(posix_spawnattr_setsigdefault(&attributes, &set) == 0);
    CHECK(posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) == 0);
    spawn("signals", NULL, &attributes);
    CHECK(posix_spawnattr_setflags(&attributes, POSIX_SPAWN_RESETIDS | POSIX_SPAWN_USEVFORK) == 0);
    spawn("ids", NULL, &attributes);
    struct sched_param parameters = {0};
    CHECK(posix_spawnattr_setschedpolicy(&attributes, SCHED_OTHER) == 0);
    CHECK(posix_spawnattr_setschedparam(&attributes, &parameters) == 0);
    CHECK(posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSCHEDULER | POSIX_SPAWN_SETSCHEDPARAM) == 0);
    spawn("scheduler", NULL, &attributes);
    pid_t pid;
    printf("missing: %s\n", strerrorname_np(posix_spawnp(&pid, "no-such-program-anywhere", &actions, NULL,
        (char *[]){"x", NULL}, environ)));
    CHECK(posix_spawn_file_actions_destroy(&actions) == 0);
    CHECK(posix_spawn(&pid, "/bin/true", NULL, NULL, (char *[]){"true", NULL}, environ) == 0);
    printf("true %d\n", reap(pid));
}
