/* A library that chooses a function while it is being relocated, and makes socket calls to do so: the
 * earliest that any code of a program runs. And a constructor and a destructor that make some as well. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* Static: the program's copy of a variable would be made after the resolver has run. */
static int fds[2] = {-1, -1}, last_fd = -1;
static long resolver_wrote = -2, constructor_wrote = -2;

static int fast(void)
{
    return 4711;
}

static int (*choose(void))(void)
{
    /* Of another symbol nothing may be asked yet, of the kernel everything. */
    static int before;
    if (before++ == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0)
        resolver_wrote = write(fds[0], "resolver", 8);
    return fast;
}

int chosen(void) __attribute__((ifunc("choose")));

__attribute__((constructor)) static void construct(void)
{
    constructor_wrote = write(fds[0], "constructor", 11);
}

__attribute__((destructor)) static void destruct(void)
{
    if (last_fd >= 0)
        constructor_wrote = write(last_fd, "destructor", 10) + close(last_fd);
}

/* What the earliest calls gave, and where their bytes are. */
int early(long *resolver, long *constructor)
{
    *resolver = resolver_wrote;
    *constructor = constructor_wrote;
    return fds[1];
}

/* Where the destructor is to write. */
void write_late(int fd)
{
    last_fd = fd;
}
