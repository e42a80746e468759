//! What passed around us: the kernel's own byte counters, taken just before a call that ends a TCP
//! connection, against the bytes of the calls that were seen until then.
//!
//! ```text
//! written = tcpi_bytes_sent - tcpi_bytes_retrans + tcpi_notsent_bytes - 1 if our FIN waits to be sent
//! read    = tcpi_bytes_received - SIOCINQ - 1 if the peer's FIN has arrived
//! ```
//! A call that ran while the counters were read may count or not: both sides are ranges, and only
//! what no choice explains is unseen. In doubt nothing is claimed.

use super::connection::{Connection, TcpSnapshot};
use super::verdict::tcp;
use super::{Connect, Model, Role};
use crate::event::{CallInfo, LeftInfo};
use sockshim_format::op::{Direction, Op};
use sockshim_format::record::*;
use std::collections::VecDeque;

/// Offsets in `struct tcp_info` (linux/tcp.h). Each kernel may know only the first of them.
mod offset {
    pub const BYTES_RECEIVED: usize = 128;
    pub const NOTSENT_BYTES: usize = 144;
    pub const BYTES_SENT: usize = 200;
    pub const BYTES_RETRANS: usize = 208;
}

/// A tick of the coarse clock, by which threads under a strict seccomp mode tell time, twice.
const COARSE_NS: u64 = 20_000_000;
/// By how much the clocks of two processors may differ, and so the times of two threads: half a
/// millisecond was seen on a virtual machine.
pub(super) const SKEW_NS: u64 = 5_000_000;
/// Transfers at one time, and on one connection, that are told apart.
const MAX_RECENT: usize = 16;
const ECONNRESET: u16 = 104;
/// Where transport ends and other protocols over SOCK_STREAM begin: IPPROTO_TCP.
const TCP: i32 = 6;
/// setsockopt(IPPROTO_TCP, TCP_ULP), as `Call::arg` has it: from then on the kernel frames what is
/// written (TLS), and its counters count frames.
pub(super) const TCP_ULP: u32 = 6 << 16 | 31;

/// Bytes that passed around us in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// How many at least.
    pub bytes: u64,
    /// Whether it is exactly as many.
    pub exact: bool,
}

/// At least, at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Range {
    least: u64,
    most: u64,
}

