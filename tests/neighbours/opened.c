// opened SHIM PLUGIN: opens the shim in every way, and a plugin with libc before everybody else, and
// another in a namespace of its own; makes calls in between.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK(cond) ((cond) ? (void)0 : (printf("line %d: %s\n", __LINE__, #cond), exit(1)))

static void calls(void)
{
    int fds[2];
    char byte = 'x';
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(write(fds[0], &byte, 1) == 1 && read(fds[1], &byte, 1) == 1);
    CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
}

static int run(void *library)
{
    int (*plugin)(void);
    CHECK(library != NULL);
    *(void **)&plugin = dlsym(library, "plugin");
    CHECK(plugin != NULL);
    return plugin();
}

int main(int argc, char **argv)
{
    (void)argc;
    alarm(20);
    calls();
    void *local = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    CHECK(local != NULL && dlsym(local, "sockshim_version") != NULL);
    calls();
    void *global = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
    CHECK(global == local);
    calls();
    CHECK(dlclose(global) == 0);
    calls();
    printf("deep: %d\n", run(dlopen(argv[2], RTLD_NOW | RTLD_DEEPBIND)));
    printf("apart: %d\n", run(dlmopen(LM_ID_NEWLM, argv[2], RTLD_NOW)));
    CHECK(dlclose(local) == 0);
    calls();
    puts("done");
    return 0;
}
