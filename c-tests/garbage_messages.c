// A message has a dozen fields, each of which can be wrong, and so has an address: every family with
// every length, control data that is cut short, claims to be longer than there is room for, or names
// descriptors that do not exist. The kernel judges; nobody walks such lists before it has.
// exercises: sendmsg recvmsg sendmmsg recvmmsg sendto bind connect
//: ...
#include "harness.h"
#include <limits.h>
#include <sys/mman.h>
#include <sys/uio.h>

static int stream[2], datagram[2], udp, tcp;
static char bytes[4096];
static struct iovec many[IOV_MAX + 2];
static char *end; /* of memory */

/* The parts of a message, one of them wrong at a time. */
static const socklen_t name_lengths[] = {0, 1, 2, 3, 15, 16, 17, 28, 110, 111, 128, 129, 4096, INT_MAX, (socklen_t)-1};
static const size_t counts[] = {0, 1, 2, IOV_MAX, IOV_MAX + 1, INT_MAX, SIZE_MAX};
static const size_t control_lengths[] = {0, 1, 8, 15, 16, 17, 20, 24, 4096, 20481, INT_MAX, SIZE_MAX};
static const size_t cmsg_lengths[] = {0, 1, 15, 16, 17, 20, 24, 64, 65, INT_MAX, SIZE_MAX};
static const int numbers[] = {-1, 0, 1, 2, 3, 900, INT_MAX, INT_MIN};

#define EACH(array) size_t i = 0; i < sizeof array / sizeof *array; i++

