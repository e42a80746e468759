// Signals that the kernel sends about sockets and children arrive as often as ever, and to whom they
// were meant for: SIGURG for urgent data, SIGIO for any, SIGCHLD for children, also those of system and
// popen, which hold it back meanwhile.
// exercises: send recv fcntl ioctl fork system popen pclose
//: ...
//:t send -> 1
#include "harness.h"
#include <sys/ioctl.h>

static volatile sig_atomic_t counts[65];

static void handle(int number)
{
    counts[number]++;
}

static void wait_for(int number, int count)
{
    while (counts[number] < count)
        sched_yield();
}

int main(void)
{
    int tcp[2], on = 1;
    char text[8];
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    begin();
    tcp_pair(tcp);
    int signals[] = {SIGURG, SIGIO, SIGCHLD, SIGUSR2};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        CHECK(sigaction(signals[i], &action, NULL) == 0);
    CHECK(fcntl(tcp[1], F_SETOWN, getpid()) == 0 && fcntl(tcp[1], F_GETOWN) == getpid());
    CHECK(send(tcp[0], "u", 1, MSG_OOB) == 1);
    wait_for(SIGURG, 1);
    printf("urgent: %s %c\n", outcome(recv(tcp[1], text, 1, MSG_OOB)), text[0]);
    CHECK(ioctl(tcp[1], FIOASYNC, &on) == 0);
    int before = counts[SIGIO];
    CHECK(send(tcp[0], "x", 1, 0) == 1);
    wait_for(SIGIO, before + 1);
    CHECK(recv(tcp[1], text, 1, MSG_WAITALL) == 1);
    puts("asynchronous");
    CHECK(fcntl(tcp[1], F_SETSIG, SIGUSR2) == 0 && fcntl(tcp[1], F_GETSIG) == SIGUSR2);
    CHECK(send(tcp[0], "y", 1, 0) == 1);
    wait_for(SIGUSR2, 1);
    puts("by another signal");
    CHECK(fcntl(tcp[1], F_SETFL, fcntl(tcp[1], F_GETFL) & ~O_ASYNC) == 0);

    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(i);
        wait_for(SIGCHLD, i + 1);
        printf("child %d, SIGCHLD %d\n", reap(pid), (int)counts[SIGCHLD]);
    }
    printf("system: %d\n", system("exit 3") >> 8);
    printf("SIGCHLD after system: %d\n", (int)counts[SIGCHLD]);
    FILE *file = popen("exit 4", "r");
    CHECK(file != NULL);
    wait_for(SIGCHLD, counts[SIGCHLD] > 3 ? 5 : 4);
    printf("popen: %d\n", pclose(file) >> 8);
    printf("urgent in all: %d\n", (int)counts[SIGURG]);
}
