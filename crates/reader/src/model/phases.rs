//! How calls move a connection through its phases.

use super::connection::*;
use super::{errno, facts, tcp};
use crate::event::{CallInfo, OwnedExtension};
use sockshim_format::address::Address;
use sockshim_format::op::{Direction, Op};
use sockshim_format::record::*;

impl Connection {
    pub(super) fn take_address(place: &mut Vec<u8>, address: Option<Address<'_>>) {
        // Accepted AF_UNIX sockets have peers without a name: the family alone.
        if let Some(address) = address.filter(|address| !address.0.is_empty()) {
            *place = address.0.to_vec();
        }
    }

    #[inline]
    pub(super) fn note_errno(&mut self, op: Op, info: &CallInfo) {
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

    pub(super) fn note_tcp(&mut self, op: Op, info: &CallInfo) {
        let Some(snapshot) = tcp_snapshot(op, info) else { return };
        self.compare(&snapshot, info);
        if matches!(op, Op::Connect | Op::Accept) || self.tcp_first.is_none() {
            self.tcp_first = Some(snapshot.clone());
        }
        self.tcp_last = Some(snapshot);
    }

    pub(super) fn created(&mut self, info: &CallInfo) {
        Span::cover(&mut self.phases.create, info.start_ns, info.end_ns);
        self.domain = info.call.arg as i32;
        self.kind = (info.call.size & 0xf) as i32;
        if self.protocol == 0 {
            self.protocol = (info.call.size >> 32) as i32;
        }
        if self.kind == 2 {
            self.role = Role::Datagram;
        }
        self.facts.made(Op::Socket, info, i32::try_from(info.call.ret).unwrap_or(-1));
    }

    pub(super) fn bound(&mut self, info: &CallInfo) {
        let given = info.parts().given;
        if info.call.ret == 0 {
            (self.facts.bound, self.facts.refused) = (true, None);
            // What the kernel says beats what was asked for: port 0 becomes one of its choice.
            let taken = info.address(ROLE_LOCAL).or(given);
            Connection::take_address(&mut self.local, taken);
        } else if !self.facts.bound {
            self.facts.refused = Some(given.map_or(Box::default(), |address| address.0.into()));
            // EINVAL is also what a socket meets that was bound before we saw it.
            if self.local.is_empty() || info.call.errno != errno::EINVAL {
                Connection::take_address(&mut self.local, given);
            }
        }
        // A client's bind comes long before its connect: only for a listener, or a socket without
        // connections, is it the beginning of that phase.
        if self.connect == Connect::None {
            Span::cover(&mut self.phases.connect, info.start_ns, info.end_ns);
        }
    }

    /// `connect` was called: whom for, and since when.
    pub(super) fn connecting(&mut self, info: &CallInfo) {
        let parts = info.parts();
        if self.role == Role::Unknown && self.kind != 2 {
            self.role = Role::Active;
        }
        // What the kernel says beats what was asked for: 0.0.0.0 connects to 127.0.0.1.
        if parts.peer.is_none() {
            Connection::take_address(&mut self.peer, parts.given);
        }
        if !matches!(self.connect, Connect::Pending | Connect::Done) {
            self.connect = Connect::Pending;
            self.phases.connect = Some(Span { start_ns: info.start_ns, end_ns: info.start_ns });
        }
    }

    pub(super) fn connect_returned(&mut self, info: &CallInfo) {
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

    pub(super) fn connect_over(&mut self, end_ns: u64) {
        if let Some(span) = &mut self.phases.connect {
            span.end_ns = end_ns.max(span.start_ns);
        }
    }

    /// The last descriptor is closed, and the program has not heard how its connect went.
    pub(super) fn given_up(&mut self, state: Option<u8>, time_ns: u64) {
        if self.connect != Connect::Pending {
            return;
        }
        // The kernel had connected it meanwhile, and nothing tells when.
        if matches!(state, Some(tcp::ESTABLISHED | tcp::CLOSE_WAIT)) {
            self.connect = Connect::Done;
            return;
        }
        // A wait may have ended the phase by telling that it failed.
        if self.phases.connect.is_some_and(|span| span.end_ns == span.start_ns) {
            self.connect_over(time_ns);
        }
    }

    /// The program asked how its connect went.
    pub(super) fn so_error(&mut self, info: &CallInfo) {
        let value = info.parts().option.and_then(|value| value.get(..4)?.try_into().ok());
        let Some(errno) = value.map(u32::from_ne_bytes) else { return };
        // `select` and `poll` for writing say of a connect that failed what they say of one that did not.
        let nothing_passed = self.sent.bytes == 0 && self.received.bytes == 0;
        if self.connect == Connect::Done && self.role == Role::Active && nothing_passed && failed_to_connect(errno) {
            self.connect = Connect::Failed(errno as u16);
            return;
        }
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

    pub(super) fn shut_down(&mut self, info: &CallInfo) {
        Span::cover(&mut self.phases.disconnect, info.start_ns, info.end_ns);
        // SHUT_RD is 0, SHUT_WR 1.
        self.facts.reads_no_more |= info.call.arg != 1;
        // SHUT_RD tells the peer nothing, until it writes into an AF_UNIX socket.
        if info.call.arg != 0 && self.evidence.half_close_ns.is_none() {
            self.write_side_over();
            self.evidence.half_close_ns = Some(info.start_ns);
            self.evidence.state_at_shutdown = tcp_snapshot(Op::Shutdown, info).and_then(|s| s.state());
        }
    }

    /// The program ends its direction of the stream.
    pub(super) fn write_side_over(&mut self) {
        let peer_is_there = self.evidence.eof_ns.is_none() && self.evidence.reset.is_none();
        self.facts.write_side_over(peer_is_there);
    }

    /// Bytes passed, or none did.
    #[inline]
    pub(super) fn data(&mut self, op: Op, direction: Direction, bytes: u64, info: &CallInfo) {
        self.transfer(op, direction, bytes, info);
        if bytes > 0 && self.is_stream() {
            self.note_tls(direction, bytes, info);
        }
        // After SHUT_RD the kernel's reads give nothing whatever the peer does.
        if bytes == 0 && info.is_end_of_file() && self.is_stream() && !self.facts.reads_no_more {
            self.evidence.eof_ns.get_or_insert(info.end_ns);
        }
    }

    #[inline]
    pub(super) fn transfer(&mut self, op: Op, direction: Direction, bytes: u64, info: &CallInfo) {
        let rest = facts::left_over(op, bytes, info);
        self.facts.transfer(direction, bytes, rest, info);
        let traffic = match direction {
            Direction::Sent => &mut self.sent,
            Direction::Received => &mut self.received,
        };
        traffic.calls += 1;
        traffic.time_ns = traffic.time_ns.saturating_add(info.duration_ns());
        traffic.again += u64::from(info.call.errno == errno::EAGAIN);
        traffic.partial += u64::from(rest > 0);
        if bytes == 0 {
            traffic.zero += u64::from(info.call.errno == 0 && info.call.ret == 0);
            return;
        }
        traffic.bytes = traffic.bytes.saturating_add(bytes);
        traffic.first_ns.get_or_insert(info.end_ns);
        traffic.last_ns = Some(info.end_ns);
        self.counted(direction, bytes, info);
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

/// Whether only a connect ends so, or one that nothing has come through.
fn failed_to_connect(errno: u32) -> bool {
    matches!(errno as u16, errno::ECONNREFUSED | errno::ENETUNREACH | errno::EHOSTUNREACH)
}

/// The state of the socket that the call ends.
pub(super) fn tcp_snapshot(op: Op, info: &CallInfo) -> Option<TcpSnapshot> {
    let ending = info.extensions.iter().find(|e| e.kind == KIND_TCP_INFO && e.role != ROLE_FOUND)?;
    snapshot(op, info, ending)
}

/// The state that a socket was found in which was there before.
pub(super) fn found_snapshot(op: Op, info: &CallInfo, socket: &Socket) -> Option<TcpSnapshot> {
    let is_it = |e: &OwnedExtension| e.kind == KIND_SOCKET && Socket::read(&e.body).as_ref() == Some(socket);
    let pair = info.extensions.windows(2).find(|pair| is_it(&pair[0]))?;
    snapshot(op, info, pair.get(1).filter(|e| (e.kind, e.role) == (KIND_TCP_INFO, ROLE_FOUND))?)
}

fn snapshot(op: Op, info: &CallInfo, extension: &OwnedExtension) -> Option<TcpSnapshot> {
    let TcpState { unread_bytes, unsent_bytes } = TcpState::read(&extension.body)?;
    let tcp = extension.body.get(TcpState::SIZE..)?.to_vec();
    Some(TcpSnapshot { op, time_ns: info.start_ns, unread_bytes, unsent_bytes, info: tcp })
}
