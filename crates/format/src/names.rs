//! Numbers of the socket interface to the names that programs are written with (Linux, x86-64).

use core::fmt;

/// A name, or else a prefix and the number: `AF_INET`, `AF_77`.
pub struct Or(pub Option<&'static str>, pub &'static str, pub i64);

impl fmt::Display for Or {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => f.write_str(name),
            None => write!(f, "{}{}", self.1, self.2),
        }
    }
}

/// A set of flags, by what names one, as `A|B|0x40`; `0` when there are none.
pub struct Flags(pub fn(u64) -> Option<&'static str>, pub u64);

impl Flags {
    /// Writes them.
    pub fn print<W: fmt::Write>(&self, f: &mut W) -> fmt::Result {
        let (mut bits, mut left, mut first) = (self.1, self.1, true);
        while bits != 0 {
            let bit = 1 << bits.trailing_zeros();
            bits &= !bit;
            if let Some(name) = (self.0)(bit) {
                left &= !bit;
                f.write_str(if first { "" } else { "|" })?;
                f.write_str(name)?;
                first = false;
            }
        }
        match (left, first) {
            (0, false) => Ok(()),
            (0, true) => f.write_str("0"),
            (_, true) => write!(f, "{left:#x}"),
            (_, false) => write!(f, "|{left:#x}"),
        }
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f)
    }
}

/// The name of a number, of those that are listed. Not a table, whose pointers would be written at the start of every
/// program that the shim is in: the compiler leaves none of them to the dynamic linker here.
macro_rules! named {
    ($number:expr; $(($value:literal, $name:literal)),* $(,)?) => {
        match $number {
            $($value => Some($name),)*
            _ => None,
        }
    };
}

/// `AF_INET` for 2.
#[rustfmt::skip]
pub fn family(number: i32) -> Option<&'static str> {
    named!(number;
        (0, "AF_UNSPEC"), (1, "AF_UNIX"), (2, "AF_INET"), (4, "AF_IPX"), (10, "AF_INET6"),
        (16, "AF_NETLINK"), (17, "AF_PACKET"), (29, "AF_CAN"), (31, "AF_BLUETOOTH"),
        (38, "AF_ALG"), (40, "AF_VSOCK"), (44, "AF_XDP"),
    )
}

/// `SOCK_STREAM` for 1. Flags must have been taken off.
#[rustfmt::skip]
pub fn socket_kind(number: i32) -> Option<&'static str> {
    named!(number;
        (1, "SOCK_STREAM"), (2, "SOCK_DGRAM"), (3, "SOCK_RAW"), (4, "SOCK_RDM"),
        (5, "SOCK_SEQPACKET"), (6, "SOCK_DCCP"), (10, "SOCK_PACKET"),
    )
}

/// A flag that `socket` and `accept4` take.
pub fn socket_flag(bit: u64) -> Option<&'static str> {
    named!(bit; (0o4000, "SOCK_NONBLOCK"), (0o2000000, "SOCK_CLOEXEC"))
}

/// `IPPROTO_TCP` for 6.
#[rustfmt::skip]
pub fn protocol(number: i32) -> Option<&'static str> {
    named!(number;
        (0, "0"), (1, "IPPROTO_ICMP"), (6, "IPPROTO_TCP"), (17, "IPPROTO_UDP"),
        (58, "IPPROTO_ICMPV6"), (132, "IPPROTO_SCTP"), (136, "IPPROTO_UDPLITE"),
        (255, "IPPROTO_RAW"), (262, "IPPROTO_MPTCP"),
    )
}

/// A flag of `send` and `recv`.
#[rustfmt::skip]
pub fn message_flag(bit: u64) -> Option<&'static str> {
    named!(bit;
        (0x1, "MSG_OOB"), (0x2, "MSG_PEEK"), (0x4, "MSG_DONTROUTE"), (0x8, "MSG_CTRUNC"),
        (0x20, "MSG_TRUNC"), (0x40, "MSG_DONTWAIT"), (0x80, "MSG_EOR"), (0x100, "MSG_WAITALL"),
        (0x800, "MSG_CONFIRM"), (0x2000, "MSG_ERRQUEUE"), (0x4000, "MSG_NOSIGNAL"), (0x8000, "MSG_MORE"),
        (0x10000, "MSG_WAITFORONE"), (0x4000000, "MSG_ZEROCOPY"), (0x20000000, "MSG_FASTOPEN"),
        (0x40000000, "MSG_CMSG_CLOEXEC"),
    )
}

