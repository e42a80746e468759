/* A program whose name, addresses and bytes would be markup, if anybody took them for it. */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char HOSTILE[] = "</script><script nonce=sockshim>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">'\\\x01\x1b[2J\xff\xfe&lt;";

int main(int argc, char **argv) {
    if (argc < 2) {
        execl("/proc/self/exe", HOSTILE, "again", (char *)0);
        return 1;
    }
    (void)argv;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    /* An abstract name: any bytes behind a zero. */
    memcpy(at.sun_path + 1, HOSTILE, sizeof at.sun_path - 1);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(listener, (void *)&at, sizeof at) || listen(listener, 1) || connect(client, (void *)&at, sizeof at))
        return 2;
    int server = accept(listener, 0, 0);
    char got[sizeof HOSTILE];
    if (write(client, HOSTILE, sizeof HOSTILE) != sizeof HOSTILE || read(server, got, sizeof got) != sizeof got)
        return 3;
    close(client);
    close(server);
    close(listener);
    return 0;
}
