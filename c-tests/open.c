// What `open` and its kind return is known to be a file: nothing of it is recorded, and a number that was a file's is a
// socket's when a socket gets it, and a file's again. The mode arrives, and so does the failure.
// flags: -O2 -D_FORTIFY_SOURCE=2
// exercises: open open64 openat openat64 __open_2 __open64_2 __openat_2 __openat64_2
//: socketpair -> 0 made=a,b
//: write a -> 2 sent=of
//: close a -> 0
//: dup b -> a made=a
//: read a -> 2 received=of
//: close a -> 0
//: vfork
//: write b -> EPIPE
//: close b -> 0
//: close b -> EBADF
#include "harness.h"
#include <sys/stat.h>

extern int open64(const char *, int, ...);
extern int openat64(int, const char *, int, ...);
/* Fortified by hand: with flags that the compiler knows, the plain functions are called. */
extern int __open_2(const char *, int), __open64_2(const char *, int);
extern int __openat_2(int, const char *, int), __openat64_2(int, const char *, int);

static void whole_file(const char *how, int fd)
{
    char text[8] = "";
    printf("%s: %s", how, fd < 0 ? outcome(fd) : "open");
    if (fd >= 0) {
        printf(", %zd bytes", read(fd, text, sizeof text));
        printf(", %d\n", close(fd));
    } else {
        puts("");
    }
}

int main(void)
{
    char folder[] = "/tmp/sockshim-open.XXXXXX", path[64];
    struct stat status;
    int pair[2];
    char text[8];
    begin();
    signal(SIGPIPE, SIG_IGN);
    umask(027);
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/file", folder);

    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0664);
    CHECK(fd >= 0 && fstat(fd, &status) == 0);
    printf("mode %o\n", status.st_mode & 07777);
    CHECK(write(fd, "text", 4) == 4 && close(fd) == 0);
    whole_file("there already", open64(path, O_CREAT | O_EXCL | O_WRONLY, 0600));
    whole_file("open", open(path, O_RDONLY));
    whole_file("open64", open64(path, O_RDONLY));
    whole_file("openat", openat(AT_FDCWD, path, O_RDONLY));
    whole_file("openat64", openat64(AT_FDCWD, path, O_RDONLY));
    whole_file("__open_2", __open_2(path, O_RDONLY));
    whole_file("__open64_2", __open64_2(path, O_RDONLY));
    whole_file("__openat_2", __openat_2(AT_FDCWD, path, O_RDONLY));
    whole_file("__openat64_2", __openat64_2(AT_FDCWD, path, O_RDONLY));
    whole_file("no such file", openat(AT_FDCWD, "/nonexistent", O_RDONLY));

    // A file, a socket, a file, a copy of a socket and a file by one number.
    int number = open(path, O_RDONLY);
    CHECK(close(number) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pair[0] == number);
    CHECK(write(pair[0], "of", 2) == 2 && close(pair[0]) == 0);
    whole_file("in its place", open(path, O_RDONLY));
    CHECK(dup(pair[1]) == number && read(number, text, sizeof text) == 2 && close(number) == 0);
    CHECK(open(path, O_RDONLY) == number);

    // The descriptors of a child of vfork are its own: what it opens is nothing to its parent.
    pid_t pid = vfork();
    if (pid == 0)
        _exit(close(pair[1]) == 0 && open(path, O_RDONLY) == pair[1] ? 7 : 1);
    printf("child %d\n", reap(pid));
    printf("no reader: %s\n", outcome(write(pair[1], "none", 4)));
    CHECK(close(pair[1]) == 0);
    printf("again: %s\n", outcome(close(pair[1])));
    whole_file("as before", number);
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
}
