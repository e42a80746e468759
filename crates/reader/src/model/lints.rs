//! Habits that cost time or bytes, each with the fact that shows it and a remedy.
//!
//! A lint that is wrong once is not believed again: each asks for more evidence than one call.

use super::Model;
use super::connection::{ConnId, Connection, Role};
use super::errno::EADDRINUSE;
use super::facts::Streak;
use super::words::count as counted;
use sockshim_format::address::Address;
use sockshim_format::line::Duration;
use sockshim_format::op::Op;

const TCP: i32 = 6;
/// Calls that would block, in a row and without a pause, that make a busy loop.
const BUSY_CALLS: u64 = 100;
/// Reads of one byte that make a habit, when they are most of the reads.
const SINGLE_BYTES: u64 = 16;
/// Late answers that are no coincidence.
const DELAYED: u64 = 3;
/// Clients kept waiting that make a queue.
const QUEUED: u64 = 3;

/// Which habit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LintKind {
    /// A descriptor that was never closed, though the program went on without it and ended in order.
    DescriptorLeak,
    /// A thread closed a number that named another's connection by then.
    ForeignClose,
    /// A number was closed again, or used, after it had been closed.
    UsedAfterClose,
    /// Calls that would block, again and again without waiting.
    BusyLoop,
    /// Bytes are read one by one.
    SingleBytes,
    /// Nagle's algorithm waits for a delayed acknowledgement.
    DelayedAck,
    /// What a partial write left over was never written.
    PartialWrite,
    /// Bytes were written after the peer had closed.
    BrokenPipe,
    /// A program was executed with the descriptor in hand, and never used it.
    LeakedByExec,
    /// `bind` met EADDRINUSE, without SO_REUSEADDR.
    AddressInUse,
    /// Clients that had connected waited long until they were accepted.
    AcceptQueue,
}

impl LintKind {
    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            LintKind::DescriptorLeak => "descriptor leak",
            LintKind::ForeignClose => "close of a foreign number",
            LintKind::UsedAfterClose => "use after close",
            LintKind::BusyLoop => "busy loop",
            LintKind::SingleBytes => "one-byte reads",
            LintKind::DelayedAck => "40 ms delay",
            LintKind::PartialWrite => "ignored partial write",
            LintKind::BrokenPipe => "write after close",
            LintKind::LeakedByExec => "leaked by exec",
            LintKind::AddressInUse => "address in use",
            LintKind::AcceptQueue => "accept queue",
        }
    }

    /// What to do about it.
    pub const fn remedy(self) -> &'static str {
        match self {
            LintKind::DescriptorLeak => "close it when the exchange is over",
            LintKind::ForeignClose => "close a descriptor once, and forget its number in the same place",
            LintKind::UsedAfterClose => "forget the number where it is closed: soon it may name another file",
            LintKind::BusyLoop => "wait with poll or epoll until it is ready, or let the call block",
            LintKind::SingleBytes => "read into a buffer, and take the bytes from there",
            LintKind::DelayedAck => "write a message in one piece (writev, MSG_MORE), or set TCP_NODELAY",
            LintKind::PartialWrite => "write the rest: a write may take fewer bytes than it is given",
            LintKind::BrokenPipe => "stop writing when the peer has closed; MSG_NOSIGNAL keeps SIGPIPE away",
            LintKind::LeakedByExec => "create it with SOCK_CLOEXEC",
            LintKind::AddressInUse => "set SO_REUSEADDR before bind, or find who has it: ss -tlnp",
            LintKind::AcceptQueue => {
                "accept until EAGAIN before other work, or in more threads; the backlog only lengthens the queue"
            }
        }
    }
}

/// A habit of a program on one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    /// Which.
    pub kind: LintKind,
    /// What shows it.
    pub fact: String,
}

