//! Which descriptor of which process names which connection.

use super::connection::ConnId;
use crate::event::ProcessInfo;
use std::collections::HashMap;
use std::net::IpAddr;

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
    pub(super) resolved: Vec<Resolved>,
    /// What `epoll_ctl` registered: by (epoll descriptor, the program's own data).
    pub(super) epoll: HashMap<(i32, u64), ConnId>,
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

/// A name that was resolved.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    pub name: Vec<u8>,
    pub addresses: Vec<IpAddr>,
    pub start_ns: u64,
    pub end_ns: u64,
}

impl ProcessState {
    /// What the program is called.
    pub fn name(&self) -> String {
        self.name.clone()
    }

    pub(super) fn remember(&mut self, resolved: Resolved) {
        if self.resolved.len() == MAX_RESOLVED {
            self.resolved.remove(0);
        }
        self.resolved.push(resolved);
    }

    /// The latest resolution that gave this address.
    pub(super) fn resolution_of(&self, ip: IpAddr) -> Option<&Resolved> {
        self.resolved.iter().rev().find(|resolved| resolved.addresses.contains(&ip))
    }

    /// The descriptors that a child has after a fork, by exec if `exec` says so.
    pub(super) fn bequeath(fds: &HashMap<i32, Held>, exec: bool) -> HashMap<i32, Held> {
        fds.iter()
            .filter(|(_, held)| !(exec && held.close_on_exec))
            .map(|(fd, held)| (*fd, Held { inherited: true, ..*held }))
            .collect()
    }
}
