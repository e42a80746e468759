//! What a call says, and what it does not: the values of facts.

use sockshim_format::address::{Address, Ip};
use sockshim_format::names;
use sockshim_format::op::{Direction, Op};
use sockshim_format::record::{ROLE_CLOSED, ROLE_MADE};
use sockshim_reader::model::{Connection, Ending, FirstToClose, Role, TcpSnapshot, tcp};
use sockshim_reader::{CallInfo, Model};

use super::fact::{Closing, End, Fact, Kind, Lesson, Stage};
use crate::views::safe;

/// Characters of a payload's first line that are quoted.
const QUOTED: usize = 48;

/// F_SETFL and O_NONBLOCK; FIONBIO.
const SETFL: u32 = 4;
const NONBLOCK: u64 = 0o4000;
const FIONBIO: u64 = 0x5421;

/// What an end is called.
pub fn end(role: Role) -> End {
    match role {
        Role::Active => End::Client,
        Role::Passive => End::Server,
        Role::Listener => End::Listener,
        Role::Datagram => End::Datagram,
        Role::Pair => End::Pair,
        Role::Unknown => End::Socket,
    }
}

/// Who is at the other end.
pub fn other(connection: &Connection) -> End {
    match connection.role {
        Role::Active => End::Server,
        Role::Passive => End::Client,
        _ => End::Socket,
    }
}

/// Whether the other end has ended its direction, as far as the program, the kernel or the other end itself tell.
pub fn other_is_gone(model: &Model, connection: &Connection) -> bool {
    let theirs = connection.other_end.and_then(|id| model.connection(id)).map(|other| &other.evidence);
    let said = theirs.is_some_and(|theirs| theirs.close_ns.or(theirs.half_close_ns).is_some());
    let state = connection.tcp_last.as_ref().and_then(TcpSnapshot::state);
    let seen = connection.evidence.eof_ns.is_some() || state == Some(tcp::CLOSE_WAIT);
    connection.role != Role::Listener && connection.is_stream() && (said || seen)
}

/// When a call is told: what it waited for is there at its end.
pub fn time_ns(op: Op, call: &CallInfo) -> u64 {
    let arrives = op.direction() == Some(Direction::Received) || matches!(op, Op::Accept | Op::Accept4 | Op::Connect);
    if arrives || call.announced { call.end_ns } else { call.start_ns }
}

/// The stage that a fact belongs to.
pub fn stage(fact: &Fact) -> Option<Stage> {
    Some(match fact {
        Fact::Resolved { .. } | Fact::Unresolved { .. } => Stage::Resolve,
        Fact::Created { .. } | Fact::Paired { .. } => Stage::Create,
        Fact::Bound { .. } | Fact::Listening { .. } | Fact::ConnectBegun { .. } | Fact::PeerChosen { .. } => {
            Stage::Connect
        }
        Fact::Connected { .. } | Fact::ConnectedTo { .. } | Fact::Accepted { .. } => Stage::Connect,
        Fact::WaitsForClient | Fact::WaitsForAnswer | Fact::Failed { op: Op::Connect | Op::Bind, .. } => Stage::Connect,
        Fact::WaitsForBytes { .. } | Fact::WaitsForRoom { .. } | Fact::Wrote { .. } | Fact::Read { .. } => {
            Stage::Communicate
        }
        Fact::Secured { .. } | Fact::SentDatagram { .. } | Fact::ReceivedDatagram { .. } | Fact::Again { .. } => {
            Stage::Communicate
        }
        Fact::Ended { .. } | Fact::ShutDown { .. } | Fact::Closed { .. } | Fact::WasReset { .. } => Stage::Disconnect,
        _ => return None,
    })
}

/// Whether it speaks TCP.
pub fn is_tcp(connection: &Connection) -> bool {
    matches!(connection.domain, 2 | 10) && connection.is_stream()
}

/// What is to be learned from a fact, of TCP or of another protocol.
pub fn lesson(fact: &Fact, tcp: bool) -> Option<Lesson> {
    Some(match fact {
        Fact::Created { .. } => Lesson::Descriptor,
        Fact::Listening { .. } => Lesson::Backlog,
        Fact::Connected { .. } if tcp => Lesson::Handshake,
        Fact::ConnectBegun { .. } => Lesson::InProgress,
        Fact::Accepted { .. } => Lesson::Accept,
        Fact::Wrote { .. } => Lesson::Write,
        Fact::ReadMore { .. } if tcp => Lesson::Stream,
        Fact::SentDatagram { .. } => Lesson::Datagram,
        Fact::Again { .. } => Lesson::Again,
        Fact::Ended { .. } => Lesson::End,
        Fact::ShutDown { both: false, .. } => Lesson::HalfClose,
        Fact::Closed { closing: Closing::First { tcp: true }, .. } => Lesson::TimeWait,
        Fact::Closed { closing: Closing::Unread { .. }, .. } => Lesson::Reset,
        _ => return None,
    })
}

/// The fact of a resolution, if the call is one that people would call so.
pub fn resolution(op: Op, call: &CallInfo) -> Option<Fact> {
    let asks = matches!(op, Op::Getaddrinfo | Op::Gethostbyname | Op::GethostbynameR | Op::Gethostbyname2);
    let parts = call.parts();
    let name = parts.name.filter(|_| asks || op == Op::Gethostbyname2R)?;
    let name = safe(name.strip_suffix(b"\0").unwrap_or(name));
    // A number stands for itself.
    if name.is_empty() || name.parse::<std::net::IpAddr>().is_ok() {
        return None;
    }
    let mut addresses = Vec::new();
    for ip in parts.resolved.into_iter().flatten().filter_map(Address::ip) {
        let text = Ip(ip).to_string();
        if !addresses.contains(&text) {
            addresses.push(text);
        }
    }
    if addresses.is_empty() {
        let error = names::resolver_error(call.call.ret).filter(|_| call.call.ret != 0)?;
        return Some(Fact::Unresolved { name, error: error.to_owned() });
    }
    Some(Fact::Resolved { name, addresses, took_ns: call.duration_ns() })
}