impl Model {
    /// The habits that the calls on a connection show. Times are told since `zero_ns`.
    pub fn lints(&self, connection: &Connection, zero_ns: u64) -> Vec<Lint> {
        let facts = [
            (LintKind::DescriptorLeak, self.descriptor_leak(connection, zero_ns)),
            (LintKind::ForeignClose, self.foreign_close(connection)),
            (LintKind::UsedAfterClose, used_after_close(connection)),
            (LintKind::BusyLoop, busy_loop(connection)),
            (LintKind::SingleBytes, single_bytes(connection)),
            (LintKind::DelayedAck, self.delayed_ack(connection)),
            (LintKind::PartialWrite, partial_write(connection)),
            (LintKind::BrokenPipe, self.broken_pipe(connection)),
            (LintKind::LeakedByExec, self.leaked_by_exec(connection)),
            (LintKind::AddressInUse, self.address_in_use(connection)),
            (LintKind::AcceptQueue, accept_queue(connection)),
        ];
        facts.into_iter().filter_map(|(kind, fact)| Some(Lint { kind, fact: fact? })).collect()
    }

    /// The kernel closes what a killed program leaves behind. That the process ended in order is known
    /// where the shim told of the TCP sockets that it left. One that is held to the end may be held on purpose.
    fn descriptor_leak(&self, connection: &Connection, zero_ns: u64) -> Option<String> {
        let place = connection.facts.made.filter(|_| connection.is_left())?;
        let made = self.made(place, zero_ns);
        if connection.facts.abandoned > 0 {
            let others = counted(connection.facts.abandoned, "other");
            return Some(format!("{made}, never closed; another to the same peer took its place, as with {others}"));
        }
        // A program that ends with its last exchange has forgotten nothing.
        let went_on = self.process(place.process)?.last_socket_ns > connection.seen?.end_ns;
        (went_on && connection.evidence.eof_ns.is_some())
            .then(|| format!("{made}, never closed though the peer had, and the program went on to other sockets"))
    }

    fn foreign_close(&self, connection: &Connection) -> Option<String> {
        let foreign = connection.facts.mishaps().foreign_close.filter(|foreign| foreign.missed)?;
        let (tid, fd) = (foreign.close.tid, foreign.close.fd);
        let meant = foreign.meant + 1;
        Some(format!(
            "thread {tid} had closed {fd} as #{meant} before, closed it again when it named this one, and another \
             thread missed it"
        ))
    }

    fn leaked_by_exec(&self, connection: &Connection) -> Option<String> {
        connection.facts.made?;
        let into = self.process(connection.facts.mishaps().leaked_into?)?;
        Some(format!("{}[{}] was executed with it in hand and never used it", into.name, into.pid))
    }

    fn delayed_ack(&self, connection: &Connection) -> Option<String> {
        // What was set before we saw the socket, or the listener that gave it, is not known.
        let known = connection.facts.made.is_some() && (connection.listener.is_none() || connection.listener_known);
        let tcp = matches!(connection.domain, 2 | 10) && matches!(connection.protocol, 0 | TCP);
        let (count, took_ns) = connection.facts.delayed;
        (known && tcp && count >= DELAYED).then(|| {
            let mean = Duration(took_ns / count);
            format!("{count} answers to messages written in pieces took {mean} each, and TCP_NODELAY was not set")
        })
    }

    fn broken_pipe(&self, connection: &Connection) -> Option<String> {
        let count = connection.facts.mishaps().broken_pipes;
        // EPIPE is also what writes meet that come after our own shutdown, or before a connect.
        let theirs = connection.is_connected() && connection.evidence.half_close_ns.is_none();
        let why = if self.reads_no_more(connection) { "the peer reads no more" } else { "the peer had closed" };
        (theirs && count > 0).then(|| format!("{} met EPIPE: {why}", counted(count, "write")))
    }

