// A socket-activated service gets its listener as descriptor 3 from a program that has bound it, and
// every worker of it the same: it is one socket from its birth in the one program to its end in the
// other, under whatever number.
// without edges: what was inherited through an exec is met anew
// exercises: bind listen dup2 execv accept close
//: ...
//: listen l -> 0
//: ...
//: execv
//:2 dup2 t
//:2 ...
//:2 connect a -> 0
//:2 accept t -> b socket=l
//:2 write a -> 4 sent=ping
//:2 read b -> 4 received=ping
//:2 close b -> 0
//:2 close a -> 0
//:2 ...
//:2 close t -> 0
#include "harness.h"

int main(int argc, char **argv)
{
    struct sockaddr_in where;
    socklen_t len = sizeof where;
    char text[16];
    begin();
    if (argc == 1) {
        // Elsewhere first, so that it has moved once before.
        int listener = tcp_listener(&where);
        CHECK(dup2(listener, 30) == 30 && close(listener) == 0);
        CHECK(dup2(30, 3) == 3 && close(30) == 0);
        snprintf(text, sizeof text, "%d", (int)getpid());
        CHECK(setenv("LISTEN_FDS", "1", 1) == 0 && setenv("LISTEN_PID", text, 1) == 0);
        execv("/proc/self/exe", (char *[]){argv[0], "activated", NULL});
        return 1;
    }
    CHECK(!strcmp(getenv("LISTEN_FDS"), "1") && atoi(getenv("LISTEN_PID")) == getpid());
    // Another name for it, and the first is closed.
    CHECK(dup2(3, 20) == 20);
    CHECK(getsockname(20, (struct sockaddr *)&where, &len) == 0);
    int a = tcp_connect(&where), b = accept(3, NULL, NULL);
    CHECK(b >= 0 && write(a, "ping", 4) == 4 && read(b, text, sizeof text) == 4);
    printf("%.4s\n", text);
    CHECK(close(b) == 0 && close(a) == 0);
    CHECK(close(20) == 0);
    CHECK(close(3) == 0);
}
