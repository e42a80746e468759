//! Which connection a call is about, and what the descriptors of the last calls were found to name: nearly every
//! call is about one of the same few.

use super::connection::{ConnId, Connection, Holder, Span};
use super::descriptors::ProcessState;
use super::{Model, errno};
use crate::event::CallInfo;
use sockshim_format::op::Op;
use sockshim_format::record::*;

/// Descriptors that are remembered, by the lower bits of their numbers.
const PLACES: usize = 1024;

/// A descriptor of a process, and the socket that a call under it was about.
type Name = (u32, i32, u64);

/// Connections by what names them, as long as no descriptor is taken from anything and no connection finishes.
#[derive(Default)]
pub(super) struct Known {
    /// Empty until something is put there, as it may never be: `run -q` has a model too. What was put before the last
    /// `forget` has another number in front.
    places: Vec<(u64, Name, ConnId)>,
    now: u64,
}

impl Known {
    /// The connection that the call is about, if its descriptor is known to name it, and to be used.
    #[inline]
    pub fn get(&self, info: &CallInfo) -> Option<ConnId> {
        let (name, place) = name(info);
        self.places.get(place).filter(|(put, known, _)| (*put, *known) == (self.now, name)).map(|(_, _, id)| *id)
    }

    pub fn put(&mut self, info: &CallInfo, id: ConnId) {
        if self.places.is_empty() {
            self.places.resize(PLACES, (u64::MAX, Name::default(), ConnId::default()));
        }
        let (name, place) = name(info);
        if let Some(place) = self.places.get_mut(place) {
            *place = (self.now, name, id);
        }
    }

    pub fn forget(&mut self) {
        self.now += 1;
    }
}

#[inline]
fn name(info: &CallInfo) -> (Name, usize) {
    let fd = info.call.fd;
    ((info.process, fd, info.call.socket), fd as usize % PLACES)
}

impl Model {
    /// The connection that the call's own descriptor names.
    pub(super) fn subject(&mut self, info: &CallInfo) -> Option<ConnId> {
        if let Some(id) = self.known.get(info) {
            if let Some(conn) = self.connections.get_mut(id) {
                Span::cover(&mut conn.seen, info.start_ns, info.start_ns);
            }
            return Some(id);
        }
        let Call { fd, socket, .. } = info.call;
        let op = info.op();
        let names = op.is_none_or(Op::names_descriptor);
        if socket == 0 {
            let unclassified = info.commit().flags & FLAG_UNCLASSIFIED != 0;
            return if unclassified && names { self.held(info.process, fd) } else { None };
        }
        // A number that was closed long ago, by a process whose parent had closed it.
        if info.call.errno == errno::EBADF && !self.by_socket.contains_key(&socket) {
            return None;
        }
        let id = self.identify(info, fd, socket, info.start_ns);
        // Of two descriptors the record does not say which one the socket is; their lists do.
        let two = || matches!(op.map(Op::base), Some(Op::Splice | Op::Tee | Op::CopyFileRange));
        // The program uses a number that it has closed, and the shim remembers what it was.
        if names && fd >= 0 && info.call.errno != errno::EBADF && !two() {
            self.hold(info, fd, id, info.start_ns);
            if self.held(info.process, fd) == Some(id) {
                self.known.put(info, id);
            }
        }
        Some(id)
    }

    /// The connection with this identity, a new one if need be.
    pub(super) fn identify(&mut self, info: &CallInfo, fd: i32, socket: u64, time_ns: u64) -> ConnId {
        let id = match self.by_socket.get(&socket) {
            Some(id) => *id,
            None => self.first_sight(info, socket),
        };
        if let Some(conn) = self.connections.get_mut(id) {
            Span::cover(&mut conn.seen, time_ns, time_ns);
            match conn.holders.iter_mut().find(|holder| holder.process == info.process) {
                Some(holder) if holder.fd < 0 => holder.fd = fd,
                Some(_) => {}
                None => {
                    let name = self.processes.get(&info.process).map_or_else(String::new, ProcessState::name);
                    conn.holders.push(Holder { process: info.process, pid: info.pid, fd, name });
                }
            }
        }
        id
    }

    fn first_sight(&mut self, info: &CallInfo, socket: u64) -> ConnId {
        let process = self.processes.get(&info.process).and_then(|process| process.info.as_ref());
        let id = self.connections.next();
        self.connections.push(Connection {
            id,
            socket,
            socket_is_local: info.commit().flags & FLAG_LOCAL_IDENTITY != 0,
            net_namespace: process.map_or(0, |info| info.process.net_namespace),
            ..Connection::default()
        });
        self.by_socket.insert(socket, id);
        self.process_mut(info).last_socket_ns = info.start_ns;
        id
    }
}