    fn address_in_use(&self, connection: &Connection) -> Option<String> {
        let (errno, _) = connection.errors.get(&Op::Bind)?;
        if *errno != EADDRINUSE || connection.facts.options.reuse_address || connection.kind == 2 {
            return None;
        }
        let refused = connection.facts.refused.as_deref()?;
        let address = if refused.is_empty() { String::new() } else { format!(" to {}", Address(refused)) };
        let taken = connection.facts.in_the_way;
        let by = taken.map_or(String::new(), |other| format!(", where #{} of this trace listens", other + 1));
        Some(format!("bind{address} met EADDRINUSE without SO_REUSEADDR{by}"))
    }

    /// Finds the listeners that others were refused an address for. They are over sooner than those, maybe.
    pub(super) fn find_who_was_in_the_way(&mut self) {
        let unfinished = || self.by_socket.values().filter_map(|id| self.connections.get(*id));
        let refused = unfinished().filter(|conn| conn.facts.in_the_way.is_none());
        let refused = refused.filter_map(|conn| Some((conn, conn.facts.refused.as_deref()?)));
        let found = refused.filter_map(|(conn, address)| {
            // A socket that listens there now is not overcome by SO_REUSEADDR.
            let there = |other: &&Connection| {
                other.role == Role::Listener && other.id != conn.id && same_place(&other.local, address)
            };
            let first = unfinished().filter(there).filter(|other| overlap(other, conn)).map(|other| other.id).min();
            Some((conn.id, first?))
        });
        for (id, listener) in found.collect::<Vec<(ConnId, ConnId)>>() {
            if let Some(conn) = self.connections.get_mut(id) {
                conn.facts.in_the_way = Some(listener);
            }
        }
    }
}

fn same_place(a: &[u8], b: &[u8]) -> bool {
    Address(a).port().is_some() && Address(a).port() == Address(b).port()
}

fn overlap(a: &Connection, b: &Connection) -> bool {
    a.seen.zip(b.seen).is_some_and(|(a, b)| a.start_ns <= b.end_ns && b.start_ns <= a.end_ns)
}

fn used_after_close(connection: &Connection) -> Option<String> {
    let facts = connection.facts.mishaps();
    // Told with the thread that closed it.
    if facts.foreign_close.is_some_and(|foreign| foreign.missed) {
        return None;
    }
    match (facts.closed_again, facts.used_after_close) {
        (0, (0, _)) => None,
        (_, (count, Some(place))) => {
            let (name, tid) = (place.op.name(), place.tid);
            Some(format!("{name}() in thread {tid}, the first of {}, gave EBADF", counted(count, "such call")))
        }
        (again, _) => Some(format!("close() gave EBADF, {}", counted(again, "time"))),
    }
}

fn accept_queue(connection: &Connection) -> Option<String> {
    let (count, longest_ns) = connection.facts.queued;
    let (longest, backlog) = (Duration(longest_ns), connection.facts.backlog);
    (count >= QUEUED).then(|| {
        format!(
            "{count} clients had connected at least 100 ms before accept was called, one {longest}; backlog {backlog}"
        )
    })
}

fn busy_loop(connection: &Connection) -> Option<String> {
    let Streak { calls, start_ns, end_ns } = connection.facts.busiest;
    let took = Duration(end_ns.saturating_sub(start_ns));
    (calls >= BUSY_CALLS).then(|| format!("{calls} calls in a row gave EAGAIN within {took}, without a wait"))
}

fn single_bytes(connection: &Connection) -> Option<String> {
    let received = &connection.received;
    let (single, calls) = (connection.facts.single_bytes, received.calls.saturating_sub(received.again));
    (single >= SINGLE_BYTES && single.saturating_mul(2) >= calls)
        .then(|| format!("{single} of {calls} reads asked for a single byte"))
}

fn partial_write(connection: &Connection) -> Option<String> {
    let left = connection.facts.mishaps().cut_off?;
    Some(format!("the last write left {} over, and nothing was written after it", counted(left, "byte")))
}
