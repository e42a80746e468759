//! What the calls on a connection show besides bytes and phases: options, silences, and habits that
//! [`super::Lint`]s are made of.
//!
//! All of it is counted as the calls pass, a few comparisons each. No transfer of bytes allocates or looks anything up;
//! what is rare may: a mishap has a box of its own, and a close is remembered with its process.

use super::Model;
use super::connection::{ConnId, Connection, Span};
use super::errno::{EAGAIN, EPIPE};
use crate::event::CallInfo;
use sockshim_format::op::{Direction, Op};
use sockshim_format::record::*;

/// Socket options, as `Call::arg` has them: level in the high half. SOL_SOCKET is 1, IPPROTO_TCP is 6.
const SO_REUSEADDR: u32 = 1 << 16 | 2;
const SO_SNDBUF: u32 = 1 << 16 | 7;
const SO_RCVBUF: u32 = 1 << 16 | 8;
const SO_KEEPALIVE: u32 = 1 << 16 | 9;
const TCP_NODELAY: u32 = 6 << 16 | 1;
const TCP_CORK: u32 = 6 << 16 | 3;
/// F_SETFL; O_NONBLOCK, which SOCK_NONBLOCK equals.
const SETFL: u32 = 4;
const NONBLOCK: u64 = 0o4000;
const MSG_MORE: u32 = 0x8000;
/// Calls that would block, each so soon after the last, and each so short, are a loop that does not wait:
/// one that waits in between, or in the call (SO_RCVTIMEO), takes longer.
const LOOP_PAUSE_NS: u64 = 100_000;
const LOOP_CALL_NS: u64 = 1_000_000;
/// What a delayed acknowledgement takes on Linux (TCP_DELACK_MIN), with a tick, and a wakeup on a busy machine.
const DELAYED_ACK_NS: std::ops::RangeInclusive<u64> = 38_000_000..=55_000_000;
/// What fits into one segment of Ethernet: Nagle's algorithm holds back no full segments.
const SEGMENT_BYTES: u64 = 1448;
/// How long a program may take between two writes of one message.
const PIECES_NS: u64 = 5_000_000;

/// Options that a program set, on the socket or on the listener that gave it. What it did not set is the system's
/// default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// TCP_NODELAY.
    pub no_delay: bool,
    /// SO_REUSEADDR.
    pub reuse_address: bool,
    /// SO_KEEPALIVE.
    pub keep_alive: bool,
    /// O_NONBLOCK, by `fcntl`, `socket` or `accept4`. What FIONBIO stores is not on record.
    pub non_blocking: bool,
    /// SO_SNDBUF, as asked for.
    pub send_buffer: Option<u32>,
    /// SO_RCVBUF, as asked for.
    pub receive_buffer: Option<u32>,
}

/// Where a call was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// What was called, by its base name.
    pub op: Op,
    /// The process, by its number.
    pub process: u32,
    /// The thread.
    pub tid: u32,
    /// The descriptor that the call was about, or gave.
    pub fd: i32,
    /// When it began.
    pub time_ns: u64,
}

impl Place {
    pub(super) fn of(op: Op, info: &CallInfo, fd: i32) -> Place {
        Place { op, process: info.process, tid: info.tid, fd, time_ns: info.start_ns }
    }
}

/// Calls in a row that would have blocked, with no pause in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streak {
    /// How many.
    pub calls: u64,
    /// When the first began.
    pub start_ns: u64,
    /// When the last ended.
    pub end_ns: u64,
}

/// A thread closed a number that it had closed before, when it named something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignClose {
    /// The close.
    pub close: Place,
    /// The connection that the number named when the thread closed it before.
    pub meant: ConnId,
    /// Whether another thread went on using the connection.
    pub missed: bool,
}

/// What the calls on few connections show. Most have none of it, and need no room for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mishaps {
    /// Bytes that a partial write left over, and that were never written after it.
    pub cut_off: Option<u64>,
    /// Writes that met EPIPE.
    pub broken_pipes: u64,
    /// How often it was closed under a number that named nothing any more.
    pub closed_again: u64,
    /// Other calls under such a number, and the first of them.
    pub used_after_close: (u64, Option<Place>),
    /// Its number was closed by a thread that meant another.
    pub foreign_close: Option<ForeignClose>,
    /// A program that was executed with it in hand and never used it, by its process's number.
    pub leaked_into: Option<u32>,
}

