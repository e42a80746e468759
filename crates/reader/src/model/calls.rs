//! What each call tells about its connection.

use super::connection::*;
use super::{Key, Model};
use crate::assemble::CallInfo;
use sockshim_format::address::Address;
use sockshim_format::op::{Direction, Op};
use sockshim_format::record::*;

/// Peers of a datagram socket that are told apart: a resolver talks to a few, a scanner to millions.
const MAX_DATAGRAM_PEERS: usize = 64;

/// errno values that matter here (Linux, x86-64).
mod errno {
    pub const EINTR: u16 = 4;
    pub const EAGAIN: u16 = 11;
    pub const EPIPE: u16 = 32;
    pub const ECONNRESET: u16 = 104;
    pub const EISCONN: u16 = 106;
    pub const ETIMEDOUT: u16 = 110;
    pub const EALREADY: u16 = 114;
    pub const EINPROGRESS: u16 = 115;
}

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
        conn.in_progress.push(InProgress { process, tid, op, start_ns });
        if op == Some(Op::Connect) {
            conn.connecting(info);
            self.name_peer(id, info.process);
        }
    }

    /// A call on the connection is over.
    pub(super) fn call_on(&mut self, id: ConnId, op: Option<Op>, info: &CallInfo) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        conn.calls += 1;
        conn.in_progress.retain(|call| (call.process, call.tid) != (info.process, info.tid));
        Span::cover(&mut conn.seen, info.start_ns, info.end_ns);
        let Some(op) = op else { return };
        if op == Op::Accept || op == Op::Accept4 {
            return self.accepted(id, info);
        }
        conn.note_errno(op, info);
        let parts = info.parts();
        if let Some(local) = parts.local.filter(|address| address.family() != 0) {
            conn.local = local.0.to_vec();
        }
        if let Some(peer) = parts.peer.filter(|address| address.family() != 0) {
            conn.peer = peer.0.to_vec();
        }
        conn.note_tcp(op, info);
        match op {
            Op::Socket => conn.created(info),
            Op::Connect => {
                conn.connecting(info);
                conn.connect_returned(info);
                self.name_peer(id, info.process);
            }
            Op::Bind | Op::Bindresvport => conn.bound(info),
            Op::Listen if info.call.ret == 0 => {
                conn.role = Role::Listener;
                Span::cover(&mut conn.phases.connect, info.start_ns, info.end_ns);
            }
            Op::Getsockname => Connection::take_address(&mut conn.local, parts.returned),
            Op::Getpeername => Connection::take_address(&mut conn.peer, parts.returned),
            Op::Getsockopt if info.call.arg == SO_ERROR && conn.connect != Connect::None => {
                conn.so_error(info);
            }
            Op::Setsockopt if info.call.arg == SO_LINGER && info.call.ret == 0 => {
                let on = parts.option.is_some_and(|o| o.get(..4).is_some_and(|b| b.iter().any(|b| *b != 0)));
                let time = parts.option.and_then(|o| o.get(4..8)).is_some_and(|b| b.iter().any(|b| *b != 0));
                conn.evidence.linger_resets = on && !time;
            }
            Op::Shutdown if info.call.ret == 0 => conn.shut_down(info),
            Op::Close | Op::Fclose | Op::Pclose | Op::Freopen if info.call.errno != 9 => {
                self.closing(id, info);
                self.release_of(info.process, info.call.fd, id, info.end_ns);
            }
            _ => {}
        }
        if let Some((direction, bytes)) = info.bytes() {
            self.data(id, op, direction, bytes, info);
        }
    }

    /// Bytes passed, or none did.
    fn data(&mut self, id: ConnId, op: Op, direction: Direction, bytes: u64, info: &CallInfo) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        conn.transfer(direction, bytes, info);
        let reads = matches!(op, Op::Read | Op::Recv | Op::Recvfrom | Op::Readv | Op::Recvmsg);
        let sized = !matches!(op, Op::Read | Op::Recv | Op::Recvfrom) || info.call.size > 0;
        let nothing = info.is_done() && info.call.ret == 0 && info.call.errno == 0;
        if reads && sized && nothing && conn.is_stream() {
            conn.evidence.eof_ns.get_or_insert(info.end_ns);
        }
        if conn.kind != 2 && conn.role != Role::Datagram {
            return;
        }
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
                    conn.transfer(direction, bytes, info);
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
        let id = self.identify(info, fd, socket, info.end_ns);
        self.hold(info, fd, id, info.end_ns);
        let Some(conn) = self.connections.get_mut(id) else { return };
        (conn.role, conn.connect, conn.listener) = (Role::Passive, Connect::Done, Some(listener));
        if conn.domain == 0 {
            (conn.domain, conn.kind, conn.protocol) = (domain, kind, protocol);
        }
        Span::cover(&mut conn.phases.connect, info.start_ns, info.end_ns);
        let parts = info.parts();
        Connection::take_address(&mut conn.peer, parts.peer.or(parts.returned));
        Connection::take_address(&mut conn.local, parts.local);
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
        Span::cover(&mut conn.phases.disconnect, info.start_ns, info.end_ns);
        let count = |bytes: i32| u32::try_from(bytes).ok();
        let evidence = &mut conn.evidence;
        evidence.close_ns = Some(info.start_ns);
        evidence.state_at_close = snapshot.as_ref().and_then(TcpSnapshot::state);
        evidence.unread_bytes = snapshot.as_ref().and_then(|s| count(s.unread_bytes));
        evidence.unsent_bytes = snapshot.as_ref().and_then(|s| count(s.unsent_bytes));
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
            let known = self.by_key.get(&Key::Cookie(socket)).or(self.by_key.get(&Key::Local(info.process, socket)));
            return match known {
                Some(id) => Some(*id),
                None if fd >= 0 => Some(self.identify(info, fd, socket, info.end_ns)),
                None => None,
            };
        }
        if fd >= 0 {
            return self.held(info.process, fd);
        }
        self.processes.get(&info.process)?.epoll.get(&(info.call.fd, data)).copied()
    }

    /// EPOLL_CTL_ADD is 1, DEL 2, MOD 3.
    fn registered(&mut self, id: ConnId, data: u64, info: &CallInfo) {
        let epoll = &mut self.process_mut(info).epoll;
        if info.call.errno == 0 {
            epoll.retain(|(fd, _), conn| *fd != info.call.fd || *conn != id);
            if info.call.arg != 2 {
                epoll.insert((info.call.fd, data), id);
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

impl Connection {
    fn take_address(place: &mut Vec<u8>, address: Option<Address<'_>>) {
        // Accepted AF_UNIX sockets have peers without a name: the family alone.
        if let Some(address) = address.filter(|address| !address.0.is_empty()) {
            *place = address.0.to_vec();
        }
    }

    fn note_errno(&mut self, op: Op, info: &CallInfo) {
        let errno = info.call.errno;
        let connecting = op == Op::Connect && matches!(errno, errno::EALREADY | errno::EISCONN);
        if errno == 0 || matches!(errno, errno::EAGAIN | errno::EINPROGRESS) || connecting {
            return;
        }
        let count = self.errors.get(&op).map_or(0, |(_, count)| *count);
        self.errors.insert(op, (errno, count + 1));
        let data = op.direction().is_some();
        if data && matches!(errno, errno::ECONNRESET | errno::EPIPE | errno::ETIMEDOUT) {
            self.evidence.reset.get_or_insert((info.end_ns, errno));
        }
    }

    fn note_tcp(&mut self, op: Op, info: &CallInfo) {
        let Some(snapshot) = tcp_snapshot(op, info) else { return };
        if matches!(op, Op::Connect | Op::Accept) || self.tcp_first.is_none() {
            self.tcp_first = Some(snapshot.clone());
        }
        self.tcp_last = Some(snapshot);
    }

    fn created(&mut self, info: &CallInfo) {
        Span::cover(&mut self.phases.create, info.start_ns, info.end_ns);
        self.domain = info.call.arg as i32;
        self.kind = (info.call.size & 0xf) as i32;
        if self.protocol == 0 {
            self.protocol = (info.call.size >> 32) as i32;
        }
        if self.kind == 2 {
            self.role = Role::Datagram;
        }
    }

    fn bound(&mut self, info: &CallInfo) {
        if self.local.is_empty() {
            Connection::take_address(&mut self.local, info.parts().given);
        }
        // A client's bind comes long before its connect: only for a listener, or a socket without
        // connections, is it the beginning of that phase.
        if self.connect == Connect::None {
            Span::cover(&mut self.phases.connect, info.start_ns, info.end_ns);
        }
    }

    /// `connect` was called: whom for, and since when.
    fn connecting(&mut self, info: &CallInfo) {
        let parts = info.parts();
        if self.role == Role::Unknown && self.kind != 2 {
            self.role = Role::Active;
        }
        if self.peer.is_empty() || parts.peer.is_none() {
            Connection::take_address(&mut self.peer, parts.given);
        }
        if !matches!(self.connect, Connect::Pending | Connect::Done) {
            self.connect = Connect::Pending;
            self.phases.connect = Some(Span { start_ns: info.start_ns, end_ns: info.start_ns });
        }
    }

    fn connect_returned(&mut self, info: &CallInfo) {
        match (info.call.ret, info.call.errno) {
            (0, _) | (_, errno::EISCONN) => {
                if self.connect == Connect::Pending {
                    self.connect_over(info.end_ns);
                }
                self.connect = Connect::Done;
            }
            (_, errno::EINPROGRESS | errno::EALREADY | errno::EAGAIN | errno::EINTR) => {}
            (_, errno) => {
                self.connect_over(info.end_ns);
                self.connect = Connect::Failed(errno);
            }
        }
    }

    fn connect_over(&mut self, end_ns: u64) {
        if let Some(span) = &mut self.phases.connect {
            span.end_ns = end_ns.max(span.start_ns);
        }
    }

    /// The program asked how its connect went.
    fn so_error(&mut self, info: &CallInfo) {
        let value = info.parts().option.and_then(|value| value.get(..4)?.try_into().ok());
        let Some(errno) = value.map(u32::from_ne_bytes) else { return };
        if self.connect != Connect::Pending {
            // Later on it tells of errors of the connection itself.
            if matches!(errno as u16, errno::ECONNRESET | errno::EPIPE | errno::ETIMEDOUT) {
                self.evidence.reset.get_or_insert((info.end_ns, errno as u16));
            }
            return;
        }
        if self.phases.connect.is_some_and(|span| span.end_ns == span.start_ns) {
            self.connect_over(info.end_ns);
        }
        self.connect = if errno == 0 { Connect::Done } else { Connect::Failed(errno as u16) };
    }

    fn shut_down(&mut self, info: &CallInfo) {
        Span::cover(&mut self.phases.disconnect, info.start_ns, info.end_ns);
        // SHUT_RD, 0, tells the peer nothing.
        if info.call.arg != 0 && self.evidence.half_close_ns.is_none() {
            self.evidence.half_close_ns = Some(info.start_ns);
            self.evidence.state_at_shutdown = tcp_snapshot(Op::Shutdown, info).and_then(|s| s.state());
        }
    }

    fn transfer(&mut self, direction: Direction, bytes: u64, info: &CallInfo) {
        let traffic = match direction {
            Direction::Sent => &mut self.sent,
            Direction::Received => &mut self.received,
        };
        traffic.calls += 1;
        traffic.time_ns = traffic.time_ns.saturating_add(info.duration_ns());
        traffic.again += u64::from(info.call.errno == errno::EAGAIN);
        if bytes == 0 {
            return;
        }
        traffic.bytes = traffic.bytes.saturating_add(bytes);
        traffic.first_ns.get_or_insert(info.end_ns);
        traffic.last_ns = Some(info.end_ns);
        Span::cover(&mut self.phases.communicate, info.start_ns, info.end_ns);
        if self.connect == Connect::Pending {
            self.connect_over(info.start_ns);
            self.connect = Connect::Done;
        }
        if direction == Direction::Received && self.first_byte_ns.is_none() {
            let since = self.phases.connect.or(self.phases.create).map(|span| span.end_ns);
            self.first_byte_ns = since.map(|since| info.end_ns.saturating_sub(since));
        }
    }
}

fn tcp_snapshot(op: Op, info: &CallInfo) -> Option<TcpSnapshot> {
    let extension = info.extensions.iter().find(|e| e.kind == KIND_TCP_INFO)?;
    let TcpState { unread_bytes, unsent_bytes } = TcpState::read(&extension.body)?;
    let tcp = extension.body.get(TcpState::SIZE..)?.to_vec();
    Some(TcpSnapshot { op, time_ns: info.start_ns, unread_bytes, unsent_bytes, info: tcp })
}