/// An event of `poll` and `epoll`.
#[rustfmt::skip]
pub fn poll_event(bit: u64) -> Option<&'static str> {
    named!(bit;
        (0x1, "IN"), (0x2, "PRI"), (0x4, "OUT"), (0x8, "ERR"), (0x10, "HUP"), (0x20, "NVAL"),
        (0x40, "RDNORM"), (0x80, "RDBAND"), (0x100, "WRNORM"), (0x200, "WRBAND"), (0x2000, "RDHUP"),
        (0x10000000, "EXCLUSIVE"), (0x20000000, "WAKEUP"), (0x40000000, "ONESHOT"), (0x80000000, "ET"),
    )
}

/// `SHUT_WR` for 1.
pub fn shutdown_how(number: i32) -> Option<&'static str> {
    named!(number; (0, "SHUT_RD"), (1, "SHUT_WR"), (2, "SHUT_RDWR"))
}

/// `F_GETFL` for 3.
#[rustfmt::skip]
pub fn fcntl_command(number: i32) -> Option<&'static str> {
    named!(number;
        (0, "F_DUPFD"), (1, "F_GETFD"), (2, "F_SETFD"), (3, "F_GETFL"), (4, "F_SETFL"),
        (5, "F_GETLK"), (6, "F_SETLK"), (7, "F_SETLKW"), (8, "F_SETOWN"), (9, "F_GETOWN"),
        (10, "F_SETSIG"), (11, "F_GETSIG"), (15, "F_SETOWN_EX"), (16, "F_GETOWN_EX"),
        (1030, "F_DUPFD_CLOEXEC"), (1031, "F_SETPIPE_SZ"), (1032, "F_GETPIPE_SZ"),
    )
}

/// A flag of F_GETFL and F_SETFL that matters to sockets.
pub fn open_flag(bit: u64) -> Option<&'static str> {
    named!(bit; (2, "O_RDWR"), (1, "O_WRONLY"), (0o2000, "O_APPEND"), (0o4000, "O_NONBLOCK"), (0o20000, "O_ASYNC"))
}

/// `FIONREAD` for 0x541b.
#[rustfmt::skip]
pub fn ioctl_request(number: u64) -> Option<&'static str> {
    named!(i32::try_from(number).unwrap_or(0);
        (0x541b, "FIONREAD"), (0x5411, "SIOCOUTQ"), (0x5421, "FIONBIO"), (0x5452, "FIOASYNC"),
        (0x5451, "FIOCLEX"), (0x5450, "FIONCLEX"), (0x8905, "SIOCATMARK"), (0x8901, "FIOSETOWN"),
        (0x8903, "FIOGETOWN"), (0x8912, "SIOCGIFCONF"), (0x8913, "SIOCGIFFLAGS"),
        (0x8915, "SIOCGIFADDR"), (0x8933, "SIOCGIFINDEX"), (0x8927, "SIOCGIFHWADDR"),
        (0x8921, "SIOCGIFMTU"), (0x5401, "TCGETS"), (0x5413, "TIOCGWINSZ"),
    )
}

/// `SOL_SOCKET` for 1.
#[rustfmt::skip]
pub fn option_level(number: i32) -> Option<&'static str> {
    named!(number;
        (0, "SOL_IP"), (1, "SOL_SOCKET"), (6, "SOL_TCP"), (17, "SOL_UDP"), (41, "SOL_IPV6"),
        (58, "SOL_ICMPV6"), (132, "SOL_SCTP"), (255, "SOL_RAW"), (263, "SOL_PACKET"),
        (270, "SOL_NETLINK"), (282, "SOL_TLS"), (284, "SOL_MPTCP"),
    )
}

