// What is opened with RTLD_DEEPBIND, or into a namespace of its own, finds libc's functions before ours:
// that it was opened is on record. Who opens a library is whoever called dlopen, whose search path counts.
// flags: -O1 -Wl,-rpath,$ORIGIN
// exercises: dlopen dlmopen
//: dlopen path=libm.so.6
//: dlmopen path=libm.so.6
//: dlopen path=/no/such/library
#include "harness.h"
#include <dlfcn.h>

int main(void)
{
    begin();
    void *plain = dlopen("libm.so.6", RTLD_NOW);
    void *deep = dlopen("libm.so.6", RTLD_NOW | RTLD_DEEPBIND);
    void *apart = dlmopen(LM_ID_NEWLM, "libm.so.6", RTLD_NOW);
    CHECK(plain != NULL && deep == plain && apart != NULL && apart != plain);
    CHECK(dlmopen(LM_ID_BASE, "libm.so.6", RTLD_NOW) == plain);
    printf("%d\n", dlsym(plain, "cos") != dlsym(apart, "cos"));
    printf("%d\n", dlopen("/no/such/library", RTLD_NOW | RTLD_DEEPBIND) == NULL);
    CHECK(dlerror() != NULL);
    CHECK(dlclose(apart) == 0 && dlclose(deep) == 0 && dlclose(plain) == 0);
}
