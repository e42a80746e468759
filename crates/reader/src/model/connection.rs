//! What is known of one connection.

use super::facts::Facts;
use super::injected::Injection;
use super::tls::Tls;
use super::unseen::Audit;
use super::verdict::{Evidence, FirstToClose};
use sockshim_format::address::Address;
use sockshim_format::op::{Op, Phase};
use std::collections::BTreeMap;

/// Index of a connection, in order of first sight.
pub type ConnId = usize;

/// What a socket is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// Nothing has shown it yet.
    #[default]
    Unknown,
    /// It connects.
    Active,
    /// It came from `accept`.
    Passive,
    /// It listens.
    Listener,
    /// One of a `socketpair`.
    Pair,
    /// It sends and receives datagrams.
    Datagram,
}

impl Role {
    /// The word that people see.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Unknown => "socket",
            Role::Active => "active",
            Role::Passive => "passive",
            Role::Listener => "listener",
            Role::Pair => "pair",
            Role::Datagram => "datagram",
        }
    }
}

pub(super) const AF_UNIX: i32 = 1;

/// A span of time, in nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub start_ns: u64,
    /// Its end.
    pub end_ns: u64,
}

impl Span {
    /// How long it is.
    pub fn duration_ns(self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }

    /// Makes it reach over another.
    #[inline]
    pub(super) fn cover(place: &mut Option<Span>, start_ns: u64, end_ns: u64) {
        let span = place.get_or_insert(Span { start_ns, end_ns });
        span.start_ns = span.start_ns.min(start_ns);
        span.end_ns = span.end_ns.max(end_ns);
    }
}

/// The phases of a connection, as far as they have happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// The resolution that gave the peer's address.
    pub resolve: Option<Span>,
    /// `socket`, `socketpair`.
    pub create: Option<Span>,
    /// From `connect` to connected or refused; the `accept` of a passive one, with the time for
    /// which it waited; `bind` and `listen` of a listener.
    pub connect: Option<Span>,
    /// From the first call that carried bytes to the last.
    pub communicate: Option<Span>,
    /// From the first `shutdown` or `close` to the last.
    pub disconnect: Option<Span>,
}

impl Phases {
    /// Those that have happened, in the order of a connection's life.
    pub fn spans(&self) -> impl Iterator<Item = (Phase, Span)> + use<> {
        let all = [
            (Phase::Resolve, self.resolve),
            (Phase::Create, self.create),
            (Phase::Connect, self.connect),
            (Phase::Communicate, self.communicate),
            (Phase::Disconnect, self.disconnect),
        ];
        all.into_iter().filter_map(|(phase, span)| Some((phase, span?)))
    }
}

/// How the connect phase stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Connect {
    /// Not asked for.
    #[default]
    None,
    /// Asked for, and not known to be over.
    Pending,
    /// Connected.
    Done,
    /// Failed, with this errno.
    Failed(u16),
}

/// What passed in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes.
    pub bytes: u64,
    /// Calls, failed ones too.
    pub calls: u64,
    /// Calls that would have blocked.
    pub again: u64,
    /// Writes that took fewer bytes than they were given.
    pub partial: u64,
    /// Calls that succeeded with no bytes: the end of a stream, an empty datagram.
    pub zero: u64,
    /// Time spent in the calls.
    pub time_ns: u64,
    /// When the first bytes had passed.
    pub first_ns: Option<u64>,
    /// When the last bytes had passed.
    pub last_ns: Option<u64>,
}

/// A peer of a datagram socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatagramPeer {
    /// Its address.
    pub address: Vec<u8>,
    /// Bytes sent to it.
    pub sent_bytes: u64,
    /// Bytes received from it.
    pub received_bytes: u64,
}

/// A process that used the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub process: u32,
    /// Its pid.
    pub pid: u32,
    /// The descriptor that it used first.
    pub fd: i32,
    /// What the program is called.
    pub name: String,
}