/// `SO_REUSEADDR` for (SOL_SOCKET, 2).
#[rustfmt::skip]
pub fn option(level: i32, number: i32) -> Option<&'static str> {
    match level {
        0 => named!(number;
            (1, "IP_TOS"), (2, "IP_TTL"), (8, "IP_PKTINFO"), (10, "IP_MTU_DISCOVER"), (11, "IP_RECVERR"),
            (13, "IP_RECVTOS"), (15, "IP_FREEBIND"), (19, "IP_TRANSPARENT"), (24, "IP_BIND_ADDRESS_NO_PORT"),
            (32, "IP_MULTICAST_IF"), (33, "IP_MULTICAST_TTL"), (34, "IP_MULTICAST_LOOP"),
            (35, "IP_ADD_MEMBERSHIP"), (36, "IP_DROP_MEMBERSHIP"),
        ),
        1 => named!(number;
            (1, "SO_DEBUG"), (2, "SO_REUSEADDR"), (3, "SO_TYPE"), (4, "SO_ERROR"), (5, "SO_DONTROUTE"),
            (6, "SO_BROADCAST"), (7, "SO_SNDBUF"), (8, "SO_RCVBUF"), (9, "SO_KEEPALIVE"),
            (10, "SO_OOBINLINE"), (12, "SO_PRIORITY"), (13, "SO_LINGER"), (15, "SO_REUSEPORT"),
            (16, "SO_PASSCRED"), (17, "SO_PEERCRED"), (18, "SO_RCVLOWAT"), (19, "SO_SNDLOWAT"),
            (20, "SO_RCVTIMEO"), (21, "SO_SNDTIMEO"), (25, "SO_BINDTODEVICE"), (26, "SO_ATTACH_FILTER"),
            (28, "SO_PEERNAME"), (29, "SO_TIMESTAMP"), (30, "SO_ACCEPTCONN"), (31, "SO_PEERSEC"),
            (32, "SO_SNDBUFFORCE"), (33, "SO_RCVBUFFORCE"), (35, "SO_TIMESTAMPNS"), (36, "SO_MARK"),
            (38, "SO_PROTOCOL"), (39, "SO_DOMAIN"), (40, "SO_RXQ_OVFL"), (46, "SO_BUSY_POLL"),
            (49, "SO_INCOMING_CPU"), (50, "SO_ATTACH_BPF"), (56, "SO_INCOMING_NAPI_ID"),
            (57, "SO_COOKIE"), (59, "SO_PEERGROUPS"), (60, "SO_ZEROCOPY"), (61, "SO_TXTIME"),
        ),
        6 => named!(number;
            (1, "TCP_NODELAY"), (2, "TCP_MAXSEG"), (3, "TCP_CORK"), (4, "TCP_KEEPIDLE"),
            (5, "TCP_KEEPINTVL"), (6, "TCP_KEEPCNT"), (7, "TCP_SYNCNT"), (8, "TCP_LINGER2"),
            (9, "TCP_DEFER_ACCEPT"), (10, "TCP_WINDOW_CLAMP"), (11, "TCP_INFO"), (12, "TCP_QUICKACK"),
            (13, "TCP_CONGESTION"), (18, "TCP_USER_TIMEOUT"), (23, "TCP_FASTOPEN"),
            (25, "TCP_NOTSENT_LOWAT"), (30, "TCP_FASTOPEN_CONNECT"), (31, "TCP_ULP"),
        ),
        17 => named!(number; (1, "UDP_CORK"), (103, "UDP_SEGMENT"), (104, "UDP_GRO")),
        41 => named!(number;
            (16, "IPV6_UNICAST_HOPS"), (17, "IPV6_MULTICAST_IF"), (18, "IPV6_MULTICAST_HOPS"),
            (19, "IPV6_MULTICAST_LOOP"), (20, "IPV6_JOIN_GROUP"), (21, "IPV6_LEAVE_GROUP"),
            (23, "IPV6_MTU_DISCOVER"), (25, "IPV6_RECVERR"), (26, "IPV6_V6ONLY"),
            (49, "IPV6_RECVPKTINFO"), (66, "IPV6_RECVTCLASS"), (67, "IPV6_TCLASS"),
        ),
        _ => None,
    }
}

/// `EPOLL_CTL_ADD` for 1.
pub fn epoll_command(number: i32) -> Option<&'static str> {
    named!(number; (1, "EPOLL_CTL_ADD"), (2, "EPOLL_CTL_DEL"), (3, "EPOLL_CTL_MOD"))
}

