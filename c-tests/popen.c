// A pipe to a shell command: the shim sees it begin and end, and nothing between.
// exercises: popen _IO_popen pclose
//: popen path="echo from shell; exit 3" symbol=popen
//: pclose -> 768
//: popen path=cat symbol=_IO_popen
//: pclose -> 0
#include "harness.h"

extern FILE *_IO_popen(const char *command, const char *mode);

int main(void)
{
    char text[32];
    begin();
    FILE *file = popen("echo from shell; exit 3", "r");
    CHECK(file != NULL && fgets(text, sizeof text, file) != NULL);
    printf("%s", text);
    printf("status %d\n", WEXITSTATUS(pclose(file)));
    file = _IO_popen("cat", "w");
    CHECK(file != NULL && fputs("to shell\n", file) >= 0);
    printf("status %d\n", pclose(file));
}
