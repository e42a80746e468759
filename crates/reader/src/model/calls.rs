//! What each call tells about its connection.

use super::Model;
use super::connection::*;
use super::errno::EBADF;
use super::phases::tcp_snapshot;
use super::unseen::TCP_ULP;
use crate::event::CallInfo;
use sockshim_format::address::Address;
use sockshim_format::op::{Direction, Op};
use sockshim_format::record::*;

/// Peers of a datagram socket that are told apart: a resolver talks to a few, a scanner to millions.
const MAX_DATAGRAM_PEERS: usize = 64;

/// Calls on one connection that are followed while they last. A call that jumps away never ends.
const MAX_IN_PROGRESS: usize = 1024;

/// POLLOUT, and POLLERR or POLLHUP: what ends a connect in progress. EPOLL numbers are the same.
const POLL_WRITABLE: u32 = 4;
const POLL_FAILED: u32 = 8 | 16;
/// Socket options, as `Call::arg` has them: level in the high half. SOL_SOCKET is 1.
const SO_ERROR: u32 = 1 << 16 | 4;
const SO_LINGER: u32 = 1 << 16 | 13;

impl Model {
    /// A call on the connection has begun and takes some time.
    pub(super) fn entered_on(&mut self, id: ConnId, info: &CallInfo) {
        let op = info.op().map(Op::base);
        let Some(conn) = self.connections.get_mut(id) else { return };
        let (process, tid, start_ns) = (info.process, info.tid, info.start_ns);
        if conn.in_progress.len() < MAX_IN_PROGRESS {
            conn.in_progress.push(InProgress { process, tid, op, start_ns });
        }
        if op == Some(Op::Connect) {
            conn.connecting(info);
            self.name_peer(id, info.process);
        }
    }

    /// A call on the connection is over.
    pub(super) fn call_on(&mut self, id: ConnId, op: Option<Op>, info: &CallInfo) {
        if let Some(op) = op.filter(|_| info.call.errno == EBADF) {
            self.used_after_close(id, op, info);
        }
        let Some(conn) = self.connections.get_mut(id) else { return };
        conn.calls += 1;
        if !conn.in_progress.is_empty() {
            conn.in_progress.retain(|call| (call.process, call.tid) != (info.process, info.tid));
        }
        Span::cover(&mut conn.seen, info.start_ns, info.end_ns);
        let Some(op) = op else { return };
        // Who only closes it is not known to have a right to.
        if op != Op::Close {
            conn.facts.touched(info.tid);
        }
        if op == Op::Accept || op == Op::Accept4 {
            return self.accepted(id, info);
        }
        conn.note_errno(op, info);
        let parts = || info.parts();
        if !info.is_bare() {
            Connection::take_address(&mut conn.local, info.address(ROLE_LOCAL));
            Connection::take_address(&mut conn.peer, info.address(ROLE_PEER));
            // Asked of the descriptor that is replaced.
            if !matches!(op, Op::Dup2 | Op::Dup3) {
                conn.note_tcp(op, info);
            }
        }
        if let Some((direction, bytes)) = info.bytes_by(op) {
            conn.data(op, direction, bytes, info);
            if conn.kind == 2 || conn.role == Role::Datagram {
                self.datagram(id, direction, bytes, info);
            }
            return;
        }
        match op {
            Op::Socket => conn.created(info),
            Op::Connect => {
                // AF_UNSPEC dissolves the connection, and its counters begin anew.
                if parts().given.is_some_and(|address| address.family() == 0) {
                    conn.incomparable();
                }
                conn.connecting(info);
                conn.connect_returned(info);
                self.name_peer(id, info.process);
            }
            Op::Bind | Op::Bindresvport => conn.bound(info),
            Op::Listen if info.call.ret == 0 => {
                conn.role = Role::Listener;
                conn.facts.backlog = info.call.arg as i32;
                Span::cover(&mut conn.phases.connect, info.start_ns, info.end_ns);
            }
            Op::Fdopen if info.call.ret == 0 => conn.stdio = true,
            Op::AioRead | Op::AioWrite => conn.asynchronous = true,
            Op::Getsockname => Connection::take_address(&mut conn.local, parts().returned),
            Op::Getpeername => Connection::take_address(&mut conn.peer, parts().returned),
            Op::Getsockopt if info.call.arg == SO_ERROR && conn.connect != Connect::None => {
                conn.so_error(info);
            }
            Op::Setsockopt if info.call.arg == SO_LINGER && info.call.ret == 0 => {
                let option = parts().option;
                let on = option.is_some_and(|o| o.get(..4).is_some_and(|b| b.iter().any(|b| *b != 0)));
                let time = option.and_then(|o| o.get(4..8)).is_some_and(|b| b.iter().any(|b| *b != 0));
                conn.evidence.linger_resets = on && !time;
            }
            Op::Setsockopt if info.call.arg == TCP_ULP && info.call.ret == 0 => conn.incomparable(),
            Op::Setsockopt | Op::Fcntl => conn.facts.note_option(op, info),
            Op::Shutdown if info.call.ret == 0 => conn.shut_down(info),
            Op::Close | Op::Fclose | Op::Pclose | Op::Freopen if info.call.errno != EBADF => {
                self.closing(id, info);
                self.closed_by(id, info);
                self.release_of(info.process, info.call.fd, id, info.end_ns);
            }
            _ => {}
        }
    }

