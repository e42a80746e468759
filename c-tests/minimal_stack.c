// A handler on the smallest stack that there may be, exactly MINSIGSTKSZ as the kernel has it, writes and reads: what
// a record takes of the stack has to fit beside the kernel's frame.
// not logged: the text log needs 2.5 KiB more (docs/LIMITATIONS.md)
// exercises: write read
//: socketpair -> 0 made=a,b
//: write a -> 4
//: read b -> 4
//: write a -> 4
//: read b -> 4
//: close a -> 0
//: close b -> 0
#include "harness.h"

static int fds[2];

static void handle(int number)
{
    char text[4] = "tiny";
    (void)number;
    if (write(fds[0], text, 4) != 4 || read(fds[1], text, 4) != 4)
        _exit(1);
}

int main(void)
{
    begin();
    size_t below = 8192, size = (size_t)sysconf(_SC_MINSIGSTKSZ);
    unsigned char *memory = malloc(below + size);
    memset(memory, 0x5a, below + size);
    stack_t stack = {.ss_sp = memory + below, .ss_size = size};
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    // The first time each call is bound, by a loader that saves all registers: more than this stack has, natively too.
    handle(0);
    CHECK(sigaltstack(&stack, NULL) == 0);
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(raise(SIGUSR1) == 0);
    int overrun = 0;
    for (size_t i = 0; i < below; i++)
        overrun += memory[i] != 0x5a;
    printf("bytes below the stack changed: %d\n", overrun);
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
