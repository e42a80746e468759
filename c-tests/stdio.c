// A stream over a socket reads, writes and closes inside libc; the socket's end is an fclose.
// exercises: fdopen fclose _IO_fdopen _IO_fclose
//: socketpair -> 0 made=a,b
//: fdopen a symbol=fdopen
//: read b -> 5 received=line\n
//: fclose a -> 0 symbol=fclose
//: read b -> 0
//: close b -> 0
//: socketpair -> 0 made=c,d
//: write d -> 6 sent=answer
//: close d -> 0
//: fdopen c symbol=_IO_fdopen
//: fclose c -> 0 symbol=_IO_fclose
//: socket -> e
//: fdopen e
//: close e -> 0
#include "harness.h"

extern FILE *_IO_fdopen(int fd, const char *mode);
extern int _IO_fclose(FILE *file);

int main(void)
{
    int fds[2];
    char text[16];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    FILE *file = fdopen(fds[0], "r+");
    CHECK(file != NULL);
    CHECK(fputs("line\n", file) >= 0 && fflush(file) == 0);
    CHECK(read(fds[1], text, sizeof text) == 5);
    printf("%.5s", text);
    CHECK(fclose(file) == 0);
    CHECK(read(fds[1], text, sizeof text) == 0);
    CHECK(close(fds[1]) == 0);

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(write(fds[1], "answer", 6) == 6);
    CHECK(close(fds[1]) == 0);
    file = _IO_fdopen(fds[0], "r");
    CHECK(file != NULL && fgets(text, sizeof text, file) != NULL);
    printf("%s\n", text);
    CHECK(_IO_fclose(file) == 0);

    int e = socket(AF_UNIX, SOCK_STREAM, 0);
    printf("bad mode: %s\n", fdopen(e, "zz") == NULL ? strerrorname_np(errno) : "opened");
    CHECK(close(e) == 0);
}
