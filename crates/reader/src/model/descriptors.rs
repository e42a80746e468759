//! Which descriptor of which process names which connection.

use super::HashMap;
use super::connection::ConnId;
use crate::event::ProcessInfo;
use std::net::IpAddr;
use std::sync::Arc;

/// Resolutions that are remembered per process: more than a program has in flight.
const MAX_RESOLVED: usize = 128;

/// A process, as the model follows it.
#[derive(Clone, Debug, Default)]
pub struct ProcessState {
    /// How it introduced itself, if that was recorded.
    pub info: Option<ProcessInfo>,
    /// What its program is called; a forked one by its parent's name. Empty if unknown.
    pub name: String,
    /// Its pid, 0 if unknown.
    pub pid: u32,
    /// When it was seen last, in nanoseconds since the epoch.
    pub last_ns: u64,
    /// When it made or met a new socket last, in nanoseconds since the epoch; 0 if never.
    pub last_socket_ns: u64,
    /// Whether it has ended, or given way to another image by exec.
    pub gone: bool,
    /// Whether it has an io_uring: what passes there is nowhere in the trace.
    pub io_uring: bool,
    /// Whether it took the place of another of its pid, which had introduced itself.
    pub(super) executed: bool,
    /// Whether the call is known that started its program.
    pub(super) launched: bool,
    pub(super) fds: HashMap<i32, Held>,
    /// The descriptors at the moment of a fork, by the pid of the child.
    pub(super) forked: HashMap<u32, HashMap<i32, Held>>,
    /// How many descriptors it was given when it began.
    pub(super) inherited: usize,
    /// Shared with the children, which know what their parent resolved.
    pub(super) resolved: Vec<Arc<Resolved>>,
    pub(super) epoll: Registered,
    /// What each number named that names nothing now.
    pub(super) closed_numbers: HashMap<i32, ConnId>,
    /// Who closed each number last, and what it named: thread and connection.
    pub(super) closed: HashMap<i32, (u32, ConnId)>,
}

/// A descriptor that names a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub conn: ConnId,
    pub close_on_exec: bool,
    /// It came by fork or exec, and has not been used since.
    pub inherited: bool,
    /// When it came to name the connection.
    pub since_ns: u64,
}

/// What `epoll_ctl` registered: which connection the program's own data stands for, and the other way round,
/// each with the epoll descriptor.
#[derive(Clone, Debug, Default)]
pub(super) struct Registered {
    conns: HashMap<(i32, u64), ConnId>,
    data: HashMap<ConnId, Vec<(i32, u64)>>,
}

impl Registered {
    pub fn conn(&self, epoll: i32, data: u64) -> Option<ConnId> {
        self.conns.get(&(epoll, data)).copied()
    }

    /// Forgets what the connection was registered with.
    pub fn remove(&mut self, epoll: i32, id: ConnId) {
        let Some(registered) = self.data.get_mut(&id) else { return };
        let Some(at) = registered.iter().position(|(descriptor, _)| *descriptor == epoll) else { return };
        let (_, data) = registered.swap_remove(at);
        if registered.is_empty() {
            self.data.remove(&id);
        }
        if self.conn(epoll, data) == Some(id) {
            self.conns.remove(&(epoll, data));
        }
    }

    pub fn insert(&mut self, epoll: i32, data: u64, id: ConnId) {
        self.conns.insert((epoll, data), id);
        self.data.entry(id).or_default().push((epoll, data));
    }

    /// Forgets all that the connection was registered with.
    pub fn forget(&mut self, id: ConnId) {
        for (epoll, data) in self.data.remove(&id).unwrap_or_default() {
            if self.conn(epoll, data) == Some(id) {
                self.conns.remove(&(epoll, data));
            }
        }
    }
}

/// A name that was resolved.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    pub name: Vec<u8>,
    pub addresses: Vec<IpAddr>,
    pub start_ns: u64,
    pub end_ns: u64,
}

impl ProcessState {
    /// It made a call that ended then.
    #[inline]
    pub(super) fn seen(&mut self, end_ns: u64) {
        self.last_ns = self.last_ns.max(end_ns);
    }

    /// What the program is called.
    pub fn name(&self) -> String {
        self.name.clone()
    }

    pub(super) fn remember(&mut self, resolved: Resolved) {
        if self.resolved.len() == MAX_RESOLVED {
            self.resolved.remove(0);
        }
        self.resolved.push(Arc::new(resolved));
    }

    /// The latest resolution that gave this address.
    pub(super) fn resolution_of(&self, ip: IpAddr) -> Option<&Resolved> {
        self.resolved.iter().rev().find(|resolved| resolved.addresses.contains(&ip)).map(Arc::as_ref)
    }

    /// The descriptors that a child has after a fork, by exec if `exec` says so; none if there are more than
    /// `room`. What a child has and is not told to have shows when it is used.
    pub(super) fn bequeath(fds: &HashMap<i32, Held>, exec: bool, room: usize) -> HashMap<i32, Held> {
        let fds = Some(fds).filter(|fds| fds.len() <= room);
        fds.into_iter()
            .flatten()
            .filter(|(_, held)| !(exec && held.close_on_exec))
            .map(|(fd, held)| (*fd, Held { inherited: true, ..*held }))
            .collect()
    }
}
