// getaddrinfo_a resolves in a helper thread of libc: the answer comes later than the call.
// exercises: getaddrinfo_a
//: getaddrinfo_a -> 0
//: getaddrinfo_a -> 0
//: getaddrinfo_a -> -11
#include "harness.h"
#include <netdb.h>

int main(void)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_flags = AI_NUMERICHOST};
    struct gaicb one = {.ar_name = "127.0.0.1", .ar_request = &hints}, two = {.ar_name = "127.0.0.2",
        .ar_request = &hints};
    struct gaicb *list[2] = {&one, &two};
    const struct gaicb *pending[1] = {&two};
    begin();
    CHECK(getaddrinfo_a(GAI_WAIT, list, 2, NULL) == 0);
    printf("%d %d\n", gai_error(&one), gai_error(&two));
    list[0] = &two;
    freeaddrinfo(two.ar_result);
    CHECK(getaddrinfo_a(GAI_NOWAIT, list, 1, NULL) == 0);
    while (gai_error(&two) == EAI_INPROGRESS)
        gai_suspend(pending, 1, NULL);
    struct sockaddr_in found;
    memcpy(&found, two.ar_result->ai_addr, sizeof found);
    printf("%s\n", inet_ntoa(found.sin_addr));
    errno = 0;
    int error = getaddrinfo_a(4711, list, 1, NULL);
    printf("unknown mode: %d %s\n", error, strerrorname_np(errno));
    freeaddrinfo(one.ar_result);
    freeaddrinfo(two.ar_result);
}