/// A socket that did not come into being.
pub fn not_created(op: Op, call: &CallInfo) -> Option<Fact> {
    let failed = matches!(op, Op::Socket | Op::Socketpair) && call.call.errno != 0;
    failed.then_some(Fact::Failed { op, errno: call.call.errno, target: None })
}

/// Descriptors and sockets that a call made besides the one that it is about.
pub fn made(op: Op, call: &CallInfo) -> Vec<(i32, u64)> {
    match op {
        Op::Accept | Op::Accept4 if call.call.errno == 0 => {
            let fd = i32::try_from(call.call.ret).unwrap_or(-1);
            let told = call.sockets().find(|socket| socket.fd == fd).map(|socket| socket.socket);
            let listed = || call.fds(ROLE_MADE).find(|made| made.fd == fd).map(|made| made.socket);
            told.or_else(listed).map(|socket| (fd, socket)).into_iter().collect()
        }
        Op::Socketpair => call.fds(ROLE_MADE).map(|made| (made.fd, made.socket)).collect(),
        _ => Vec::new(),
    }
}

/// Descriptors and sockets that a call closed.
pub fn closed(op: Op, call: &CallInfo) -> Vec<(i32, u64)> {
    let mut closed: Vec<(i32, u64)> = call.fds(ROLE_CLOSED).map(|fd| (fd.fd, fd.socket)).collect();
    let one = matches!(op, Op::Close | Op::Fclose | Op::Pclose | Op::Freopen) && call.call.errno == 0;
    if one && call.call.socket != 0 && !closed.iter().any(|(_, socket)| *socket == call.call.socket) {
        closed.push((call.call.fd, call.call.socket));
    }
    closed.retain(|(_, socket)| *socket != 0);
    closed
}

/// How the connection's descriptor was closed.
pub fn closing(model: &Model, connection: &Connection) -> Closing {
    let evidence = &connection.evidence;
    let tcp = is_tcp(connection);
    let unread = evidence.unread_bytes.filter(|bytes| *bytes > 0 && tcp);
    if !matches!(connection.ending, Ending::Closed(_)) {
        return Closing::StillNamed;
    }
    if connection.role == Role::Listener {
        return Closing::Listener;
    }
    if connection.kind == 2 || connection.role == Role::Datagram {
        return Closing::Datagram;
    }
    if !connection.is_connected() {
        return Closing::Unconnected;
    }
    match (model.closed_first(connection), unread) {
        (FirstToClose::Reset, _) => Closing::AfterReset,
        _ if evidence.linger_resets => Closing::Linger,
        (_, Some(bytes)) => Closing::Unread { bytes },
        (FirstToClose::Us | FirstToClose::UsReset, _) if evidence.half_close_ns.is_some() => Closing::AfterHalfClose,
        (FirstToClose::Us | FirstToClose::UsReset, _) => Closing::First { tcp },
        (FirstToClose::Peer, _) => Closing::Second,
        (FirstToClose::Both, _) => Closing::Both,
        (FirstToClose::Nobody | FirstToClose::Unknown, _) => Closing::Unknown,
    }
}

/// What the socket speaks.
pub fn kind(connection: &Connection) -> Kind {
    let six = connection.domain == 10;
    match (connection.domain, connection.kind) {
        (2 | 10, 1) => Kind::Tcp { six },
        (2 | 10, 2) => Kind::Udp { six },
        (1, 1 | 5) => Kind::Local { stream: true },
        (1, _) => Kind::Local { stream: false },
        (domain, kind) => Kind::Other {
            family: names::family(domain).map_or_else(|| format!("AF_{domain}"), str::to_owned),
            kind: names::socket_kind(kind).map_or_else(|| format!("SOCK_{kind}"), str::to_owned),
        },
    }
}

/// The name of an option that the call has set.
pub fn option(op: Op, call: &CallInfo) -> Option<String> {
    let (arg, size) = (call.call.arg, call.call.size);
    match op {
        Op::Setsockopt => {
            let (level, number) = ((arg >> 16) as i32, (arg & 0xffff) as i32);
            Some(names::option(level, number).map_or_else(|| format!("{level}:{number}"), str::to_owned))
        }
        Op::Fcntl if arg == SETFL && size & NONBLOCK != 0 => Some("O_NONBLOCK".into()),
        Op::Ioctl if u64::from(arg) == FIONBIO || size == FIONBIO => Some("FIONBIO".into()),
        _ => None,
    }
}

/// The first line of what passed, if it is text.
pub fn first_line(call: &CallInfo) -> Option<String> {
    let (_, payload) = call.payload()?;
    let line = payload.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
    let text: String = std::str::from_utf8(line).ok()?.chars().take(QUOTED).collect();
    let cut =
        if text.len() < line.len() || (line.len() == payload.len() && is_cut(call, payload)) { "…" } else { "" };
    let readable = text.chars().filter(|char| char.is_alphanumeric()).count() > 1;
    (readable && !text.chars().any(char::is_control)).then(|| text + cut)
}

/// Whether more passed than was kept.
fn is_cut(call: &CallInfo, payload: &[u8]) -> bool {
    call.bytes().is_some_and(|(_, bytes)| bytes > payload.len() as u64)
}
