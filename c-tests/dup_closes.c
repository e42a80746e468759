// dup2 over an open socket closes that socket, silently; dup2 of a file over it does so too, although
// neither argument needs to look like a socket any more afterwards.
// exercises: dup2 dup3
//: socketpair -> 0 made=a,b
//: socketpair -> 0 made=c,d
//: dup2 a -> c closed=c
//: read d -> 0
//: write c -> 4 sent=over socket=a
//: read b -> 4 received=over
//: dup2 a -> a closed=
//: write a -> 4 sent=same
//: read b -> 4 received=same
//: dup3 - -> c closed=c
//: close a -> 0
//: read b -> 0
//: close b -> 0
//: close d -> 0
#include "harness.h"

int main(void)
{
    int one[2], two[2];
    char text[8];
    begin();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, one) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, two) == 0);
    CHECK(dup2(one[0], two[0]) == two[0]);
    printf("peer of the covered one: %s\n", outcome(read(two[1], text, sizeof text)));
    CHECK(write(two[0], "over", 4) == 4);
    CHECK(read(one[1], text, sizeof text) == 4);
    printf("%.4s\n", text);
    CHECK(dup2(one[0], one[0]) == one[0]);
    CHECK(write(one[0], "same", 4) == 4);
    CHECK(read(one[1], text, sizeof text) == 4);
    printf("%.4s\n", text);
    CHECK(dup3(STDIN_FILENO, two[0], O_CLOEXEC) == two[0]);
    CHECK(close(one[0]) == 0);
    printf("peer of both: %s\n", outcome(read(one[1], text, sizeof text)));
    CHECK(close(one[1]) == 0);
    CHECK(close(two[1]) == 0);
    CHECK(close(two[0]) == 0);
}
