// The kernel cuts the first argument of select down to the descriptors that there can be, so programs
// that pass getdtablesize() with sets of 1024 bits do work. Nobody may read the sets by that argument.
// exercises: select pselect
//: socketpair -> 0 made=a,b
//: write a -> 1
//: select - -> 1
//: pselect - -> 1
//: close a -> 0
//: close b -> 0
#include "harness.h"
#include <limits.h>
#include <sys/mman.h>
#include <sys/select.h>

int main(void)
{
    int fds[2];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct timespec second = {.tv_sec = 1};
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(write(fds[0], "x", 1) == 1);
    // The set ends where the memory ends.
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED && mprotect(pages + page, page, PROT_NONE) == 0);
    fd_set *set = (fd_set *)(pages + page - sizeof *set);
    FD_SET(fds[1], set);
    printf("select: %s\n", outcome(select(INT_MAX, set, NULL, NULL, NULL)));
    printf("pselect: %s\n", outcome(pselect(20000, set, NULL, NULL, &second, NULL)));
    printf("readable: %d\n", FD_ISSET(fds[1], set) != 0);
    CHECK(close(fds[0]) == 0);
    CHECK(close(fds[1]) == 0);
}
