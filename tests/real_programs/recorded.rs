//! A trace, read again: its calls, its connections, and what must hold for every trace.

use crate::harness::Outcome;
use sockshim_format::op::{Direction, Op};
use sockshim_format::record::FLAG_PEEK;
use sockshim_reader::event::ProcessInfo;
use sockshim_reader::model::{Connect, Connection, Ending, FirstToClose, Role};
use sockshim_reader::order::Events;
use sockshim_reader::{CallInfo, Event, Model, Tail, Trace};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

/// Clocks and schedulers disagree by this much.
const SLACK_NS: u64 = 5_000_000;

pub struct Recorded {
    /// Calls that are over, in order of time.
    pub calls: Vec<CallInfo>,
    pub processes: Vec<ProcessInfo>,
    pub model: Model,
    /// Calls that were never told to be over.
    pub unfinished: Vec<CallInfo>,
    tail: Tail,
    text: String,
}

impl Recorded {
    /// The trace of a run by the tool.
    #[track_caller]
    pub fn of(outcome: &Outcome) -> Recorded {
        let recorded = Recorded::of_stdio(outcome);
        recorded.all_was_seen();
        recorded
    }

    /// The same, of a program that uses connections through stdio.
    #[track_caller]
    pub fn of_stdio(outcome: &Outcome) -> Recorded {
        let recorded = Recorded::read(&outcome.trace, outcome);
        let Tail::Ended(end) = recorded.tail else { panic!("{}: not ended: {:?}", recorded.text, recorded.tail) };
        assert_eq!((end.lost, end.lost_extensions), (0, 0), "{}: calls were lost", recorded.text);
        // The tool ends by the signal that ended the program, so that both have the same status.
        assert_eq!(end.wait_status, outcome.status.into_raw(), "{}: another status", recorded.text);
        let introduced = recorded.processes.len() as u32;
        assert_eq!(end.processes, introduced, "{}: processes that did not introduce themselves", recorded.text);
        recorded
    }

    /// The region file of a preloaded run.
    #[track_caller]
    pub fn of_region(outcome: &Outcome) -> Recorded {
        let recorded = Recorded::read(&outcome.trace, outcome);
        assert!(matches!(recorded.tail, Tail::Region { .. }), "{}: {:?}", recorded.text, recorded.tail);
        recorded.all_was_seen();
        recorded
    }

    #[track_caller]
    fn read(file: &Path, outcome: &Outcome) -> Recorded {
        let text = format!("{} {:?}, {}", outcome.name, outcome.mode, file.display());
        let mut events = Events::new(Trace::open(file).unwrap_or_else(|e| panic!("{text}: {e}")));
        let (mut model, mut calls, mut processes, mut unfinished) =
            (Model::new(), vec![], vec![], Vec::<CallInfo>::new());
        for event in events.by_ref() {
            let event = event.unwrap_or_else(|e| panic!("{text}: {e}"));
            model.feed(&event);
            match event {
                Event::Call(call) => {
                    unfinished.retain(|c| (c.process, c.tid, c.call.seq) != (call.process, call.tid, call.call.seq));
                    calls.push(call);
                }
                Event::Entered(call) => unfinished.push(call),
                Event::Process(process) => processes.push(process),
                Event::Lost { .. } | Event::Mark(_) | Event::Left(_) | Event::Earlier(_) => {}
            }
        }
        let tail = events.trace().tail();
        assert_eq!(events.trace().damaged_bytes(), 0, "{text}: damaged");
        model.finish(matches!(tail, Tail::Ended(_)));
        let recorded = Recorded { calls, processes, model, unfinished, tail, text };
        recorded.is_sane(outcome);
        recorded
    }

    /// What holds for every trace.
    #[track_caller]
    fn is_sane(&self, outcome: &Outcome) {
        let text = &self.text;
        let within = |ns: u64| (outcome.began_ns - SLACK_NS..=outcome.ended_ns + SLACK_NS).contains(&ns);
        for call in &self.calls {
            assert!(call.op().is_some(), "{text}: an unknown operation: {call:?}");
            let right = within(call.start_ns) && within(call.end_ns) && call.start_ns <= call.end_ns;
            assert!(right, "{text}: not in {}..{}: {call:?}", outcome.began_ns, outcome.ended_ns);
            assert!(call.call.errno == 0 || call.call.ret != 0, "{text}: errno of a call that succeeded: {call:?}");
            if let Some((_, payload)) = call.payload() {
                let looked = call.commit().flags & FLAG_PEEK != 0;
                let bytes = if looked { call.call.ret.max(0) as u64 } else { call.bytes().map_or(0, |(_, n)| n) };
                assert!(payload.len() as u64 <= bytes, "{text}: more payload than bytes: {call:?}");
            }
        }
        for connection in self.model.connections() {
            let holder = connection.holders.first().expect("a connection is somebody's");
            assert!(holder.pid > 0 && !holder.name.is_empty(), "{text}: nobody's: {connection:?}");
            assert!(connection.in_progress.len() <= self.unfinished.len(), "{text}: {connection:?}");
            if let Some(other) = connection.other_end.and_then(|id| self.model.connection(id)) {
                assert_eq!(other.other_end, Some(connection.id), "{text}: a pipe with one end: {connection:?}");
                // Nobody receives what the other end has not sent. But a send may have been in flight when
                // its process was killed; and a descriptor that was received behind a filter is one of
                // which nobody can tell what it is.
                let unknown = other.passed > 0 || connection.passed > 0 || !other.in_progress.is_empty();
                let (sent, received) = (other.sent.bytes, connection.received.bytes);
                assert!(unknown || received <= sent, "{text}: {received} of {sent} bytes arrived: {connection:?}");
            }
        }
    }

