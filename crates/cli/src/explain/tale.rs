//! What has been told of a connection, what a call adds to that, and what waits to be summed up.

use sockshim_format::address::{Address, Ip};
use sockshim_format::op::{Direction, Op, Phase};
use sockshim_format::record::ROLE_MADE;
use sockshim_reader::model::{Connect, Connection, Role};
use sockshim_reader::{CallInfo, Model};

use super::calls::{closing, first_line, kind, option, other};
use super::fact::{Closing, Fact, Stage};
use crate::views::safe;

/// Turns of a conversation that are told one by one.
const TURNS: u32 = 6;
/// Options that are named.
const NAMES: usize = 4;
/// Failures that are told of one connection: each kind once.
const FAILURES: usize = 16;
/// What has been told of a connection, and what waits to be summed up.
#[derive(Default)]
pub struct Tale {
    stage: Option<Stage>,
    /// Options since something else was told.
    options: usize,
    names: Vec<String>,
    /// Turns of the conversation so far, and whose the last one was.
    turns: u32,
    last: Option<Direction>,
    /// Calls in the same direction behind the one that was told.
    more: u64,
    /// Bytes each way, up to the last call.
    sent: u64,
    received: u64,
    /// Calls and bytes each way, when turns are not told any more.
    writes: (u64, u64),
    reads: (u64, u64),
    /// Time of waiting that was told.
    wait_ns: u64,
    again: [bool; 2],
    failures: Vec<(Op, u16)>,
    connected: bool,
    secured: bool,
    ended: bool,
    /// Whether its last close was told.
    pub closed: bool,
}

impl Tale {
    /// Whether a stage begins with this.
    pub fn begins(&mut self, stage: Stage) -> bool {
        let begins = self.stage.is_none_or(|last| (last as u8) < stage as u8);
        if begins {
            self.stage = Some(stage);
        }
        begins
    }

    /// What has been folded so far.
    pub fn folded(&mut self) -> Vec<Fact> {
        let mut facts = Vec::new();
        if self.options > 0 {
            facts.push(Fact::Options { count: self.options, names: std::mem::take(&mut self.names) });
            self.options = 0;
        }
        self.folded_bytes(&mut facts);
        facts
    }

    fn folded_bytes(&mut self, facts: &mut Vec<Fact>) {
        let calls = std::mem::take(&mut self.more);
        match self.last {
            Some(Direction::Sent) if calls > 0 => facts.push(Fact::WroteMore { calls, bytes: self.sent }),
            Some(Direction::Received) if calls > 0 => {
                facts.push(Fact::ReadMore { calls, bytes: self.received });
            }
            _ => {}
        }
        let ((writes, sent), (reads, received)) = (std::mem::take(&mut self.writes), std::mem::take(&mut self.reads));
        if writes + reads > 0 {
            facts.push(Fact::Exchanged { writes, sent, reads, received });
        }
    }

    /// A call takes some time.
    pub fn entered(&mut self, connection: &Connection, call: &CallInfo) -> Vec<Fact> {
        let Some(op) = call.op().map(Op::base) else { return Vec::new() };
        let other = other(connection);
        let waits = match (op, op.direction()) {
            (Op::Accept | Op::Accept4, _) => Fact::WaitsForClient,
            (Op::Connect, _) => Fact::WaitsForAnswer,
            // In the middle of a turn, or of a long conversation, waiting is nothing new.
            (_, direction) if direction == self.last || self.turns >= TURNS => return Vec::new(),
            (_, Some(Direction::Received)) => Fact::WaitsForBytes { other },
            (_, Some(Direction::Sent)) => Fact::WaitsForRoom { other },
            _ => return Vec::new(),
        };
        let mut facts = self.folded();
        facts.push(waits);
        facts
    }

    /// A call that made the connection, besides the socket that it was called on.
    pub fn made(
        &mut self,
        listener: Option<&Connection>,
        connection: &Connection,
        op: Op,
        fd: i32,
        call: &CallInfo,
    ) -> Vec<Fact> {
        self.connected = true;
        match op {
            Op::Accept | Op::Accept4 => {
                let named = connection.peer_address().filter(|peer| peer.unix_path() != Some(&[]));
                let peer = named.map(|peer| peer.to_string());
                let polled = listener.map_or(0, |listener| listener.wait_ns);
                let waited_ns = call.duration_ns().saturating_add(polled.saturating_sub(self.wait_ns));
                vec![Fact::Accepted { fd, listener: call.call.fd, peer, waited_ns }]
            }
            _ => {
                // Told by the first of the two.
                let mut made = call.fds(ROLE_MADE).map(|made| made.fd);
                match (made.next(), made.next()) {
                    (Some(a), Some(b)) if a == fd => vec![Fact::Paired { fds: (a, b) }],
                    _ => Vec::new(),
                }
            }
        }
    }