static void both(const char *what, struct msghdr *msg)
{
    struct msghdr copy = *msg;
    struct mmsghdr two[2] = {{.msg_hdr = *msg}, {.msg_hdr = *msg}};
    printf("%s:", what);
    errno = 0, printf(" sendmsg %s", outcome(sendmsg(stream[0], &copy, MSG_DONTWAIT)));
    errno = 0, printf(" datagram %s", outcome(sendmsg(datagram[0], &copy, MSG_DONTWAIT)));
    errno = 0, printf(" udp %s", outcome(sendmsg(udp, &copy, MSG_DONTWAIT)));
    errno = 0, printf(" sendmmsg %s", outcome(sendmmsg(stream[0], two, 2, MSG_DONTWAIT)));
    copy = *msg;
    errno = 0, printf(" recvmsg %s", outcome(recvmsg(stream[1], &copy, MSG_DONTWAIT)));
    printf(" %x", (unsigned)copy.msg_flags);
    copy = *msg;
    errno = 0, printf(" datagram %s", outcome(recvmsg(datagram[1], &copy, MSG_DONTWAIT)));
    printf(" %x", (unsigned)copy.msg_flags);
    errno = 0, printf(" recvmmsg %s\n", outcome(recvmmsg(datagram[1], two, 2, MSG_DONTWAIT, NULL)));
    // Whatever came is thrown away, descriptors included.
    while (recv(stream[1], bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    while (recv(datagram[1], bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    CHECK(close_range(20, 1000, 0) == 0);
    memset(bytes, 0, sizeof bytes);
}

static void messages(void)
{
    static struct sockaddr_in name;
    char what[64];
    struct msghdr good = {.msg_iov = many, .msg_iovlen = 1}, msg;
    for (EACH(name_lengths)) {
        snprintf(what, sizeof what, "name of %d", (int)name_lengths[i]);
        msg = good, msg.msg_name = &name, msg.msg_namelen = name_lengths[i];
        both(what, &msg);
        msg.msg_name = NULL;
        both("  no name", &msg);
        msg.msg_name = end - 2;
        both("  at the end of memory", &msg);
    }
    for (EACH(counts)) {
        snprintf(what, sizeof what, "%zd parts", (ssize_t)counts[i]);
        msg = good, msg.msg_iovlen = counts[i];
        both(what, &msg);
        msg.msg_iov = NULL;
        both("  no parts", &msg);
        msg.msg_iov = (struct iovec *)(end - sizeof(struct iovec));
        both("  at the end of memory", &msg);
    }
    for (EACH(control_lengths)) {
        snprintf(what, sizeof what, "control data of %zd", (ssize_t)control_lengths[i]);
        msg = good, msg.msg_control = bytes + 1024, msg.msg_controllen = control_lengths[i];
        both(what, &msg);
        msg.msg_control = NULL;
        both("  none", &msg);
        msg.msg_control = end - 16;
        both("  at the end of memory", &msg);
    }
    for (EACH(cmsg_lengths))
        for (int level = 0; level < 3; level++)
            for (int type = 0; type < 3; type++) {
                struct cmsghdr *head = (struct cmsghdr *)(bytes + 1024);
                snprintf(what, sizeof what, "header of %zd, level %d, type %d", (ssize_t)cmsg_lengths[i], level, type);
                *head = (struct cmsghdr){.cmsg_len = cmsg_lengths[i], .cmsg_level = level, .cmsg_type = type};
                msg = good, msg.msg_control = head, msg.msg_controllen = 64;
                both(what, &msg);
            }
    for (EACH(numbers)) {
        struct cmsghdr *head = (struct cmsghdr *)(bytes + 1024);
        snprintf(what, sizeof what, "passing %d", numbers[i]);
        *head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(head), &numbers[i], sizeof(int));
        msg = good, msg.msg_control = head, msg.msg_controllen = CMSG_SPACE(sizeof(int));
        both(what, &msg);
    }
}

/* What a socket of each kind says to an address of each family, in lengths that some family has. */
static void families(void)
{
    static const struct {
        const char *name;
        int family, type;
    } kinds[] = {{"tcp", AF_INET, SOCK_STREAM}, {"udp", AF_INET, SOCK_DGRAM}, {"tcp6", AF_INET6, SOCK_STREAM},
        {"udp6", AF_INET6, SOCK_DGRAM}, {"stream", AF_UNIX, SOCK_STREAM}, {"datagram", AF_UNIX, SOCK_DGRAM},
        {"netlink", AF_NETLINK, SOCK_RAW}};
    static const socklen_t lengths[] = {0, 1, 2, 3, 12, 16, 28, 128};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (int family = 0; family < 50; family++) {
            struct sockaddr_storage *where = (struct sockaddr_storage *)(end - sizeof *where);
            printf("%s, family %d:", kinds[k].name, family);
            for (EACH(lengths)) {
                int fd = socket(kinds[k].family, kinds[k].type | SOCK_NONBLOCK, 0);
                // A path that begins with zero is a name without a file; with the pid, it is ours alone.
                memset(where, 0, sizeof *where);
                where->ss_family = (sa_family_t)family;
                if (family == AF_UNIX)
                    snprintf((char *)where + 3, 40, "%d-%zu", (int)getpid(), i);
                // A shorter address ends where the memory does.
                struct sockaddr *short_one = (struct sockaddr *)(end - lengths[i]);
                memmove(short_one, where, lengths[i]);
                errno = 0, printf(" %s", outcome(sendto(fd, bytes, 1, 0, short_one, lengths[i])));
                errno = 0, printf(" %s", outcome(bind(fd, short_one, lengths[i])));
                // An address of zeros is this machine; port 0 of it is nobody.
                errno = 0, printf(" %s,", outcome(connect(fd, short_one, lengths[i])));
                close(fd);
            }
            puts("");
        }
}

int main(void)
{
    begin();
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    signal(SIGPIPE, SIG_IGN);
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED && mprotect(pages + 4096, 4096, PROT_NONE) == 0);
    end = pages + 4096;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, stream) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagram) == 0);
    CHECK((udp = socket(AF_INET, SOCK_DGRAM, 0)) >= 0 && (tcp = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
    for (EACH(many))
        many[i] = (struct iovec){bytes, i == 0 ? 4 : 0};
    *(struct iovec *)(end - sizeof(struct iovec)) = many[0];
    messages();
    families();
}
