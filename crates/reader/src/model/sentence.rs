//! The verdict on a connection: how it ended, as one word of a list and as one plain sentence.

use super::connection::{AF_UNIX, Connect, Connection, Ending, Role};
use super::errno::{EADDRINUSE, ECONNREFUSED, ENOENT, EPIPE, ETIMEDOUT};
use super::facts::Place;
use super::words::count;
use super::{FirstToClose, Model, tcp};
use sockshim_format::errno::errno_name;
use sockshim_format::line::Duration;
use sockshim_format::op::Op;
use std::fmt::Write;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// The peer refused: nobody listens there.
    Refused,
    /// The peer did not answer, at the beginning or later.
    TimedOut,
    /// Connecting or binding failed in another way.
    Failed,
    /// We closed it while it was still connecting.
    GivenUp,
    /// The peer reset it.
    Reset,
    /// Our close reset it.
    WeReset,
    /// We closed first, in order.
    WeClosed,
    /// The peer closed first.
    PeerClosed,
    /// We ended our direction, and the peer closed after that.
    HalfClosed,
    /// Both ends closed at once.
    BothClosed,
    /// Never closed: the process ended with it.
    Leaked,
    /// Still open.
    Open,
    /// Closed, with nobody at the other end, or nobody knows who was first.
    Closed,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Verdict; 13] = [
        Verdict::Refused,
        Verdict::TimedOut,
        Verdict::Failed,
        Verdict::GivenUp,
        Verdict::Reset,
        Verdict::WeReset,
        Verdict::WeClosed,
        Verdict::PeerClosed,
        Verdict::HalfClosed,
        Verdict::BothClosed,
        Verdict::Leaked,
        Verdict::Open,
        Verdict::Closed,
    ];

    /// The word that people filter by.
    pub const fn word(self) -> &'static str {
        match self {
            Verdict::Refused => "refused",
            Verdict::TimedOut => "timed-out",
            Verdict::Failed => "failed",
            Verdict::GivenUp => "given-up",
            Verdict::Reset => "reset",
            Verdict::WeReset => "we-reset",
            Verdict::WeClosed => "we-closed",
            Verdict::PeerClosed => "peer-closed",
            Verdict::HalfClosed => "half-closed",
            Verdict::BothClosed => "both-closed",
            Verdict::Leaked => "leaked",
            Verdict::Open => "open",
            Verdict::Closed => "closed",
        }
    }

    /// Whether something went wrong that people ask about first.
    pub const fn is_failure(self) -> bool {
        matches!(self, Verdict::Refused | Verdict::TimedOut | Verdict::Failed | Verdict::GivenUp | Verdict::Reset)
    }
}

impl Connection {
    /// What connecting or binding failed with.
    fn failure(&self) -> Option<u16> {
        match self.connect {
            Connect::Failed(errno) => Some(errno),
            _ if self.is_connected() || self.role == Role::Listener => None,
            // Another address, or the same one later, may have been free.
            _ if self.facts.bound => None,
            _ => self.errors.get(&Op::Bind).map(|(errno, _)| *errno),
        }
    }
}

impl Model {
    /// Who closed first. Where both ends are here and neither says that the other did (a socketpair has
    /// no TCP_INFO), the clock decides.
    pub fn closed_first(&self, connection: &Connection) -> FirstToClose {
        let first = connection.closed_first();
        let other = connection.other_end.and_then(|id| self.connection(id));
        if let Some(other) = other.filter(|_| first == FirstToClose::Reset && self.reads_no_more(connection)) {
            return match (connection.gone_ns(), other.gone_ns()) {
                (ours, Some(theirs)) if ours.is_none_or(|ours| theirs < ours) => FirstToClose::Peer,
                _ if matches!(connection.ending, Ending::Closed(_)) => FirstToClose::Us,
                _ => FirstToClose::Nobody,
            };
        }
        // A shutdown ends a direction as a close does.
        let ended = |conn: &Connection| conn.evidence.half_close_ns.or(conn.evidence.close_ns);
        match (first, ended(connection), other.and_then(ended)) {
            (FirstToClose::Us, Some(ours), Some(theirs)) if theirs < ours && connection.tcp_last.is_none() => {
                FirstToClose::Peer
            }
            _ => first,
        }
    }