    /// A descriptor of it was closed.
    pub fn closed(&mut self, model: &Model, connection: &Connection, fd: i32) -> Vec<Fact> {
        // What was only prepared came to nothing.
        (self.options, self.names) = (0, Vec::new());
        let mut facts = self.folded();
        let closing = closing(model, connection);
        self.closed = closing != Closing::StillNamed;
        facts.push(Fact::Closed { fd, closing, other: other(connection) });
        facts
    }

    /// The connect that went on in the background is over.
    pub fn connect_over(&mut self, connection: &Connection) -> Vec<Fact> {
        match connection.connect {
            Connect::Failed(errno) => self.failed(connection, Op::Connect, errno),
            Connect::Done if !self.connected => {
                let mut facts = self.folded();
                facts.push(self.connected(connection, 0));
                facts
            }
            _ => Vec::new(),
        }
    }

    /// A call on the connection is over.
    pub fn call(&mut self, connection: &Connection, op: Op, call: &CallInfo) -> Vec<Fact> {
        let (errno, ret) = (call.call.errno, call.call.ret);
        if errno != 0 {
            return self.call_failed(connection, op, call);
        }
        let address = || call.parts().given.map(|address| address.to_string());
        let fact = match op {
            Op::Setsockopt | Op::Fcntl | Op::Ioctl => {
                if let Some(name) = option(op, call) {
                    self.options += 1;
                    if self.names.len() < NAMES && !self.names.contains(&name) {
                        self.names.push(name);
                    }
                }
                return Vec::new();
            }
            Op::Socket => Fact::Created { fd: i32::try_from(ret).unwrap_or(-1), kind: kind(connection) },
            Op::Bind => {
                let Some(address) = address() else { return Vec::new() };
                let port_is_free = call.parts().given.and_then(Address::port) == Some(0);
                Fact::Bound { address, port_is_free }
            }
            Op::Listen => {
                let named = connection.local_address().filter(|local| local.port() != Some(0));
                Fact::Listening { address: named.map(|local| local.to_string()), backlog: call.call.arg }
            }
            Op::Connect if connection.kind == 2 => match address() {
                Some(address) => Fact::PeerChosen { address },
                None => return Vec::new(),
            },
            Op::Connect if !self.connected => self.connected(connection, call.duration_ns()),
            Op::Shutdown if call.call.arg == 0 => Fact::ReadsNoMore,
            Op::Shutdown => Fact::ShutDown { both: call.call.arg == 2, other: other(connection) },
            _ => return self.bytes(connection, op, call),
        };
        let mut facts = self.folded();
        facts.push(fact);
        facts
    }

    fn connected(&mut self, connection: &Connection, took_ns: u64) -> Fact {
        self.connected = true;
        self.wait_ns = connection.wait_ns;
        let took_ns = connection.phases.connect.map_or(took_ns, |span| span.duration_ns());
        let peer = connection.peer_address();
        match peer.and_then(|peer| Some((Ip(peer.ip()?).to_string(), peer.port()?))) {
            Some((ip, port)) => {
                let name = connection.peer_name.as_ref().map(|name| safe(name));
                let local = connection.local_address().map(|local| local.to_string());
                Fact::Connected { name, ip, port, local, took_ns }
            }
            None => Fact::ConnectedTo { address: peer.map_or("?".into(), |peer| peer.to_string()), took_ns },
        }
    }

    /// Bytes passed, or none did.
    fn bytes(&mut self, connection: &Connection, op: Op, call: &CallInfo) -> Vec<Fact> {
        let Some((direction, bytes)) = call.bytes() else { return Vec::new() };
        let mut facts = Vec::new();
        if bytes == 0 {
            let over = connection.evidence.eof_ns == Some(call.end_ns) && !self.ended;
            if direction == Direction::Received && over {
                self.ended = true;
                facts = self.folded();
                let first = connection.evidence.half_close_ns.is_none();
                facts.push(Fact::Ended { other: other(connection), first });
            }
            return facts;
        }
        if connection.kind == 2 || connection.role == Role::Datagram {
            return self.datagram(connection, direction, bytes, call);
        }
        let mut facts = self.passed(connection, op, direction, bytes, call);
        let sum = if direction == Direction::Sent { &mut self.sent } else { &mut self.received };
        *sum = sum.saturating_add(bytes);
        if let Some(tls) = connection.tls.as_deref().filter(|_| !self.secured)
            && let Some(took_ns) = tls.duration_ns()
        {
            self.secured = true;
            facts.extend(self.folded());
            facts.push(Fact::Secured { version: tls.version_name(), name: tls.server_name.clone(), took_ns });
        }
        facts
    }

