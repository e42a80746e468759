//! What calls mean on the wire, and when.

use std::fmt::Write;

use sockshim_format::address::Address;
use sockshim_format::line::{Line, Parts};
use sockshim_format::op::{Direction, Op};
use sockshim_format::record::{ROLE_INPUT, ROLE_OUTPUT};
use sockshim_reader::model::{ConnId, Connect, Connection, Ending, FirstToClose, Role};
use sockshim_reader::{CallInfo, Event, Model};

use super::super::Known;
use crate::views::{live, safe};

/// What one call can carry at the most (MAX_RW_COUNT of the kernel): what claims to have carried more is damaged.
const MOST_BYTES: u64 = 0x7fff_f000;
/// How long the call and the command line may be that are told of.
const MOST_COMMENT: usize = 1000;
const MOST_COMMAND: usize = 4096;

/// Something on the wire.
pub enum Act {
    /// SYN.
    Connect,
    /// The answer, and the answer to that.
    Establish,
    /// RST instead.
    Refuse,
    /// Bytes, by who sent them.
    Send { kept: Vec<u8>, len: u64 },
    /// Bytes, by who read them.
    Receive { kept: Vec<u8>, len: u64 },
    /// The other end's FIN, by who read nothing.
    EndOfFile,
    /// FIN.
    ShutDown,
    /// FIN or RST: the last descriptor was closed.
    Close { conn: ConnId, reset: bool, peer_first: bool },
    /// RST of the other end, as a call has met it.
    Reset,
    /// A datagram that was sent or received.
    Datagram { sent: bool, kept: Vec<u8>, len: u64 },
    /// Nothing by itself: a call that may turn out to be the close.
    Closing,
}

impl Act {
    /// Whether a stream that begins with this is seen from its beginning.
    pub fn begins(&self) -> bool {
        matches!(self, Act::Connect | Act::Establish | Act::Refuse)
    }
}

/// An act, when and on what.
pub struct Told<'a> {
    /// When, in nanoseconds since the epoch: not before the event that tells it.
    pub time_ns: u64,
    /// On which connection.
    pub conn: ConnId,
    /// The peer that the call named.
    pub peer: Option<Address<'a>>,
    /// What.
    pub act: Act,
}

/// Whether TCP would carry it.
pub fn is_stream(conn: &Connection) -> bool {
    let family = match conn.domain {
        libc::AF_INET | libc::AF_INET6 => matches!(conn.protocol, 0 | libc::IPPROTO_TCP | libc::IPPROTO_MPTCP),
        libc::AF_UNIX => true,
        _ => false,
    };
    family && matches!(conn.kind, 1 | 5) && conn.role != Role::Listener
}

/// Whether UDP would carry it.
fn is_datagram(conn: &Connection) -> bool {
    let family = match conn.domain {
        libc::AF_INET | libc::AF_INET6 => matches!(conn.protocol, 0 | libc::IPPROTO_UDP),
        libc::AF_UNIX => true,
        _ => false,
    };
    family && conn.kind == 2
}

/// Which end of its stream a connection is: 0 connects.
pub fn end(conn: &Connection) -> usize {
    match conn.role {
        Role::Passive => 1,
        Role::Pair => usize::from(conn.other_end.is_some_and(|other| other < conn.id)),
        _ => 0,
    }
}

/// What an event means.
pub fn of<'a>(event: &Event, info: &'a CallInfo, known: Known<'_>) -> Vec<Told<'a>> {
    let Some(op) = info.op().map(Op::base) else { return Vec::new() };
    let over = matches!(event, Event::Call(_));
    let by_socket = |socket: u64| known.whole.of_socket(socket).map(|conn| conn.id);
    let subject = || match info.call.socket {
        0 => known.so_far.of_call(info).map(|conn| conn.id),
        socket => by_socket(socket),
    };
    let parts = info.parts();
    let told = |time_ns: u64, conn: Option<ConnId>, peer: Option<Address<'a>>, act: Act| -> Vec<Told<'a>> {
        conn.map(|conn| Told { time_ns, conn, peer, act }).into_iter().collect()
    };
    let now_ns = event.time_ns().unwrap_or(info.start_ns);
    match op {
        Op::Connect => connect(over, now_ns, info, &parts, subject().and_then(|id| known.whole.connection(id))),
        Op::Accept | Op::Accept4 if over => {
            let made = info.sockets().find(|socket| i64::from(socket.fd) == info.call.ret).map(|made| made.socket);
            let made = made.or_else(|| {
                let made = info.fds(sockshim_format::record::ROLE_MADE);
                made.filter(|made| i64::from(made.fd) == info.call.ret).map(|made| made.socket).next()
            });
            told(info.end_ns, made.and_then(by_socket), None, Act::Establish)
        }
        Op::Shutdown if over && info.call.ret == 0 && info.call.arg != 0 => {
            told(now_ns, subject(), None, Act::ShutDown)
        }
        Op::Close | Op::Fclose | Op::Pclose | Op::Freopen => told(now_ns, subject(), None, Act::Closing),
        Op::Splice | Op::Tee if over && info.call.ret > 0 => {
            let len = (info.call.ret as u64).min(MOST_BYTES);
            let ends = |role| info.fds(role).filter_map(|fd| by_socket(fd.socket));
            let read = ends(ROLE_INPUT)
                .filter(|_| op == Op::Splice)
                .flat_map(|id| told(info.end_ns, Some(id), None, Act::Receive { kept: Vec::new(), len }));
            let sent =
                ends(ROLE_OUTPUT).flat_map(|id| told(now_ns, Some(id), None, Act::Send { kept: Vec::new(), len }));
            read.chain(sent).collect()
        }
        _ if over && op.direction().is_some() => {
            let conn = subject().and_then(|id| known.whole.connection(id));
            conn.map_or_else(Vec::new, |conn| data(now_ns, info, &parts, conn))
        }
        _ => Vec::new(),
    }
}

