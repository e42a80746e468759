//! Events to connections: who, to whom, how long each phase took, what passed, how it ended.
//!
//! A connection is one socket, known by its kernel identity, in whatever processes and under
//! whatever descriptors. Descriptors are followed through `dup`, `fork`, `exec` and SCM_RIGHTS only
//! to know when the last one is closed: the records themselves say which socket a call was about.
//!
//! Events must come in order of time, as [`crate::Flow`] and [`crate::order::Events`] give them.

mod abandoned;
mod calls;
mod causes;
mod concerned;
mod connection;
mod descriptors;
mod ends;
mod errno;
mod facts;
mod forget;
mod hello;
mod injected;
mod known;
mod launches;
mod lifetime;
mod lints;
mod phases;
mod processes;
mod sentence;
mod steady;
mod store;
mod tls;
mod unseen;
mod verdict;
pub mod words;

use crate::event::{CallInfo, Event};
pub use causes::Cause;
pub use connection::*;
pub use descriptors::ProcessState;
use descriptors::Resolved;
pub use facts::{Facts, ForeignClose, Mishaps, Options, Place, Streak};
pub use injected::Injection;
use known::Known;
pub use launches::Launch;
pub use lints::{Lint, LintKind};
pub use sentence::Verdict;
use sockshim_format::op::{Op, Phase};
use sockshim_format::record::*;
use std::collections::BTreeMap;
use store::Store;
pub use tls::Tls;
pub use unseen::Unseen;
pub use verdict::{Evidence, FirstToClose, tcp};

/// Numbers are looked up for each call. Their hashes are seeded, so a file cannot choose which of them collide.
type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;
type HashSet<K> = std::collections::HashSet<K, foldhash::fast::RandomState>;

/// Calls on one descriptor that are kept until it shows whether that is a socket.
const MAX_UNCLASSIFIED: usize = 256;

/// SYS_io_uring_setup, the same on all machines.
const IO_URING_SETUP: u32 = 425;

/// The connections and processes of a trace, as far as its events have been fed.
#[derive(Default)]
pub struct Model {
    connections: Store,
    /// By the socket's identity, those that have not finished. The shim's own numbers hold the process's, and a bit that no
    /// SO_COOKIE has, so they mean one socket in all processes too.
    by_socket: HashMap<u64, ConnId>,
    known: Known,
    processes: BTreeMap<u32, ProcessState>,
    /// The process that came last under each pid.
    by_pid: HashMap<u32, u32>,
    /// Calls on descriptors that may or may not be sockets: by (process, fd).
    unclassified: HashMap<(u32, i32), Vec<CallInfo>>,
    /// Programs that were started, and have not introduced themselves.
    launches: Vec<Launch>,
    /// Threads, by process, that have executed one of them, or tried.
    executing: HashSet<(u32, u32)>,
    /// Descriptors that living processes and awaited children were given by fork and exec.
    inherited: usize,
    /// What a plan did.
    injected: Vec<Injection>,
    /// Finished, and nobody has asked to forget them.
    finished: Vec<ConnId>,
    /// How many have ended since the last look for what has finished.
    ended: usize,
    /// Processes that have an io_uring, if the events are read again: then what only the end tells is known.
    known_rings: Option<HashSet<u32>>,
    lost: u64,
    left_out: u64,
    /// Calls were forgotten before it was known which connection they were about.
    forgot: bool,
    first_ns: Option<u64>,
    last_ns: u64,
}

impl Model {
    /// A model that knows nothing yet.
    pub fn new() -> Model {
        Model::default()
    }

    /// Takes in an event.
    pub fn feed(&mut self, event: &Event) {
        if let Event::Earlier(call) = event {
            return self.call(call);
        }
        if let Event::Call(call) = event {
            return self.feed_call(call);
        }
        if let Some(time_ns) = event.time_ns() {
            self.first_ns.get_or_insert(time_ns);
            self.last_ns = self.last_ns.max(time_ns);
        }
        match event {
            Event::Process(info) => self.attach(info),
            Event::Entered(call) => self.entered(call),
            Event::Lost { count, .. } => self.lost += u64::from(*count),
            Event::Left(left) => self.left(left),
            Event::Mark(_) | Event::Earlier(_) | Event::Call(_) => {}
        }
        self.look();
    }