    /// Whether the peer had shut down its reading direction when a write met EPIPE, or nothing tells that it had
    /// closed by then. On AF_UNIX the one looks like the other.
    pub(super) fn reads_no_more(&self, connection: &Connection) -> bool {
        let Some((time_ns, EPIPE)) = connection.evidence.reset else { return false };
        let other = connection.other_end.and_then(|id| self.connection(id));
        // After our own shutdown it says nothing of the peer.
        let theirs = connection.evidence.half_close_ns.is_none_or(|half_ns| half_ns > time_ns);
        connection.domain == AF_UNIX
            && theirs
            && other.map_or(connection.evidence.eof_ns.is_none(), |other| {
                other.gone_ns().is_none_or(|gone_ns| gone_ns > time_ns)
            })
    }

    /// What this end and the other are called: `client` and `server` where that is known, else by their numbers
    /// where both are in the trace.
    pub fn ends(&self, connection: &Connection) -> (String, String) {
        match (connection.role, connection.other_end) {
            (Role::Active, _) => ("client".into(), "server".into()),
            (Role::Passive, _) => ("server".into(), "client".into()),
            (_, Some(other)) => (format!("#{}", connection.id + 1), format!("#{}", other + 1)),
            _ => ("we".into(), "the peer".into()),
        }
    }

    /// Whether both ends closed before they had heard of the other: their FINs crossed.
    fn crossed(&self, connection: &Connection) -> bool {
        let other = connection.other_end.and_then(|id| self.connection(id));
        let first = |end: &Connection| end.tcp_last.is_some() && end.closed_first() == FirstToClose::Us;
        first(connection) && other.is_some_and(first)
    }

    /// How the connection ended.
    pub fn verdict(&self, connection: &Connection) -> Verdict {
        if let Some(errno) = connection.failure() {
            return match errno {
                ECONNREFUSED => Verdict::Refused,
                ETIMEDOUT => Verdict::TimedOut,
                _ => Verdict::Failed,
            };
        }
        let evidence = &connection.evidence;
        if connection.is_connected() && connection.is_stream() && connection.role != Role::Listener {
            match self.closed_first(connection) {
                FirstToClose::Reset => {
                    return match evidence.reset {
                        Some((_, ETIMEDOUT)) => Verdict::TimedOut,
                        Some((_, EPIPE)) => Verdict::PeerClosed,
                        _ => Verdict::Reset,
                    };
                }
                _ if matches!(connection.ending, Ending::Leaked(_)) => return Verdict::Leaked,
                _ if connection.ending == Ending::Open => return Verdict::Open,
                FirstToClose::Us if self.crossed(connection) => return Verdict::BothClosed,
                FirstToClose::Us if half_closed(connection) => return Verdict::HalfClosed,
                FirstToClose::Us => return Verdict::WeClosed,
                FirstToClose::UsReset => return Verdict::WeReset,
                FirstToClose::Peer => return Verdict::PeerClosed,
                FirstToClose::Both => return Verdict::BothClosed,
                FirstToClose::Nobody | FirstToClose::Unknown => {}
            }
        }
        match connection.ending {
            Ending::Open => Verdict::Open,
            Ending::Leaked(_) => Verdict::Leaked,
            Ending::Closed(_) if connection.connect == Connect::Pending => Verdict::GivenUp,
            Ending::Closed(_) => Verdict::Closed,
        }
    }

