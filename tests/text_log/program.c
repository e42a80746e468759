/* Calls that the lines of a log can be counted against.
 *
 *   program killed N     N writes and as many reads, and then SIGKILL
 *   program stopped N    the same behind sockshim_stop
 *   program recorded N   the same behind sockshim_record
 *   program signals N    the same, of one pair by the program and of another by a handler that interrupts it; prints the
 *                        calls of the handler
 *   program threads N    the same by eight threads, each with a pair of its own
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static long count;
static int handlers[2];
static volatile long handled;

static void must(int holds, const char *what)
{
    if (!holds) {
        perror(what);
        exit(1);
    }
}

static void there_and_back(const int pair[2])
{
    char byte = 'x';
    must(write(pair[0], &byte, 1) == 1 && read(pair[1], &byte, 1) == 1, "a byte through a socket");
}

static void handle(int number)
{
    (void)number;
    there_and_back(handlers);
    handled += 2;
}

static void *calls(void *unused)
{
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
    for (long i = 0; i < count; i++)
        there_and_back(pair);
    return unused;
}

int main(int argc, char **argv)
{
    must(argc == 3, "usage");
    count = atol(argv[2]);
    if (strcmp(argv[1], "killed") == 0) {
        calls(NULL);
        kill(getpid(), SIGKILL);
    }
    if (strcmp(argv[1], "stopped") == 0) {
        void (*stop)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "sockshim_stop");
        must(stop != NULL, "sockshim_stop");
        calls(NULL);
        stop();
        kill(getpid(), SIGKILL);
    }
    if (strcmp(argv[1], "recorded") == 0) {
        int (*record)(size_t) = (int (*)(size_t))dlsym(RTLD_DEFAULT, "sockshim_record");
        must(record != NULL, "sockshim_record");
        calls(NULL);
        must(record(0) == 0, "sockshim_record");
        kill(getpid(), SIGKILL);
    }
    if (strcmp(argv[1], "signals") == 0) {
        struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
        struct itimerval often = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
        must(socketpair(AF_UNIX, SOCK_STREAM, 0, handlers) == 0, "socketpair");
        must(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0, "setitimer");
        calls(NULL);
        must(setitimer(ITIMER_REAL, &never, NULL) == 0, "setitimer");
        printf("%ld\n", handled);
    }
    if (strcmp(argv[1], "threads") == 0) {
        pthread_t threads[8];
        for (int i = 0; i < 8; i++)
            must(pthread_create(&threads[i], NULL, calls, NULL) == 0, "pthread_create");
        for (int i = 0; i < 8; i++)
            must(pthread_join(threads[i], NULL) == 0, "pthread_join");
    }
    return 0;
}