    /// The connections, in order of first sight; those that were forgotten are not among them.
    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.connections.iter()
    }

    /// One connection.
    pub fn connection(&self, id: ConnId) -> Option<&Connection> {
        self.connections.get(id)
    }

    /// The connection that a call was about, while it is fed.
    pub fn of_call(&self, call: &CallInfo) -> Option<&Connection> {
        let id = match (self.known.get(call), call.call.socket) {
            (Some(id), _) => id,
            (None, 0) => self.held(call.process, call.call.fd)?,
            (None, socket) => *self.by_socket.get(&socket)?,
        };
        self.connections.get(id)
    }

    /// Whether a call, while it is fed, has to do with a connection: it was about it, made it, closed it,
    /// passed it on, waited for it, or resolved the name that led to it.
    pub fn concerns(&self, call: &CallInfo, connection: &Connection) -> bool {
        let op = call.op().map(Op::base);
        let is_it = |socket: u64| socket != 0 && self.by_socket.get(&socket) == Some(&connection.id);
        let accepts = matches!(op, Some(Op::Accept | Op::Accept4));
        // What an accept gives is not what it is called on.
        let subject = || self.of_call(call).is_some_and(|subject| subject.id == connection.id);
        if (!accepts || connection.role == Role::Listener) && subject() {
            return true;
        }
        let resolves = op.is_some_and(|op| op.phase() == Phase::Resolve);
        if resolves && connection.phases.resolve.is_some_and(|span| span.start_ns == call.start_ns) {
            return connection.holders.iter().any(|holder| holder.process == call.process);
        }
        let lists = call.extensions.iter().filter(|extension| extension.kind == KIND_FDS);
        let mut fds = lists.flat_map(|list| list.body.chunks_exact(Fd::SIZE).filter_map(Fd::read));
        let in_lists = fds.any(|fd| is_it(fd.socket));
        let epoll = |data: u64| self.processes.get(&call.process)?.epoll.conn(call.call.fd, data);
        let woke = |ready: Ready| match (ready.socket, ready.fd) {
            (0, fd) if fd >= 0 => self.held(call.process, fd) == Some(connection.id),
            (0, _) => epoll(ready.data) == Some(connection.id),
            (socket, _) => is_it(socket),
        };
        in_lists || call.sockets().any(|socket| is_it(socket.socket)) || call.ready().any(woke)
    }

    /// The connection with this identity.
    pub fn of_socket(&self, socket: u64) -> Option<&Connection> {
        self.connections.get(*self.by_socket.get(&socket)?)
    }

    /// The processes, by number.
    pub fn processes(&self) -> impl Iterator<Item = (u32, &ProcessState)> {
        self.processes.iter().map(|(number, process)| (*number, process))
    }

    /// One process.
    pub fn process(&self, number: u32) -> Option<&ProcessState> {
        self.processes.get(&number)
    }

    /// Calls that are missing in between, as far as threads have told.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Calls that a filter left out.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Takes note of how many calls were left out in all.
    pub fn left_out_in_all(&mut self, count: u64) {
        self.left_out = self.left_out.max(count);
    }

    /// Takes note of how many calls and extensions were lost in all: threads that end tell nothing.
    pub fn lost_in_all(&mut self, count: u64) {
        self.lost = self.lost.max(count);
    }

    /// First and last time of any event, in nanoseconds since the epoch.
    pub fn span(&self) -> Option<Span> {
        Some(Span { start_ns: self.first_ns?, end_ns: self.last_ns })
    }

    /// A call that takes some time has begun.
    fn entered(&mut self, info: &CallInfo) {
        if let Some(Op::UnderExit | Op::CapitalExit | Op::QuickExit) = info.op() {
            return self.process_gone(info.process, info.start_ns);
        }
        let process = self.process_mut(info);
        process.last_ns = process.last_ns.max(info.start_ns);
        self.still_here(info);
        if let Some(op) = info.op().map(Op::base).filter(|op| op.phase() == Phase::Process) {
            self.launching(op, info);
        }
        // A number that was closed names nothing, but only the end of the call will tell.
        let Call { fd, socket, .. } = info.call;
        let known = self.by_socket.get(&socket).and_then(|id| self.connections.get(*id));
        let closed = known.is_some_and(|conn| conn.released.is_some_and(|(p, f, _)| (p, f) == (info.process, fd)));
        if closed && self.held(info.process, fd).is_none() {
            return;
        }
        let subject = self.subject(info);
        self.learn_sockets(info, info.start_ns);
        if let Some(id) = subject {
            self.entered_on(id, info);
        }
    }

    /// A call is over.
    fn call(&mut self, info: &CallInfo) {
        let process = self.process_mut(info);
        process.last_ns = process.last_ns.max(info.end_ns);
        self.still_here(info);
        let base = info.op().map(Op::base);
        // A listener is seen before what it gives.
        if matches!(base, Some(Op::Accept | Op::Accept4)) {
            self.subject(info);
        }
        let bare = info.is_bare();
        if !bare {
            self.learn_sockets(info, info.end_ns);
        }
        let subject = self.subject(info);
        if !bare && info.injected().next().is_some() {
            self.note_injected(subject, info);
        }
        let Some(id) = subject else {
            self.call_without_socket(base, info);
            return;
        };
        self.call_on(id, base, info);
        // Bytes alone change no descriptors.
        if !bare || base.is_none_or(|op| op.direction().is_none()) {
            self.after_call(base, info);
        }
    }

    /// Calls that are about no socket, or about many.
    fn call_without_socket(&mut self, op: Option<Op>, info: &CallInfo) {
        let unclassified = info.commit().flags & FLAG_UNCLASSIFIED != 0;
        if unclassified && info.call.fd >= 0 && op != Some(Op::Close) {
            let calls = self.unclassified.entry((info.process, info.call.fd)).or_default();
            if calls.len() < MAX_UNCLASSIFIED {
                calls.push(info.clone());
            } else {
                self.forgot |= info.bytes().is_some_and(|(_, bytes)| bytes > 0);
            }
            return;
        }
        self.after_call(op, info);
    }

    /// What a call does to descriptors, waits and names, whatever it was about.
    fn after_call(&mut self, op: Option<Op>, info: &CallInfo) {
        let Some(op) = op else { return };
        match op.phase() {
            Phase::Resolve => self.resolved(info),
            Phase::Wait => self.waited(op, info),
            Phase::Process if op == Op::Fork => self.forked(info),
            Phase::Process => match op {
                Op::UnderExit | Op::CapitalExit | Op::QuickExit => self.process_gone(info.process, info.end_ns),
                Op::Syscall if info.call.arg == IO_URING_SETUP && info.call.ret >= 0 => self.has_io_uring(info.process),
                _ => self.launching(op, info),
            },
            _ => self.descriptors_changed(op, info),
        }
    }

    /// Fills in what calls say of the sockets themselves.
    fn learn_sockets(&mut self, info: &CallInfo, time_ns: u64) {
        for socket in info.sockets().filter(|socket| socket.socket != 0) {
            let id = self.identify(info, socket.fd, socket.socket, time_ns);
            let Some(conn) = self.connections.get_mut(id) else { continue };
            conn.inode = if socket.inode != 0 { socket.inode } else { conn.inode };
            // Who made it knows: whoever is handed it may be in another.
            if conn.net_namespace == 0 {
                conn.net_namespace = socket.net_namespace;
            }
            (conn.domain, conn.kind, conn.protocol) = (socket.domain, socket.kind & 0xf, socket.protocol);
            if conn.kind == 2 && conn.role == Role::Unknown {
                conn.role = Role::Datagram;
            }
            let op = info.op().unwrap_or(Op::Read);
            if let Some(snapshot) = phases::found_snapshot(op, info, &socket) {
                conn.found(&snapshot);
            }
            self.hold(info, socket.fd, id, time_ns);
        }
    }

    /// A name was resolved.
    fn resolved(&mut self, info: &CallInfo) {
        let parts = info.parts();
        let Some(name) = parts.name else { return };
        let name = name.strip_suffix(b"\0").unwrap_or(name).to_vec();
        let bodies = info.bodies(KIND_ADDRESS, ROLE_RESOLVED);
        let addresses: Vec<_> = bodies.filter_map(|body| sockshim_format::address::Address(body).ip()).collect();
        // A number that "resolves" to itself is no name.
        let numeric = std::str::from_utf8(&name).is_ok_and(|text| text.parse::<std::net::IpAddr>().is_ok());
        if addresses.is_empty() || numeric {
            return;
        }
        let (start_ns, end_ns) = (info.start_ns, info.end_ns);
        self.process_mut(info).remember(Resolved { name, addresses, start_ns, end_ns });
    }

    fn process_mut(&mut self, info: &CallInfo) -> &mut ProcessState {
        let process = self.processes.entry(info.process).or_default();
        if process.pid == 0 {
            process.pid = info.pid;
        }
        process
    }
}

#[cfg(test)]
mod tests;
