//! The names of the fields of a row: OpenTelemetry's semantic conventions where they have one (1.44), else
//! words of our own without a dot. `docs/jsonl.schema.json` says what each one means.

/// The name of a field.
#[derive(Debug)]
pub struct Key {
    /// Itself.
    pub name: &'static str,
    /// As it stands in an object, behind another field.
    pub json: &'static str,
}

/// A key by its name, for the few lines that are no rows.
macro_rules! key {
    ($name:literal) => {
        &$crate::export::keys::Key { name: $name, json: concat!(",\"", $name, "\":") }
    };
}
pub(super) use key;

macro_rules! keys {
    ($($constant:ident $name:literal)*) => {
        $(#[allow(missing_docs)] pub const $constant: Key = Key { name: $name, json: concat!(",\"", $name, "\":") };)*
        /// All of them, in the order in which rows have them.
        pub const ALL: &[Key] = &[$($constant,)*];
    };
}

/// Of a call.
pub mod call {
    use super::Key;
    keys! {
        TS "ts"
        TS_NS "ts_ns"
        DUR_NS "dur_ns"
        EVENT_NAME "event.name"
        PHASE "phase"
        STATE "state"
        CONN "conn"
        PROCESS_NAME "process.executable.name"
        PID "process.pid"
        TID "thread.id"
        FD "fd"
        RET "ret"
        ERRNO "errno"
        ERROR_TYPE "error.type"
        DIRECTION "network.io.direction"
        BYTES "bytes"
        TRANSPORT "network.transport"
        NETWORK_TYPE "network.type"
        LOCAL_ADDRESS "network.local.address"
        LOCAL_PORT "network.local.port"
        PEER_ADDRESS "network.peer.address"
        PEER_PORT "network.peer.port"
        SERVER_ADDRESS "server.address"
        DNS_NAME "dns.question.name"
        DNS_ANSWERS "dns.answers"
        CALL "call"
        PAYLOAD_TEXT "payload_text"
        PAYLOAD_BASE64 "payload_base64"
        INJECTED "sockshim.injected"
    }
}

/// Of a connection.
pub mod connection {
    use super::Key;
    keys! {
        TS "ts"
        TS_NS "ts_ns"
        DUR_NS "dur_ns"
        CONN "conn"
        OTHER_END "other_end"
        ROLE "role"
        PROCESS_NAME "process.executable.name"
        PID "process.pid"
        FD "fd"
        TRANSPORT "network.transport"
        NETWORK_TYPE "network.type"
        LOCAL_ADDRESS "network.local.address"
        LOCAL_PORT "network.local.port"
        PEER_ADDRESS "network.peer.address"
        PEER_PORT "network.peer.port"
        SERVER_ADDRESS "server.address"
        RESOLVE_NS "resolve_ns"
        CREATE_NS "create_ns"
        CONNECT_NS "connect_ns"
        COMMUNICATE_NS "communicate_ns"
        DISCONNECT_NS "disconnect_ns"
        FIRST_BYTE_NS "first_byte_ns"
        WAIT_NS "wait_ns"
        CALLS "calls"
        SENT_BYTES "sent_bytes"
        SENT_CALLS "sent_calls"
        RECEIVED_BYTES "received_bytes"
        RECEIVED_CALLS "received_calls"
        ACCEPTED "accepted"
        ERRNO "errno"
        ERROR_TYPE "error.type"
        CLOSED_FIRST "closed_first"
        ENDING "ending"
        UNREAD_BYTES "unread_bytes"
        UNSEEN_SENT_BYTES "unseen_sent_bytes"
        UNSEEN_RECEIVED_BYTES "unseen_received_bytes"
        SOCKET "socket"
        TLS_NAME "tls.protocol.name"
        TLS_VERSION "tls.protocol.version"
        TLS_SERVER_NAME "tls.client.server_name"
        TLS_NEXT_PROTOCOL "tls.next_protocol"
        TLS_NS "tls_ns"
        NET_NAMESPACE "net_namespace"
        VERDICT "verdict"
    }
}

/// `error.type`, as OpenTelemetry's own instrumentation of sockets has it; nothing for what non-blocking
/// programs live with, which is no error.
pub fn error_type(errno: u16) -> Option<&'static str> {
    Some(match i32::from(errno) {
        0 | libc::EAGAIN | libc::EINPROGRESS | libc::EINTR | libc::EALREADY => return None,
        libc::ECONNREFUSED => "connection_refused",
        libc::ECONNRESET => "connection_reset",
        libc::ECONNABORTED => "connection_aborted",
        libc::ETIMEDOUT => "timed_out",
        libc::ENETUNREACH => "network_unreachable",
        libc::ENETDOWN => "network_down",
        libc::EHOSTUNREACH => "host_unreachable",
        libc::EHOSTDOWN => "host_down",
        libc::EADDRINUSE => "address_already_in_use",
        libc::EADDRNOTAVAIL => "address_not_available",
        libc::EACCES | libc::EPERM => "access_denied",
        libc::EPIPE => "shutdown",
        libc::ENOTCONN => "not_connected",
        libc::EISCONN => "is_connected",
        libc::EMSGSIZE => "message_size",
        libc::EMFILE | libc::ENFILE => "too_many_open_sockets",
        libc::EAFNOSUPPORT => "address_family_not_supported",
        libc::EPROTONOSUPPORT => "protocol_not_supported",
        libc::EOPNOTSUPP => "operation_not_supported",
        libc::EINVAL => "invalid_argument",
        libc::EBADF | libc::ENOTSOCK => "not_socket",
        libc::EFAULT => "fault",
        _ => "_OTHER",
    })
}

/// `network.transport` of a socket; nothing where there is no word for it.
pub fn transport(domain: i32, kind: i32, protocol: i32) -> &'static str {
    match (domain, kind, protocol) {
        (libc::AF_UNIX, ..) => "unix",
        (libc::AF_INET | libc::AF_INET6, 1, 0 | libc::IPPROTO_TCP | libc::IPPROTO_MPTCP) => "tcp",
        (libc::AF_INET | libc::AF_INET6, 2, 0 | libc::IPPROTO_UDP) => "udp",
        _ => "",
    }
}

/// `network.type` of a socket.
pub fn network_type(domain: i32) -> &'static str {
    match domain {
        libc::AF_INET => "ipv4",
        libc::AF_INET6 => "ipv6",
        _ => "",
    }
}