    /// A datagram passed, or none did.
    fn datagram(&mut self, id: ConnId, direction: Direction, bytes: u64, info: &CallInfo) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        let parts = info.parts();
        let address = parts.given.or(parts.returned).filter(|address| address.family() != 0);
        let Some(Address(address)) = address else { return };
        let known = conn.datagram_peers.iter().position(|peer| peer.address == address);
        let place = known.unwrap_or(conn.datagram_peers.len());
        if known.is_none() && place < MAX_DATAGRAM_PEERS {
            let (sent_bytes, received_bytes) = (0, 0);
            conn.datagram_peers.push(DatagramPeer { address: address.to_vec(), sent_bytes, received_bytes });
        }
        if let Some(peer) = conn.datagram_peers.get_mut(place) {
            let count = match direction {
                Direction::Sent => &mut peer.sent_bytes,
                Direction::Received => &mut peer.received_bytes,
            };
            *count = count.saturating_add(bytes);
        }
        if conn.peer.is_empty() && known.is_none() {
            conn.peer = address.to_vec();
            self.name_peer(id, info.process);
        }
    }

    /// `splice` and its kind have a descriptor for each direction.
    pub(super) fn spliced(&mut self, info: &CallInfo) {
        let bytes = u64::try_from(info.call.ret).unwrap_or(0);
        for (role, direction) in [(ROLE_INPUT, Direction::Received), (ROLE_OUTPUT, Direction::Sent)] {
            for fd in info.fds(role).filter(|fd| fd.socket != 0) {
                let id = self.identify(info, fd.fd, fd.socket, info.end_ns);
                self.hold(info, fd.fd, id, info.start_ns);
                if let Some(conn) = self.connections.get_mut(id) {
                    conn.transfer(Op::Splice, direction, bytes, info);
                }
            }
        }
    }

    fn accepted(&mut self, listener: ConnId, info: &CallInfo) {
        let made = i32::try_from(info.call.ret).ok().filter(|fd| *fd >= 0 && info.call.errno == 0);
        let socket = made.and_then(|fd| {
            let told = info.sockets().find(|socket| socket.fd == fd).map(|socket| socket.socket);
            told.or_else(|| info.fds(ROLE_MADE).find(|made| made.fd == fd).map(|made| made.socket))
        });
        let Some(from) = self.connections.get_mut(listener) else { return };
        from.role = Role::Listener;
        from.note_errno(Op::Accept, info);
        let Some((fd, socket)) = made.zip(socket).filter(|(_, socket)| *socket != 0) else { return };
        from.accepted += 1;
        let (domain, kind, protocol, local) = (from.domain, from.kind, from.protocol, from.local.clone());
        let (inherited, known) = (from.facts.options, from.facts.made.is_some());
        let id = self.identify(info, fd, socket, info.end_ns);
        self.hold(info, fd, id, info.end_ns);
        let Some(conn) = self.connections.get_mut(id) else { return };
        (conn.role, conn.connect, conn.listener) = (Role::Passive, Connect::Done, Some(listener));
        conn.listener_known = known;
        if conn.domain == 0 {
            (conn.domain, conn.kind, conn.protocol) = (domain, kind, protocol);
        }
        conn.facts.made(info.op().map_or(Op::Accept, Op::base), info, fd);
        // Linux gives it what its listener was set to (tcp(7)).
        conn.facts.options.no_delay |= inherited.no_delay;
        conn.facts.options.keep_alive |= inherited.keep_alive;
        Span::cover(&mut conn.phases.connect, info.start_ns, info.end_ns);
        Connection::take_address(&mut conn.peer, info.address(ROLE_PEER).or(info.address(ROLE_RETURNED)));
        // Of two the first is the listener's own, told when it is first seen.
        Connection::take_address(&mut conn.local, info.address(ROLE_LOCAL));
        // A path says as much at this end; an address may be a wildcard there.
        if conn.local.is_empty() && Address(&local).unix_path().is_some() {
            conn.local = local;
        }
        conn.note_tcp(Op::Accept, info);
    }

    /// The connection loses a descriptor by this call.
    pub(super) fn closing(&mut self, id: ConnId, info: &CallInfo) {
        // A call that closes many has no room for the state of each.
        let only = info.fds(ROLE_CLOSED).filter(|fd| fd.socket != 0).count() <= 1;
        let snapshot = tcp_snapshot(Op::Close, info).filter(|_| only);
        let Some(conn) = self.connections.get_mut(id) else { return };
        Span::cover(&mut conn.seen, info.start_ns, info.end_ns);
        // A call on the connection's own descriptor has compared already.
        if let Some(snapshot) = snapshot.as_ref().filter(|_| info.fds(ROLE_CLOSED).next().is_some()) {
            conn.compare(snapshot, info);
        }
        // Only the last of its descriptors ends a connection.
        if conn.active > 1 {
            return;
        }
        conn.write_side_over();
        Span::cover(&mut conn.phases.disconnect, info.start_ns, info.end_ns);
        let count = |bytes: i32| u32::try_from(bytes).ok();
        let evidence = &mut conn.evidence;
        evidence.close_ns = Some(info.start_ns);
        evidence.state_at_close = snapshot.as_ref().and_then(TcpSnapshot::state);
        evidence.unread_bytes = snapshot.as_ref().and_then(|s| count(s.unread_bytes));
        evidence.unsent_bytes = snapshot.as_ref().and_then(|s| count(s.unsent_bytes));
        conn.given_up(conn.evidence.state_at_close, info.start_ns);
        if snapshot.is_some() {
            conn.tcp_last = snapshot;
        }
    }

    /// A wait ended: its time is charged to the connections that ended it.
    pub(super) fn waited(&mut self, op: Op, info: &CallInfo) {
        for ready in info.ready() {
            let Ready { fd, events, data, socket } = ready;
            let Some(id) = self.ready(info, fd, data, socket) else { continue };
            if op == Op::EpollCtl {
                self.registered(id, data, info);
                continue;
            }
            let Some(conn) = self.connections.get_mut(id) else { continue };
            conn.wait_ns = conn.wait_ns.saturating_add(info.duration_ns());
            if conn.connect == Connect::Pending && events & (POLL_WRITABLE | POLL_FAILED) != 0 {
                conn.connect_over(info.end_ns);
                // What failed is told by SO_ERROR, if the program asks.
                if events & POLL_FAILED == 0 {
                    conn.connect = Connect::Done;
                }
            }
        }
    }

    fn ready(&mut self, info: &CallInfo, fd: i32, data: u64, socket: u64) -> Option<ConnId> {
        if socket != 0 {
            return match self.by_socket.get(&socket) {
                Some(id) => Some(*id),
                None if fd >= 0 => Some(self.identify(info, fd, socket, info.end_ns)),
                None => None,
            };
        }
        if fd >= 0 {
            return self.held(info.process, fd);
        }
        self.processes.get(&info.process)?.epoll.conn(info.call.fd, data)
    }

    /// EPOLL_CTL_ADD is 1, DEL 2, MOD 3.
    fn registered(&mut self, id: ConnId, data: u64, info: &CallInfo) {
        let epoll = &mut self.process_mut(info).epoll;
        if info.call.errno == 0 {
            epoll.remove(info.call.fd, id);
            if info.call.arg != 2 {
                epoll.insert(info.call.fd, data, id);
            }
        }
    }

    /// Finds the name that the program resolved to get at the peer.
    fn name_peer(&mut self, id: ConnId, process: u32) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        let Some(ip) = Address(&conn.peer).ip() else { return };
        let Some(resolved) = self.processes.get(&process).and_then(|p| p.resolution_of(ip)) else { return };
        conn.peer_name = Some(resolved.name.clone());
        conn.phases.resolve = Some(Span { start_ns: resolved.start_ns, end_ns: resolved.end_ns });
    }
}