/// What a connection's counters were compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Audit {
    /// The counters when it was first seen, if it was there before: what passed by then is nobody's.
    found: Option<Counters>,
    /// The last comparison.
    last: Option<Comparison>,
    /// Transfers that may still be going on when the next call begins.
    recent: VecDeque<Transfer>,
    /// None of them ended before this.
    recent_since_ns: u64,
    /// Its counters mean something else, or began anew.
    incomparable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counters {
    written: Option<Range>,
    read: Option<Range>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Comparison {
    /// From the beginning to the end of the call around which the kernel was asked.
    start_ns: u64,
    end_ns: u64,
    /// Who made it: process and thread.
    thread: (u32, u32),
    counters: Counters,
    sent: Range,
    received: Range,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Transfer {
    direction: Direction,
    bytes: u64,
    start_ns: u64,
    end_ns: u64,
    thread: (u32, u32),
}

impl Transfer {
    /// By how much its times may be off those of a thread.
    fn skew_ns(&self, thread: (u32, u32)) -> u64 {
        if self.thread == thread { 0 } else { SKEW_NS }
    }
}

impl Audit {
    /// Keeps a transfer, and forgets those that are over when a call begins.
    fn remember(&mut self, transfer: Transfer, start_ns: u64) {
        let lasts = |end_ns: u64| end_ns.saturating_add(SKEW_NS) > start_ns;
        // In most calls there is nothing to forget.
        if !lasts(self.recent_since_ns) {
            self.recent.retain(|earlier| lasts(earlier.end_ns));
            self.recent_since_ns = self.recent.iter().map(|earlier| earlier.end_ns).min().unwrap_or(u64::MAX);
        }
        if self.recent.len() == MAX_RECENT {
            self.recent.pop_front();
        }
        self.recent_since_ns = self.recent_since_ns.min(transfer.end_ns);
        self.recent.push_back(transfer);
    }
}

impl Comparison {
    fn seen(&mut self, direction: Direction) -> &mut Range {
        match direction {
            Direction::Sent => &mut self.sent,
            Direction::Received => &mut self.received,
        }
    }

    /// Counts a transfer that is told after the comparison, because it took long or by another clock.
    fn add(&mut self, transfer: Transfer) {
        if transfer.start_ns < self.end_ns.saturating_add(transfer.skew_ns(self.thread)) {
            self.seen(transfer.direction).most += transfer.bytes;
        }
    }
}

impl Range {
    fn plus(self, bytes: u64) -> Range {
        Range { least: self.least.saturating_add(bytes), most: self.most.saturating_add(bytes) }
    }
}

/// Bytes, of which the last may be a FIN.
fn without_fin(bytes: u64, fin: Option<bool>) -> Range {
    let without = |fin: bool| bytes.saturating_sub(u64::from(fin));
    Range { least: without(fin != Some(false)), most: without(fin == Some(true)) }
}

impl Counters {
    /// Whether the FINs are known to count in them: ours among the bytes that were not sent, the
    /// peer's among those received.
    fn of(snapshot: &TcpSnapshot, fin_queued: Option<bool>, fin_arrived: Option<bool>) -> Counters {
        let info = &snapshot.info;
        let word = |at: usize| Some(u64::from_ne_bytes(info.get(at..at + 8)?.try_into().ok()?));
        let half = |at: usize| Some(u32::from_ne_bytes(info.get(at..at + 4)?.try_into().ok()?));
        let written = || {
            let (sent, again) = (word(offset::BYTES_SENT)?, word(offset::BYTES_RETRANS)?);
            let (on_its_way, waiting) = (sent.saturating_sub(again), u64::from(half(offset::NOTSENT_BYTES)?));
            Some(without_fin(waiting, fin_queued).plus(on_its_way))
        };
        let read = || {
            let unread = u64::try_from(snapshot.unread_bytes).ok()?;
            Some(without_fin(word(offset::BYTES_RECEIVED)?.saturating_sub(unread), fin_arrived))
        };
        Counters { written: written(), read: read() }
    }

    /// What they have grown by since `earlier`, which is zero for a connection seen from its birth.
    fn since(self, earlier: Counters) -> Counters {
        let grown = |now: Option<Range>, then: Option<Range>| {
            let (now, then) = (now?, then?);
            Some(Range { least: now.least.saturating_sub(then.most), most: now.most.saturating_sub(then.least) })
        };
        Counters { written: grown(self.written, earlier.written), read: grown(self.read, earlier.read) }
    }
}

impl Connection {
    /// The kernel told its counters just before the call.
    pub(super) fn compare(&mut self, snapshot: &TcpSnapshot, info: &CallInfo) {
        let mut counters = self.counters(snapshot);
        // What the stream still holds goes to the kernel inside the call.
        if matches!(info.op().map(Op::base), Some(Op::Fclose | Op::Freopen)) {
            counters.written = counters.written.filter(|_| info.call.ret == 0).map(|w| w.plus(info.call.size));
        }
        self.compare_with(counters, (info.start_ns, info.end_ns), (info.process, info.tid));
    }

    /// What was seen until now, with the kernel's counters of a moment between these times.
    fn compare_with(&mut self, counters: Counters, (start_ns, end_ns): (u64, u64), thread: (u32, u32)) {
        let all = |bytes: u64| Range { least: bytes, most: bytes };
        let (sent, received) = (all(self.sent.bytes), all(self.received.bytes));
        let mut comparison = Comparison { start_ns, end_ns, thread, counters, sent, received };
        let maybe = |transfer: &&Transfer| transfer.end_ns.saturating_add(transfer.skew_ns(thread)) > start_ns;
        for transfer in self.audit.recent.iter().filter(maybe) {
            let seen = comparison.seen(transfer.direction);
            seen.least = seen.least.saturating_sub(transfer.bytes);
        }
        self.audit.last = Some(comparison);
    }

    /// The kernel told its counters when the socket, which was there before, was first seen.
    pub(super) fn found(&mut self, snapshot: &TcpSnapshot) {
        let unused = self.sent.bytes == 0 && self.received.bytes == 0 && self.audit.last.is_none();
        if !self.born_here() && self.audit.found.is_none() && unused {
            self.audit.found = Some(self.counters(snapshot));
        }
    }

    /// Bytes passed in a call.
    pub(super) fn counted(&mut self, direction: Direction, bytes: u64, info: &CallInfo) {
        let slack_ns = if info.commit().flags & FLAG_COARSE != 0 { COARSE_NS } else { 0 };
        let (start_ns, end_ns) = (info.start_ns.saturating_sub(slack_ns), info.end_ns.saturating_add(slack_ns));
        let transfer = Transfer { direction, bytes, start_ns, end_ns, thread: (info.process, info.tid) };
        // Calls come in the order in which they began, so no later one begins before this one.
        self.audit.remember(transfer, info.start_ns);
        if let Some(last) = &mut self.audit.last {
            last.add(transfer);
        }
    }

    /// Its counters cannot be compared any more.
    pub(super) fn incomparable(&mut self) {
        self.audit.incomparable = true;
    }

    /// What had passed before it was first seen: sent, received.
    pub fn before_found(&self) -> Option<(u64, u64)> {
        let found = self.audit.found?;
        let before = (found.written?.most, found.read?.least);
        (before != (0, 0)).then_some(before)
    }

    fn born_here(&self) -> bool {
        self.phases.create.is_some() || self.listener.is_some()
    }

    fn counters(&self, snapshot: &TcpSnapshot) -> Counters {
        Counters::of(snapshot, self.fin_queued(snapshot), self.fin_arrived(snapshot))
    }

    /// Whether our FIN is the last of the bytes to be sent, if there are any.
    fn fin_queued(&self, snapshot: &TcpSnapshot) -> Option<bool> {
        match snapshot.state()? {
            tcp::FIN_WAIT1 | tcp::LAST_ACK | tcp::CLOSING => Some(true),
            tcp::CLOSE if self.evidence.half_close_ns.is_some() => None,
            _ => Some(false),
        }
    }

    /// Whether the peer's FIN is among the bytes that the kernel has counted as received. Not known
    /// where both directions ended, by a reset or in order.
    fn fin_arrived(&self, snapshot: &TcpSnapshot) -> Option<bool> {
        match snapshot.state()? {
            tcp::CLOSE_WAIT | tcp::LAST_ACK | tcp::CLOSING | tcp::TIME_WAIT => Some(true),
            tcp::CLOSE => match (self.evidence.eof_ns, self.evidence.reset) {
                // A reset that comes first takes the place of the end of file.
                (_, Some((reset_ns, ECONNRESET))) if self.evidence.eof_ns.is_none_or(|ns| ns > reset_ns) => Some(false),
                (Some(_), _) => Some(true),
                _ => None,
            },
            _ => Some(false),
        }
    }

    fn unseen(&self, direction: Direction, complete: bool) -> Option<Unseen> {
        let comparable = !self.audit.incomparable && matches!(self.protocol, 0 | TCP) && self.role != Role::Listener;
        let last = self.audit.last.filter(|_| comparable)?;
        let zero = Some(Range::default());
        let born = Counters { written: zero, read: zero };
        let found = if self.born_here() { born } else { self.audit.found? };
        let counters = last.counters.since(found);
        let (counted, seen) = match direction {
            Direction::Sent => (counters.written?, last.sent),
            Direction::Received => (counters.read?, last.received),
        };
        let (least, most) = (counted.least.saturating_sub(seen.most), counted.most.saturating_sub(seen.least));
        // A call that never came back may have been the one that carried them.
        let carries = |op: Op| op == Op::Splice || op.direction() == Some(direction);
        let in_flight = self.in_progress.iter().any(|call| call.start_ns < last.end_ns && call.op.is_none_or(carries));
        match least {
            0 => Some(Unseen { bytes: 0, exact: most == 0 }),
            _ if !complete || in_flight => None,
            _ => Some(Unseen { bytes: least, exact: least == most }),
        }
    }
}

impl Model {
    /// A process ends without closing the socket.
    pub(super) fn left(&mut self, info: &LeftInfo) {
        let id = self.by_socket.get(&info.left.socket);
        let Some(conn) = id.and_then(|id| self.connections.get_mut(*id)) else { return };
        let (op, time_ns) = (Op::UnderExit, info.time_ns);
        let TcpState { unread_bytes, unsent_bytes } = info.state;
        conn.facts.left |= conn.holders.first().is_some_and(|first| first.process == info.process);
        let snapshot = TcpSnapshot { op, time_ns, unread_bytes, unsent_bytes, info: info.info.clone() };
        conn.compare_with(conn.counters(&snapshot), (time_ns, time_ns), (info.process, info.tid));
        conn.tcp_first.get_or_insert_with(|| snapshot.clone());
        conn.tcp_last = Some(snapshot);
    }

    /// The bytes that passed around us on a TCP connection, up to the last time that the kernel was
    /// asked. `None`: it was not, or what it said cannot be compared with what we saw.
    pub fn unseen(&self, connection: &Connection, direction: Direction) -> Option<Unseen> {
        if matches!(connection.connect, Connect::Failed(_)) || connection.is_misled() {
            return None;
        }
        connection.unseen(direction, self.lost == 0 && self.left_out == 0 && !self.forgot)
    }
}