    /// How the connection ended, in one sentence. Times are told since `zero_ns`.
    pub fn sentence(&self, connection: &Connection, zero_ns: u64) -> String {
        let mut text = self.main_clause(connection, zero_ns);
        if let Some(what) = made_to_fail(connection) {
            text = what;
        }
        for injection in connection.injected.iter().take(INJECTIONS) {
            let _ = write!(text, "; injected: {}", injection.words());
        }
        if connection.other_end.is_some() && self.reads_no_more(connection) {
            let (_, peer) = self.ends(connection);
            let _ = write!(text, "; our write met EPIPE, for {} read no more", the(&peer));
        }
        let facts = &connection.facts;
        let closed = matches!(connection.ending, Ending::Closed(_)) && connection.evidence.close_ns.is_none();
        if facts.closed_by_exec && closed {
            text += "; exec closed it, for it was marked close-on-exec";
        }
        let mishaps = facts.mishaps();
        if mishaps.closed_again > 0 {
            text += if mishaps.closed_again == 1 { "; closed twice" } else { "; closed again and again" };
            text += ": close() gave EBADF";
        }
        if let (count, Some(place)) = mishaps.used_after_close {
            let more = if count > 1 { format!(", the first of {count} such calls") } else { String::new() };
            let _ = write!(text, "; used after close: {}() gave EBADF{more}", place.op.name());
        }
        text
    }

    fn main_clause(&self, connection: &Connection, zero_ns: u64) -> String {
        let (us, peer) = self.ends(connection);
        let peer = &peer;
        let evidence = &connection.evidence;
        let connecting = connection.phases.connect.map_or(0, |span| span.duration_ns());
        let took = Duration(connecting);
        if let Some(errno) = connection.failure() {
            let name = errno_name(errno);
            return match (connection.connect, errno) {
                (Connect::Failed(ECONNREFUSED), _) => format!("refused after {took}: nobody listens there"),
                (Connect::Failed(ETIMEDOUT), _) => format!("timed out after {took}: {} never answered", the(peer)),
                (Connect::Failed(ENOENT), _) => "nobody there: no socket is bound to that path".into(),
                (Connect::Failed(_), _) => format!("connect failed after {took}: {name}"),
                (_, EADDRINUSE) => "bind failed: the address is in use (EADDRINUSE)".into(),
                _ => format!("bind failed: {name}"),
            };
        }
        let received = connection.received.bytes;
        let after = match received {
            0 => "before it sent anything".to_owned(),
            bytes => format!("after {}", count(bytes, "byte")),
        };
        match self.verdict(connection) {
            Verdict::Reset => format!("reset by {} {after}", the(peer)),
            Verdict::TimedOut => format!("timed out: {} stopped answering {after}", the(peer)),
            Verdict::WeClosed => format!("{us} closed first{}", left_over(connection)),
            Verdict::WeReset if evidence.linger_resets => {
                format!("{us} closed first, with a reset: SO_LINGER was set to zero{}", left_over(connection))
            }
            Verdict::WeReset => format!("{us} closed first{}", left_over(connection)),
            Verdict::PeerClosed if self.reads_no_more(connection) => match connection.other_end {
                Some(_) => format!("{peer} closed first"),
                None => format!("{peer} reads no more: our write met EPIPE"),
            },
            Verdict::PeerClosed if matches!(evidence.reset, Some((_, EPIPE))) => {
                format!("{peer} closed first, and our next write met EPIPE{}", left_over(connection))
            }
            Verdict::PeerClosed => format!("{peer} closed first{}", left_over(connection)),
            Verdict::HalfClosed => format!("half-closed by us, then {} closed{}", the(peer), left_over(connection)),
            Verdict::BothClosed => format!("both ends closed at once{}", left_over(connection)),
            Verdict::Leaked => self.leak(connection, zero_ns),
            Verdict::Open if connection.connect == Connect::Pending => "still connecting".into(),
            Verdict::Open if evidence.eof_ns.is_some() => format!("still open, though {} has closed", the(peer)),
            Verdict::Open => "still open".into(),
            Verdict::GivenUp => format!("given up while connecting, after {took}"),
            _ if connection.role == Role::Listener || connection.kind == 2 => "closed".into(),
            _ if connection.is_connected() => "closed; nothing tells who was first".into(),
            _ => "closed without having been connected".into(),
        }
    }