    /// Of every TCP connection that the kernel was asked about, it has counted no bytes that no call carried.
    #[track_caller]
    fn all_was_seen(&self) {
        let asked = |c: &&&Connection| c.tcp_last.is_some() && c.connect == Connect::Done;
        for connection in [Role::Active, Role::Passive].iter().flat_map(|role| self.tcp(*role)).filter(|c| asked(&c)) {
            for direction in [Direction::Sent, Direction::Received] {
                let unseen = self.model.unseen(connection, direction).map(|unseen| unseen.bytes);
                assert_eq!(unseen, Some(0), "{}: passed around us, {direction:?}: {connection:?}", self.text);
            }
        }
    }

    /// TCP connections in a role.
    pub fn tcp(&self, role: Role) -> Vec<&Connection> {
        let tcp = |c: &&Connection| matches!(c.domain, libc::AF_INET | libc::AF_INET6) && c.kind == libc::SOCK_STREAM;
        self.model.connections().filter(tcp).filter(|c| c.role == role).collect()
    }

    /// Connections in a role over sockets with a path.
    pub fn unix(&self, role: Role) -> Vec<&Connection> {
        self.model.connections().filter(|c| c.domain == libc::AF_UNIX && c.role == role).collect()
    }

    /// The only one there may be.
    #[track_caller]
    pub fn only<'a>(&self, connections: &[&'a Connection]) -> &'a Connection {
        let [connection] = connections else { panic!("{}: not one: {connections:#?}", self.text) };
        connection
    }

    /// All the payload of a connection in one direction. Only for calls that carry less each than
    /// what is kept of them.
    #[track_caller]
    pub fn payload(&self, connection: &Connection, direction: Direction) -> Vec<u8> {
        let mut all = Vec::new();
        for call in self.calls.iter().filter(|call| call.call.socket == connection.socket) {
            let bytes = call.bytes().filter(|(way, bytes)| *way == direction && *bytes > 0);
            let Some((_, bytes)) = bytes else { continue };
            let (way, payload) = call.payload().unwrap_or_else(|| panic!("{}: no payload: {call:?}", self.text));
            assert_eq!((way, payload.len() as u64), (direction, bytes), "{}: {call:?}", self.text);
            all.extend_from_slice(payload);
        }
        all
    }

    /// The calls of an operation that succeeded.
    pub fn succeeded(&self, op: Op) -> impl Iterator<Item = &CallInfo> {
        self.calls.iter().filter(move |call| call.op().map(Op::base) == Some(op) && call.call.ret >= 0)
    }
}

/// Sent and received bytes of several connections.
pub fn totals(connections: &[&Connection]) -> (u64, u64) {
    let sum = |of: fn(&Connection) -> u64| connections.iter().map(|c| of(c)).sum();
    (sum(|c| c.sent.bytes), sum(|c| c.received.bytes))
}

/// The ports of a connection: its own, its peer's.
#[track_caller]
pub fn ports(connection: &Connection) -> (u16, u16) {
    let local = connection.local_address().and_then(|a| a.port());
    let peer = connection.peer_address().and_then(|a| a.port());
    local.zip(peer).unwrap_or_else(|| panic!("an address is missing: {connection:?}"))
}

/// Asserts that the phases of a connection follow each other, and that it was opened and closed.
#[track_caller]
pub fn lived(connection: &Connection) {
    assert_eq!(connection.connect, Connect::Done, "{connection:?}");
    assert!(matches!(connection.ending, Ending::Closed(_)), "{connection:?}");
    let phases = &connection.phases;
    let (connect, disconnect) =
        (phases.connect.expect("a connect phase"), phases.disconnect.expect("a disconnect phase"));
    if let Some(create) = phases.create {
        assert!(create.end_ns <= connect.start_ns, "{connection:?}");
    }
    if let Some(communicate) = phases.communicate {
        assert!(connect.end_ns <= communicate.end_ns, "{connection:?}");
        assert!(communicate.start_ns <= disconnect.end_ns, "{connection:?}");
    }
    assert!(connection.tcp_first.is_some() == connection.tcp_last.is_some(), "{connection:?}");
}

/// Asserts that two connections of different traces are the two ends of one: all that one has sent
/// the other has received, and not both saw the other hang up first.
#[track_caller]
pub fn both_ends(ours: &Connection, theirs: &Connection) {
    let (local, peer) = ports(ours);
    assert_eq!(ports(theirs), (peer, local));
    assert_eq!(
        (ours.sent.bytes, ours.received.bytes),
        (theirs.received.bytes, theirs.sent.bytes),
        "{ours:?}\n{theirs:?}"
    );
    let first = (ours.closed_first(), theirs.closed_first());
    assert_ne!(first, (FirstToClose::Peer, FirstToClose::Peer), "{ours:?}\n{theirs:?}");
}
