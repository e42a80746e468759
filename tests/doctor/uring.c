// Sends 11 bytes and receives 13 through an io_uring. With an argument, stays until its standard
// input ends.
#include "../../c-tests/harness.h"
#include <liburing.h>

static int completed(struct io_uring *ring)
{
    struct io_uring_cqe *entry;
    CHECK(io_uring_submit(ring) == 1);
    CHECK(io_uring_wait_cqe(ring, &entry) == 0);
    int result = entry->res;
    io_uring_cqe_seen(ring, entry);
    return result;
}

int main(int count, char **arguments)
{
    struct io_uring ring;
    int fds[2];
    char data[64];
    (void)arguments;
    begin();
    int ret = io_uring_queue_init(4, &ring, 0);
    if (ret == -EPERM || ret == -ENOSYS)
        return 77;
    CHECK(ret == 0);
    tcp_pair(fds);
    CHECK(send(fds[1], "thirteen byte", 13, 0) == 13);
    io_uring_prep_send(io_uring_get_sqe(&ring), fds[0], "eleven here", 11, 0);
    CHECK(completed(&ring) == 11);
    io_uring_prep_recv(io_uring_get_sqe(&ring), fds[0], data, sizeof data, 0);
    CHECK(completed(&ring) == 13);
    CHECK(recv(fds[1], data, 11, MSG_WAITALL) == 11);
    if (count > 1)
        while (read(0, data, sizeof data) > 0)
            ;
    CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
    io_uring_queue_exit(&ring);
    return 0;
}