    /// `never closed: open until the process ended (created by socket() in thread 12 at 0.004 s)`.
    fn leak(&self, connection: &Connection, zero_ns: u64) -> String {
        let (_, peer) = self.ends(connection);
        let eof = connection.evidence.eof_ns.is_some();
        let gone = eof || connection.tcp_last.as_ref().and_then(|tcp| tcp.state()) == Some(tcp::CLOSE_WAIT);
        let mut text = match (connection.role, gone && connection.is_stream()) {
            (Role::Listener, _) => "never closed: listened until the process ended".to_owned(),
            (_, true) => format!("{peer} closed first, and we never did: open until the process ended"),
            _ => "never closed: open until the process ended".to_owned(),
        };
        if let Some(place) = connection.facts.made {
            let _ = write!(text, " ({})", self.made(place, zero_ns));
        }
        text
    }

    /// `created by socket() in thread 12 at 0.004 s`.
    pub(super) fn made(&self, place: Place, zero_ns: u64) -> String {
        let ms = place.time_ns.saturating_sub(zero_ns) / 1_000_000;
        let (op, seconds, ms) = (place.op.name(), ms / 1000, ms % 1000);
        format!("created by {op}() in thread {} at {seconds}.{ms:03} s", place.tid)
    }
}

/// `the server` and `the peer`, in the middle of a sentence.
fn the(end: &str) -> String {
    if end.starts_with("the ") || end.starts_with('#') { end.to_owned() } else { format!("the {end}") }
}

/// We ended our direction, and closed only when the peer had ended its own.
fn half_closed(connection: &Connection) -> bool {
    let evidence = &connection.evidence;
    let half = evidence.half_close_ns.filter(|half| evidence.close_ns.is_none_or(|close| close > *half));
    half.zip(evidence.eof_ns).is_some_and(|(half, eof)| half <= eof)
}

/// What lay in the queues when we closed, and what that did.
fn left_over(connection: &Connection) -> String {
    let evidence = &connection.evidence;
    let were = |bytes: u32| format!("{} {}", count(bytes.into(), "byte"), if bytes == 1 { "was" } else { "were" });
    let mut text = String::new();
    if let Some(unread) = evidence.unread_bytes.filter(|bytes| *bytes > 0) {
        // Closing with unread bytes makes the kernel send RST in place of FIN (RFC 2525, 2.17).
        let what = if connection.tcp_last.is_some() { ", so our close sent RST" } else { "" };
        let _ = write!(text, "; {} never read{what}", were(unread));
    }
    // A FIN that is not acknowledged counts as a byte.
    let fin = u32::from(evidence.half_close_ns.is_some());
    let unsent = evidence.unsent_bytes.map(|bytes| bytes.saturating_sub(fin));
    if let Some(unsent) = unsent.filter(|bytes| *bytes > 0) {
        let _ = write!(text, "; {} still under way", were(unsent));
    }
    text
}

/// Faults that a sentence tells of.
const INJECTIONS: usize = 3;

/// What is to be said instead of guesses at the peer's part where it had none: the error was injected.
fn made_to_fail(connection: &Connection) -> Option<String> {
    let took = connection.phases.connect.map_or(0, |span| span.duration_ns());
    match (connection.connect, connection.evidence.reset) {
        (Connect::Failed(errno), _) if connection.was_made_to_fail(Some(Op::Connect)) => {
            Some(format!("connect failed after {}: {}", Duration(took), errno_name(errno)))
        }
        (_, Some((_, errno))) if connection.was_made_to_fail(None) => {
            Some(format!("ended by {} in the middle", errno_name(errno)))
        }
        _ => None,
    }
}