fn connect<'a>(
    over: bool,
    now_ns: u64,
    info: &'a CallInfo,
    parts: &Parts<'a>,
    conn: Option<&Connection>,
) -> Vec<Told<'a>> {
    let Some(conn) = conn else { return Vec::new() };
    let tell = |time_ns, act| Told { time_ns, conn: conn.id, peer: parts.given, act };
    let begun = tell(now_ns, Act::Connect);
    if !over {
        return vec![begun];
    }
    let errno = i32::from(info.call.errno);
    let settled_ns = conn.phases.connect.map_or(info.end_ns, |span| span.end_ns.max(info.end_ns));
    match (info.call.ret, errno) {
        (0, _) => vec![begun, tell(info.end_ns, Act::Establish)],
        (_, libc::ECONNREFUSED | libc::ECONNRESET) => vec![begun, tell(info.end_ns, Act::Refuse)],
        (_, libc::ETIMEDOUT | libc::EHOSTUNREACH) => vec![begun],
        (_, libc::EINPROGRESS | libc::EINTR) => match conn.connect {
            Connect::Done => vec![begun, tell(settled_ns, Act::Establish)],
            Connect::Failed(errno) if i32::from(errno) == libc::ECONNREFUSED => {
                vec![begun, tell(settled_ns, Act::Refuse)]
            }
            _ => vec![begun],
        },
        // The kernel has sent nothing.
        _ => Vec::new(),
    }
}

fn data<'a>(now_ns: u64, info: &'a CallInfo, parts: &Parts<'a>, conn: &Connection) -> Vec<Told<'a>> {
    let Some((direction, len)) = info.bytes() else { return Vec::new() };
    let len = len.min(MOST_BYTES);
    let kept = || parts.payload.unwrap_or_default().to_vec();
    let peer = parts.given.or(parts.returned).filter(|address| address.family() != 0);
    let sent = direction == Direction::Sent;
    let time_ns = if sent { now_ns } else { info.end_ns };
    let tell = |act| vec![Told { time_ns, conn: conn.id, peer, act }];
    if is_datagram(conn) {
        let failed = info.call.ret < 0 || !info.is_done() || (len == 0 && info.call.ret > 0);
        return if failed { Vec::new() } else { tell(Act::Datagram { sent, kept: kept(), len }) };
    }
    match (sent, len) {
        (false, 0) if info.is_end_of_file() => tell(Act::EndOfFile),
        (false, 0) => Vec::new(),
        (true, 0) => Vec::new(),
        (true, _) => tell(Act::Send { kept: kept(), len }),
        (false, _) => tell(Act::Receive { kept: kept(), len }),
    }
}

/// How a connection ends.
pub fn endings(conn: &Connection) -> Vec<(u64, Act)> {
    let mut endings = Vec::new();
    if let Some((time_ns, _)) = conn.evidence.reset.filter(|(_, errno)| i32::from(*errno) != libc::ETIMEDOUT) {
        endings.push((time_ns, Act::Reset));
    }
    let ended_ns = match conn.ending {
        Ending::Closed(time_ns) => Some(conn.evidence.close_ns.unwrap_or(time_ns)),
        Ending::Leaked(time_ns) => Some(time_ns),
        Ending::Open => None,
    };
    if let Some(time_ns) = ended_ns {
        let first = conn.closed_first();
        if first == FirstToClose::Reset {
            endings.push((time_ns, Act::Reset));
        }
        let unread = conn.evidence.unread_bytes.is_some_and(|bytes| bytes > 0);
        let reset = unread || (conn.evidence.linger_resets && conn.evidence.close_ns.is_some());
        let peer_first = first == FirstToClose::Peer;
        endings.push((time_ns, Act::Close { conn: conn.id, reset, peer_first }));
    }
    endings
}

/// The call and who made it, line by line as ptcpdump has it.
pub fn comment(info: &CallInfo, model: &Model) -> String {
    let parts = Parts { payload: None, ..info.parts() };
    let mut text = String::new();
    let _ = write!(text, "{}", Line { call: &info.call, parts: &parts, peer: None, duration_ns: 0 });
    text.truncate(text.trim_end_matches(" <0ns>").len());
    cut(&mut text, MOST_COMMENT);
    let name = live::name(model, info.process);
    let _ = write!(text, "\nPID: {}\nCmd: {name}\nThreadId: {}", info.pid, info.tid);
    text
}

/// The command line of a process; a forked one has its parent's.
pub fn command_line(model: &Model, process: u32) -> String {
    let mut number = process;
    let mut text = String::new();
    for _ in 0..64 {
        let Some(info) = model.process(number).and_then(|process| process.info.as_ref()) else { break };
        if !info.args.is_empty() {
            text = info.args.iter().map(|arg| safe(arg)).collect::<Vec<_>>().join(" ");
            break;
        }
        number = info.process.parent;
    }
    cut(&mut text, MOST_COMMAND);
    text
}

fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
}
