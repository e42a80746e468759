// Threads with the smallest stack there is still make calls: our frames, and our thread-local storage,
// come out of their 16 KiB.
// exercises: write sendmsg recvmsg poll
//= calls write 1
//= calls sendmsg 1
#include "harness.h"
#include <limits.h>
#include <sys/uio.h>

static int fds[2];

static void *run(void *unused)
{
    char text[8];
    struct iovec part = {text, 4};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
    struct pollfd wait = {.fd = fds[1], .events = POLLIN};
    memcpy(text, "tiny", 4);
    CHECK(write(fds[0], text, 4) == 4);
    CHECK(sendmsg(fds[0], &msg, 0) == 4);
    CHECK(poll(&wait, 1, -1) == 1);
    CHECK(recvmsg(fds[1], &msg, 0) == 4);
    return unused;
}

int main(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes,
        (size_t)sysconf(_SC_THREAD_STACK_MIN) < 16384 ? 16384 : (size_t)sysconf(_SC_THREAD_STACK_MIN)) == 0);
    CHECK(pthread_create(&thread, &attributes, run, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    puts("fits");
}
