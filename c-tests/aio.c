// Asynchronous I/O works on sockets: libc reads and writes in threads of its own, where nobody can
// see it, so the request is what is recorded.
// exercises: aio_read aio_read64 aio_write aio_write64 lio_listio lio_listio64
//: socketpair
//: aio_write a -> 0
//: aio_read b -> 0
//: aio_write a -> 0
//: aio_read b -> 0
//: lio_listio - -> 0
//: lio_listio - -> 0
//: close a -> 0
//: close b -> 0
#include "harness.h"
#include <aio.h>

static struct aiocb block(int fd, char *buffer, int opcode)
{
    struct aiocb block = { .aio_fildes = fd, .aio_buf = buffer, .aio_nbytes = 4, .aio_lio_opcode = opcode };
    return block;
}

static void finish(struct aiocb *block)
{
    const struct aiocb *list[] = { block };
    while (aio_error(block) == EINPROGRESS)
        aio_suspend(list, 1, NULL);
    printf("%zd %.4s\n", aio_return(block), (char *)block->aio_buf);
}

int main(void)
{
    begin();
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    char ping[4] = "ping", pong[4] = "";

    struct aiocb out = block(pair[0], ping, LIO_WRITE), in = block(pair[1], pong, LIO_READ);
    CHECK(aio_write(&out) == 0);
    finish(&out);
    CHECK(aio_read(&in) == 0);
    finish(&in);
    struct aiocb64 out64 = { .aio_fildes = pair[0], .aio_buf = ping, .aio_nbytes = 4 };
    struct aiocb64 in64 = { .aio_fildes = pair[1], .aio_buf = pong, .aio_nbytes = 4 };
    CHECK(aio_write64(&out64) == 0);
    while (aio_error64(&out64) == EINPROGRESS)
        ;
    CHECK(aio_read64(&in64) == 0);
    while (aio_error64(&in64) == EINPROGRESS)
        ;
    printf("%zd %zd\n", aio_return64(&out64), aio_return64(&in64));

    out = block(pair[0], ping, LIO_WRITE);
    struct aiocb *one[] = { &out, NULL };
    CHECK(lio_listio(LIO_WAIT, one, 2, NULL) == 0);
    finish(&out);
    in64.aio_lio_opcode = LIO_READ;
    struct aiocb64 *one64[] = { &in64 };
    CHECK(lio_listio64(LIO_WAIT, one64, 1, NULL) == 0);
    printf("%zd\n", aio_return64(&in64));
    CHECK(close(pair[0]) == 0 && close(pair[1]) == 0);
}
