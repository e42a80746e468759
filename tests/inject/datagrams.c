// Sends the numbers 1 to 10 as datagrams to itself over loopback, and prints those that have arrived, in their order.
// A last datagram, by a call that no rule is about, says that there are no more.

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int receiver = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(receiver, (struct sockaddr *)&address, len) != 0 ||
        getsockname(receiver, (struct sockaddr *)&address, &len) != 0) {
        return 1;
    }
    for (int number = 1; number <= 10; number++) {
        if (sendto(sender, &number, sizeof number, 0, (struct sockaddr *)&address, len) != sizeof number) return 2;
    }
    int last = 0;
    if (connect(sender, (struct sockaddr *)&address, len) != 0 || send(sender, &last, sizeof last, 0) < 0) return 3;
    for (int number; recv(receiver, &number, sizeof number, 0) == sizeof number && number != 0;) {
        printf("%d ", number);
    }
    printf("\n");
    return 0;
}