/// TCP_INFO as it was seen at the edge of a phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpSnapshot {
    /// The operation around which it was asked.
    pub op: Op,
    /// When.
    pub time_ns: u64,
    /// Received and never read; -1 if it was not asked.
    pub unread_bytes: i32,
    /// Written and not acknowledged; -1 if it was not asked.
    pub unsent_bytes: i32,
    /// The kernel's `struct tcp_info`, as long as it gave it.
    pub info: Vec<u8>,
}

impl TcpSnapshot {
    /// `tcpi_state`.
    pub fn state(&self) -> Option<u8> {
        self.info.first().copied()
    }

    /// `tcpi_rtt`: the smoothed round-trip time, in microseconds.
    pub fn rtt_us(&self) -> Option<u32> {
        self.word(68).filter(|rtt| *rtt > 0)
    }

    /// `tcpi_total_retrans`: segments that were sent again.
    pub fn retransmits(&self) -> Option<u32> {
        self.word(100)
    }

    /// `tcpi_snd_cwnd`: the congestion window, in segments.
    pub fn congestion_window(&self) -> Option<u32> {
        self.word(80)
    }

    fn word(&self, at: usize) -> Option<u32> {
        Some(u32::from_ne_bytes(self.info.get(at..at + 4)?.try_into().ok()?))
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// Not yet.
    #[default]
    Open,
    /// Closed, at this time.
    Closed(u64),
    /// Never closed: the last process that used it ended, at about this time.
    Leaked(u64),
}

/// A call in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InProgress {
    /// The process, by its number.
    pub process: u32,
    /// The thread.
    pub tid: u32,
    /// What it called, by its base name; `None` for an operation of a later version.
    pub op: Option<Op>,
    /// Since when.
    pub start_ns: u64,
}

/// One socket, from first sight to its last close, in whatever processes.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// Its index.
    pub id: ConnId,
    /// SO_COOKIE, or the shim's own number.
    pub socket: u64,
    /// Whether `socket` is the shim's own number.
    pub socket_is_local: bool,
    /// Inode, 0 if unknown.
    pub inode: u64,
    /// Address family, 0 if unknown.
    pub domain: i32,
    /// SOCK_STREAM and so on, 0 if unknown.
    pub kind: i32,
    /// Protocol, 0 if unknown.
    pub protocol: i32,
    /// What it is for.
    pub role: Role,
    /// The processes that used it, in order.
    pub holders: Vec<Holder>,
    /// Inode of the network namespace of the first of them, 0 if unknown.
    pub net_namespace: u64,
    /// Its own address, as raw bytes.
    pub local: Vec<u8>,
    /// The peer's address, as raw bytes.
    pub peer: Vec<u8>,
    /// The name whose resolution gave the peer's address.
    pub peer_name: Option<Vec<u8>>,
    /// Peers of a datagram socket, the first ones.
    pub datagram_peers: Vec<DatagramPeer>,
    /// The listener that a passive one came from.
    pub listener: Option<ConnId>,
    /// Whether what was set on that listener is known.
    pub(super) listener_known: bool,
    /// Connections that a listener gave.
    pub accepted: u64,
    /// First and last sight.
    pub seen: Option<Span>,
    /// Its phases.
    pub phases: Phases,
    /// How connecting went.
    pub connect: Connect,
    /// From connected to the first byte received.
    pub first_byte_ns: Option<u64>,
    /// What it sent.
    pub sent: Traffic,
    /// What it received.
    pub received: Traffic,
    /// Time in `poll`, `select` and `epoll_wait` that this connection ended.
    pub wait_ns: u64,
    /// Calls on it.
    pub calls: u64,
    /// The last errno of each operation that failed, and how often it did. EAGAIN and EINPROGRESS
    /// are no failures.
    pub errors: BTreeMap<Op, (u16, u64)>,
    /// TCP_INFO when it became connected.
    pub tcp_first: Option<TcpSnapshot>,
    /// TCP_INFO the last time that it was asked.
    pub tcp_last: Option<TcpSnapshot>,
    /// What speaks for who closed first.
    pub evidence: Evidence,
    /// Options, silences, habits.
    pub facts: Facts,
    /// The handshake of TLS, if one began, and if payload was read.
    pub tls: Option<Box<Tls>>,
    /// What a plan did to its calls.
    pub injected: Vec<Injection>,
    /// How it ended.
    pub ending: Ending,
    /// The connection at the other end of the pipe, if it is in the trace too.
    pub other_end: Option<ConnId>,
    /// How often it was passed with SCM_RIGHTS.
    pub passed: u64,
    /// Whether a stream was opened on it (`fdopen`).
    pub stdio: bool,
    /// Whether it was a standard stream of a process.
    pub standard_stream: bool,
    /// Whether POSIX asynchronous I/O was asked for on it.
    pub asynchronous: bool,
    /// Calls that are blocked on it now.
    pub in_progress: Vec<InProgress>,
    /// Descriptors that name it in processes that used it.
    pub(super) active: u32,
    /// Descriptors that came by fork or exec and have not been used since.
    pub(super) inherited: u32,
    /// Copies that children were given that have not shown themselves.
    pub(super) awaited: u32,
    /// Numbers that named it last, and name nothing now: a call under one of them is about it still.
    pub(super) numbers: u32,
    /// How often it was passed and has not arrived.
    pub(super) under_way: i64,
    /// Nothing changes it any more.
    pub(super) finished: bool,
    /// The last descriptor that was closed: (process, fd, when).
    pub(super) released: Option<(u32, i32, u64)>,
    /// The kernel's counters against ours.
    pub(super) audit: Audit,
}