    fn passed(
        &mut self,
        connection: &Connection,
        op: Op,
        direction: Direction,
        bytes: u64,
        call: &CallInfo,
    ) -> Vec<Fact> {
        let mut facts = Vec::new();
        let waited_ns = self.waited(connection, call);
        let asked = match op {
            Op::Write | Op::Send | Op::Sendto | Op::Writev | Op::Sendmsg => call.call.size.max(bytes),
            _ => bytes,
        };
        if self.last == Some(direction) && self.writes.0 + self.reads.0 == 0 && asked == bytes {
            self.more += 1;
            return facts;
        }
        if self.turns >= TURNS && asked == bytes {
            if self.more > 0 {
                self.folded_bytes(&mut facts);
            }
            self.last = Some(direction);
            let sum = if direction == Direction::Sent { &mut self.writes } else { &mut self.reads };
            *sum = (sum.0 + 1, sum.1.saturating_add(bytes));
            return facts;
        }
        facts = self.folded();
        self.turns += u32::from(self.last != Some(direction));
        self.last = Some(direction);
        let begins = first_line(call);
        facts.push(match direction {
            Direction::Sent => Fact::Wrote { bytes, asked, begins },
            Direction::Received => Fact::Read { bytes, waited_ns, begins },
        });
        facts
    }

    fn datagram(&mut self, connection: &Connection, direction: Direction, bytes: u64, call: &CallInfo) -> Vec<Fact> {
        let waited_ns = self.waited(connection, call);
        if self.turns >= TURNS {
            let sum = if direction == Direction::Sent { &mut self.writes } else { &mut self.reads };
            *sum = (sum.0 + 1, sum.1.saturating_add(bytes));
            return Vec::new();
        }
        self.turns += 1;
        let parts = call.parts();
        let named = parts.given.or(parts.returned).filter(|address| address.family() != 0);
        let address = named.or(connection.peer_address()).map(|address| address.to_string());
        let mut facts = self.folded();
        facts.push(match direction {
            Direction::Sent => Fact::SentDatagram { bytes, to: address },
            Direction::Received => Fact::ReceivedDatagram { bytes, from: address, waited_ns },
        });
        facts
    }

    /// How long it was waited for the bytes of this call: in it, and in `poll` and its kind before.
    fn waited(&mut self, connection: &Connection, call: &CallInfo) -> u64 {
        let polled = connection.wait_ns.saturating_sub(self.wait_ns);
        self.wait_ns = connection.wait_ns;
        call.duration_ns().saturating_add(polled)
    }

    fn call_failed(&mut self, connection: &Connection, op: Op, call: &CallInfo) -> Vec<Fact> {
        let errno = i32::from(call.call.errno);
        let reading = op.direction() == Some(Direction::Received);
        match (op, errno) {
            (Op::Connect, libc::EINPROGRESS) => {
                let mut facts = self.folded();
                if let Some(address) = call.parts().given.map(|address| address.to_string()) {
                    facts.push(Fact::ConnectBegun { name: connection.peer_name.as_ref().map(|n| safe(n)), address });
                }
                facts
            }
            (Op::Connect, libc::EALREADY | libc::EISCONN) => Vec::new(),
            (_, libc::EAGAIN) if op.direction().is_some() => {
                let told = self.again.get_mut(usize::from(reading)).is_none_or(|told| std::mem::replace(told, true));
                if told {
                    return Vec::new();
                }
                let mut facts = self.folded();
                facts.push(Fact::Again { reading });
                facts
            }
            (_, libc::EAGAIN | libc::EINTR | libc::EINPROGRESS) => Vec::new(),
            (_, libc::ECONNRESET) if op.direction().is_some() => {
                let mut facts = self.folded();
                if !std::mem::replace(&mut self.ended, true) {
                    facts.push(Fact::WasReset { other: other(connection) });
                }
                facts
            }
            _ => match op.phase() {
                Phase::Create | Phase::Connect | Phase::Communicate | Phase::Disconnect => {
                    self.failed(connection, op, call.call.errno)
                }
                _ => Vec::new(),
            },
        }
    }

    fn failed(&mut self, connection: &Connection, op: Op, errno: u16) -> Vec<Fact> {
        if self.failures.contains(&(op, errno)) || self.failures.len() >= FAILURES {
            return Vec::new();
        }
        self.failures.push((op, errno));
        let target = match op {
            Op::Connect => connection.peer_address(),
            Op::Bind => connection.local_address(),
            _ => None,
        };
        let mut facts = self.folded();
        facts.push(Fact::Failed { op, errno, target: target.map(|target| target.to_string()) });
        facts
    }
}