/// `PR_SET_SECCOMP` for 22: the commands that are recorded.
pub fn prctl_command(number: i32) -> Option<&'static str> {
    named!(number; (22, "PR_SET_SECCOMP"), (26, "PR_SET_TSC"))
}

/// The system calls that are recorded as such; newer ones have one number on every processor.
pub fn system_call(number: i32) -> Option<&'static str> {
    named!(number; (425, "io_uring_setup"))
}

/// `EAI_NONAME` for -2: what getaddrinfo and getnameinfo return (netdb.h).
#[rustfmt::skip]
pub fn resolver_error(number: i64) -> Option<&'static str> {
    named!(i32::try_from(number).unwrap_or(0);
        (-1, "EAI_BADFLAGS"), (-2, "EAI_NONAME"), (-3, "EAI_AGAIN"), (-4, "EAI_FAIL"),
        (-5, "EAI_NODATA"), (-6, "EAI_FAMILY"), (-7, "EAI_SOCKTYPE"), (-8, "EAI_SERVICE"),
        (-9, "EAI_ADDRFAMILY"), (-10, "EAI_MEMORY"), (-11, "EAI_SYSTEM"), (-12, "EAI_OVERFLOW"),
    )
}

/// The name of the service that a port is registered for, well-known ones only (IANA).
#[rustfmt::skip]
pub fn service(port: u16) -> Option<&'static str> {
    named!(port;
        (7, "echo"), (9, "discard"), (13, "daytime"), (20, "ftp-data"), (21, "ftp"), (22, "ssh"),
        (23, "telnet"), (25, "smtp"), (37, "time"), (43, "whois"), (53, "domain"), (67, "bootps"),
        (68, "bootpc"), (69, "tftp"), (70, "gopher"), (79, "finger"), (80, "http"), (88, "kerberos"),
        (110, "pop3"), (111, "sunrpc"), (113, "auth"), (119, "nntp"), (123, "ntp"), (137, "netbios-ns"),
        (139, "netbios-ssn"), (143, "imap2"), (161, "snmp"), (162, "snmp-trap"), (179, "bgp"), (194, "irc"),
        (389, "ldap"), (443, "https"), (445, "microsoft-ds"), (465, "submissions"), (500, "isakmp"),
        (514, "syslog"), (515, "printer"), (546, "dhcpv6-client"), (547, "dhcpv6-server"), (554, "rtsp"),
        (587, "submission"), (631, "ipp"), (636, "ldaps"), (853, "domain-s"), (873, "rsync"), (989, "ftps-data"),
        (990, "ftps"), (993, "imaps"), (995, "pop3s"), (1080, "socks"), (1194, "openvpn"), (1433, "ms-sql-s"),
        (1521, "oracle"), (1883, "mqtt"), (2049, "nfs"), (2181, "zookeeper"), (2375, "docker"), (2376, "docker-s"),
        (2379, "etcd-client"), (2380, "etcd-server"), (3128, "squid-http"), (3260, "iscsi-target"),
        (3306, "mysql"), (3389, "ms-wbt-server"), (4222, "nats"), (4317, "otlp-grpc"), (4318, "otlp-http"),
        (5060, "sip"), (5061, "sip-tls"), (5222, "xmpp-client"), (5353, "mdns"), (5432, "postgresql"),
        (5601, "kibana"), (5672, "amqp"), (5900, "vnc"), (6379, "redis"), (6443, "kube-apiserver"),
        (6667, "ircd"), (8000, "http-alt"), (8008, "http-alt"), (8080, "http-alt"), (8443, "https-alt"),
        (8888, "http-alt"), (9042, "cassandra"), (9090, "prometheus"), (9092, "kafka"), (9200, "elasticsearch"),
        (9418, "git"), (11211, "memcache"), (27017, "mongodb"), (50051, "grpc"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_names_or_none() {
        assert_eq!((service(80), service(25), service(1)), (Some("http"), Some("smtp"), None));
    }

    #[test]
    fn flags_keep_what_they_cannot_name() {
        assert_eq!(Flags(message_flag, 0).to_string(), "0");
        assert_eq!(Flags(message_flag, 0x4042).to_string(), "MSG_PEEK|MSG_DONTWAIT|MSG_NOSIGNAL");
        assert_eq!(Flags(message_flag, 1 << 40).to_string(), "0x10000000000");
    }
}