/// What the calls on a connection showed.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// What the program set.
    pub options: Options,
    /// The call that made it.
    pub made: Option<Place>,
    /// When the first write that carried bytes began, and the last one.
    pub sent_ns: Option<(u64, u64)>,
    /// The most calls in a row that would have blocked and did not wait.
    pub busiest: Streak,
    /// Reads that asked for one byte, and got it.
    pub single_bytes: u64,
    /// Answers that came about 40 ms after the second of two small writes, and how long they took together.
    pub delayed: (u64, u64),
    /// Whether a `bind` succeeded.
    pub bound: bool,
    /// The address that the last `bind` was refused, as raw bytes, while none has succeeded.
    pub refused: Option<Box<[u8]>>,
    /// How many clients of a listener were kept waiting after they had connected, before the program asked for them,
    /// and for how long the longest.
    pub queued: (u64, u64),
    /// How many a listener lets wait, as it was told.
    pub backlog: i32,
    /// The listener that had that address.
    pub(super) in_the_way: Option<ConnId>,
    /// Whether the process that made it ended in order, and had not closed it.
    pub left: bool,
    /// How many others to the same peer its process left too, if a later one took its place and there are enough for
    /// a habit.
    pub abandoned: u64,
    /// Whether exec closed it, because it was marked so.
    pub closed_by_exec: bool,
    mishaps: Option<Box<Mishaps>>,
    /// The streak that goes on now.
    again: Streak,
    /// When bytes passed last.
    moved_ns: u64,
    /// The longest silence, and its end.
    silence_ns: u64,
    silence_end_ns: u64,
    /// Small writes since the last read, and when the last of them returned.
    pieces: u32,
    pieces_ns: u64,
    /// The program has shut down its reading direction.
    pub(super) reads_no_more: bool,
    /// TCP_CORK is on.
    corked: bool,
    /// What a partial write left over.
    rest: u64,
    /// Threads that made calls on it: a bit per thread, which several may share.
    threads: u64,
}

impl Facts {
    /// What went wrong.
    pub fn mishaps(&self) -> Mishaps {
        self.mishaps.as_deref().copied().unwrap_or_default()
    }

    pub(super) fn mishap(&mut self) -> &mut Mishaps {
        self.mishaps.get_or_insert_default()
    }

    /// Bytes passed, or none did. `rest` is what a write was given and did not take.
    #[inline]
    pub(super) fn transfer(&mut self, direction: Direction, bytes: u64, rest: u64, info: &CallInfo) {
        if direction == Direction::Sent {
            self.rest = rest;
        }
        if bytes == 0 {
            return self.nothing(direction, info);
        }
        self.again.calls = 0;
        // Bytes that are sent pass during the call, those that are received at its end.
        let from_ns = if direction == Direction::Sent { info.start_ns } else { info.end_ns };
        let gap_ns = from_ns.saturating_sub(self.moved_ns);
        if gap_ns > self.silence_ns && self.moved_ns != 0 {
            (self.silence_ns, self.silence_end_ns) = (gap_ns, from_ns);
        }
        self.moved_ns = self.moved_ns.max(info.end_ns);
        match direction {
            Direction::Sent => {
                self.sent_ns.get_or_insert((from_ns, from_ns)).1 = from_ns;
                self.wrote(bytes, info);
            }
            Direction::Received => {
                self.single_bytes += u64::from(bytes == 1 && info.call.size == 1);
                if self.pieces >= 2 {
                    self.answered(info);
                }
                self.pieces = 0;
            }
        }
    }

    /// The longest time for which no bytes passed, between the first and the last.
    pub fn silence(&self) -> Option<Span> {
        let (start_ns, end_ns) = (self.silence_end_ns.saturating_sub(self.silence_ns), self.silence_end_ns);
        (self.silence_ns > 0).then_some(Span { start_ns, end_ns })
    }

    fn nothing(&mut self, direction: Direction, info: &CallInfo) {
        match info.call.errno {
            EAGAIN => self.would_block(info),
            EPIPE if direction == Direction::Sent => self.mishap().broken_pipes += 1,
            _ => {}
        }
    }

    fn would_block(&mut self, info: &CallInfo) {
        let soon = info.start_ns.saturating_sub(self.again.end_ns) < LOOP_PAUSE_NS;
        if info.duration_ns() > LOOP_CALL_NS {
            self.again = Streak::default();
            return;
        }
        if self.again.calls == 0 || !soon {
            self.again = Streak { calls: 0, start_ns: info.start_ns, end_ns: info.end_ns };
        }
        self.again.calls += 1;
        self.again.end_ns = info.end_ns;
        if self.again.calls > self.busiest.calls {
            self.busiest = self.again;
        }
    }

    #[inline]
    fn wrote(&mut self, bytes: u64, info: &CallInfo) {
        // It waits for the rest of the message in the kernel: together they are one piece.
        if self.corked || has_more(info) {
            return;
        }
        let goes_on = info.start_ns.saturating_sub(self.pieces_ns) < PIECES_NS;
        self.pieces = if bytes >= SEGMENT_BYTES {
            0
        } else if goes_on {
            self.pieces.saturating_add(1)
        } else {
            1
        };
        self.pieces_ns = info.end_ns;
    }

    #[cold]
    fn answered(&mut self, info: &CallInfo) {
        let took_ns = info.end_ns.saturating_sub(self.pieces_ns);
        if !self.options.no_delay && DELAYED_ACK_NS.contains(&took_ns) {
            self.delayed.0 += 1;
            self.delayed.1 = self.delayed.1.saturating_add(took_ns);
        }
    }