impl Connection {
    /// A descriptor names it, and is used. A close that seemed to be the last was not.
    pub(super) fn opened(&mut self) {
        self.active += 1;
        self.ending = Ending::Open;
        if self.evidence.close_ns.is_some() {
            let Evidence { eof_ns, reset, half_close_ns, state_at_shutdown, linger_resets, .. } = self.evidence;
            let kept =
                Evidence { eof_ns, reset, half_close_ns, state_at_shutdown, linger_resets, ..Evidence::default() };
            self.evidence = kept;
            self.phases.disconnect = None;
        }
    }

    /// Its own address.
    pub fn local_address(&self) -> Option<Address<'_>> {
        (!self.local.is_empty()).then_some(Address(&self.local))
    }

    /// The peer's address.
    pub fn peer_address(&self) -> Option<Address<'_>> {
        (!self.peer.is_empty()).then_some(Address(&self.peer))
    }

    /// Who closed first, as far as it is known.
    pub fn closed_first(&self) -> FirstToClose {
        let connected = self.is_connected() && self.is_stream() && self.role != Role::Listener;
        self.evidence.verdict(self.ending, connected)
    }

    /// Whether a program that ended in order left it to the kernel.
    pub(super) fn is_left(&self) -> bool {
        matches!(self.ending, Ending::Leaked(_)) && self.facts.left && self.role != Role::Listener
    }

    /// When its last descriptor was gone.
    pub(super) fn gone_ns(&self) -> Option<u64> {
        match self.ending {
            Ending::Open => None,
            Ending::Closed(time_ns) | Ending::Leaked(time_ns) => Some(self.evidence.close_ns.unwrap_or(time_ns)),
        }
    }

    /// Whether it was connected, ever.
    pub fn is_connected(&self) -> bool {
        let used = self.sent.bytes != 0 || self.received.bytes != 0 || self.evidence.eof_ns.is_some();
        // A socket that was refused reads as one whose peer has closed.
        let used = used && !matches!(self.connect, Connect::Failed(_));
        self.connect == Connect::Done || matches!(self.role, Role::Passive | Role::Pair) || used
    }

    /// Whether it carries a stream of bytes, so that a read of nothing is its end.
    pub fn is_stream(&self) -> bool {
        // SOCK_STREAM or SOCK_SEQPACKET; an unknown one counts unless it is known for datagrams.
        matches!(self.kind, 1 | 5) || (self.kind == 0 && self.role != Role::Datagram)
    }

    /// The processes that used it, by name: the first one speaks for the connection.
    pub fn program(&self) -> &str {
        self.holders.first().map_or("", |holder| &holder.name)
    }
}
