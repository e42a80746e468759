// A handler on a small stack of its own makes calls: our frames must fit there as well.
// exercises: poll recvmsg sendmsg write
//: socketpair -> 0 made=a,b
//: write a -> 4
//: sendmsg a -> 4
//: poll - -> 1
//: recvmsg b -> 4
//: close_range - -> 0
//: close a -> 0
//: close b -> 0
#include "harness.h"
#include <sys/uio.h>

static int fds[2];

static void handle(int number)
{
    char text[4] = "tiny";
    struct iovec part = {text, 4};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
    struct pollfd wait = {.fd = fds[1], .events = POLLIN};
    (void)number;
    CHECK(write(fds[0], text, 4) == 4);
    CHECK(sendmsg(fds[0], &msg, 0) == 4);
    CHECK(poll(&wait, 1, -1) == 1);
    CHECK(recvmsg(fds[1], &msg, 0) == 4);
    CHECK(close_range(1000, 1001, 0) == 0);
}

int main(void)
{
    begin();
    // What the kernel needs for its frame, and 4 KiB for everybody else.
    size_t size = (size_t)sysconf(_SC_MINSIGSTKSZ) + 4096;
    char *memory = malloc(size + 16);
    memset(memory, 0x5a, size + 16);
    stack_t stack = {.ss_sp = memory + 16, .ss_size = size};
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(sigaltstack(&stack, NULL) == 0);
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(raise(SIGUSR1) == 0);
    int overrun = 0;
    for (int i = 0; i < 16; i++)
        overrun += memory[i] != 0x5a;
    printf("bytes below the stack changed: %d\n", overrun);
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