    /// The program ends its direction. What it had still to write is not going to be.
    pub(super) fn write_side_over(&mut self, peer_is_there: bool) {
        if self.rest > 0 && peer_is_there {
            self.mishap().cut_off = Some(self.rest);
        }
        self.rest = 0;
    }

    /// The call sets an option, or says what kind of socket is made.
    pub(super) fn note_option(&mut self, op: Op, info: &CallInfo) {
        let Call { arg, size, ret, .. } = info.call;
        if ret < 0 {
            return;
        }
        let options = &mut self.options;
        let value = || {
            let value = info.bodies(KIND_OPTION, 0).next().and_then(|value| value.get(..4)?.try_into().ok());
            value.map(u32::from_ne_bytes)
        };
        match (op, arg) {
            (Op::Setsockopt, TCP_NODELAY) => options.no_delay = value().is_none_or(|value| value != 0),
            (Op::Setsockopt, TCP_CORK) => self.corked = value().is_none_or(|value| value != 0),
            (Op::Setsockopt, SO_REUSEADDR) => options.reuse_address = value().is_none_or(|value| value != 0),
            (Op::Setsockopt, SO_KEEPALIVE) => options.keep_alive = value().is_none_or(|value| value != 0),
            (Op::Setsockopt, SO_SNDBUF) => options.send_buffer = value(),
            (Op::Setsockopt, SO_RCVBUF) => options.receive_buffer = value(),
            (Op::Fcntl, SETFL) => options.non_blocking = size & NONBLOCK != 0,
            (Op::Socket | Op::Socketpair, _) => options.non_blocking = size & NONBLOCK != 0,
            (Op::Accept4, flags) => options.non_blocking = u64::from(flags) & NONBLOCK != 0,
            _ => {}
        }
    }

    /// The call made it.
    pub(super) fn made(&mut self, op: Op, info: &CallInfo, fd: i32) {
        self.made.get_or_insert(Place::of(op, info, fd));
        self.note_option(op, info);
        self.touched(info.tid);
    }

    /// The thread made a call on it.
    pub(super) fn touched(&mut self, tid: u32) {
        self.threads |= thread_bit(tid);
    }
}

/// What a write was given and did not take, as far as records say how much it was given.
#[inline]
pub(super) fn left_over(op: Op, bytes: u64, info: &CallInfo) -> u64 {
    if bytes >= info.call.size || bytes == 0 {
        return 0;
    }
    let sized = matches!(op, Op::Write | Op::Send | Op::Sendto);
    if sized && info.is_done() && info.call.errno == 0 { info.call.size - bytes } else { 0 }
}

/// Whether the call said that more follows. Of other operations `arg` is something else.
#[inline]
fn has_more(info: &CallInfo) -> bool {
    info.call.arg & MSG_MORE != 0
        && matches!(info.op().map(Op::base), Some(Op::Send | Op::Sendto | Op::Sendmsg | Op::Sendmmsg))
}

fn thread_bit(tid: u32) -> u64 {
    1 << (tid & 63)
}

impl Connection {
    /// Time that the program spent waiting for this connection: blocked in its own calls, and in waits that
    /// it ended.
    pub fn waited_ns(&self) -> u64 {
        let own = self.sent.time_ns.saturating_add(self.received.time_ns);
        own.saturating_add(self.wait_ns)
    }
}

impl Model {
    /// A call under a number that named the connection, and names nothing any more.
    pub(super) fn used_after_close(&mut self, id: ConnId, op: Op, info: &CallInfo) {
        if !op.names_descriptor() || self.held(info.process, info.call.fd).is_some() {
            return;
        }
        let Some(mishaps) = self.connections.get_mut(id).map(|conn| conn.facts.mishap()) else { return };
        if matches!(op, Op::Close | Op::Fclose) {
            mishaps.closed_again += 1;
            return;
        }
        mishaps.used_after_close.0 += 1;
        mishaps.used_after_close.1.get_or_insert(Place::of(op, info, info.call.fd));
        if let Some(foreign) = mishaps.foreign_close.as_mut() {
            foreign.missed |= foreign.close.tid != info.tid;
        }
    }

    /// A number was closed: by a thread that has nothing to do with the connection, and had closed the same
    /// number before, when it named another?
    pub(super) fn closed_by(&mut self, id: ConnId, info: &CallInfo) {
        let (fd, tid) = (info.call.fd, info.tid);
        let before = self.process_mut(info).closed.insert(fd, (tid, id));
        let Some(facts) = self.connections.get_mut(id).map(|conn| &mut conn.facts) else { return };
        let stranger = facts.made.is_some() && facts.threads & thread_bit(tid) == 0;
        if let Some((_, meant)) = before.filter(|(closer, meant)| stranger && *closer == tid && *meant != id) {
            let close = Place::of(Op::Close, info, fd);
            facts.mishap().foreign_close = Some(ForeignClose { close, meant, missed: false });
        }
    }
}
