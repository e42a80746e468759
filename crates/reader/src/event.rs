//! Something that happened, with all that belongs to it.

use sockshim_format::address::Address;
use sockshim_format::line::Parts;
use sockshim_format::op::{Direction, Op};
use sockshim_format::record::*;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A process attached.
    Process(ProcessInfo),
    /// The program left a mark.
    Mark(MarkInfo),
    /// A process is about to end, and has not closed a TCP socket.
    Left(LeftInfo),
    /// A call was entered, and has taken some time.
    Entered(CallInfo),
    /// A call is over.
    Call(CallInfo),
    /// A call of an earlier file of the run, told again because the socket that it is about is still in use.
    Earlier(CallInfo),
    /// Calls of a thread were lost, about here.
    Lost {
        /// The process, by its number.
        process: u32,
        /// The thread.
        tid: u32,
        /// How many.
        count: u32,
    },
}

/// A process, as it introduced itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Numbers and namespaces.
    pub process: Process,
    /// When it attached, in nanoseconds since the epoch.
    pub time_ns: u64,
    /// The path of its program, as it was executed.
    pub exe: Vec<u8>,
    /// Its arguments, the zeroth included.
    pub args: Vec<Vec<u8>>,
}

impl ProcessInfo {
    /// What people call the program: the last part of the name that it was called by, which for `sh`
    /// is not that of the executable, or else of the executable's path. Cut to what a file system allows, for
    /// every connection keeps the names of those who hold it.
    pub fn name(&self) -> String {
        const NAME_MAX: usize = 255;
        let called = self.args.first().filter(|arg| !arg.is_empty()).unwrap_or(&self.exe);
        let name = called.rsplit(|b| *b == b'/').next().unwrap_or(called);
        // A login shell is called with a dash in front.
        let name = name.strip_prefix(b"-").unwrap_or(name);
        String::from_utf8_lossy(name.get(..NAME_MAX).unwrap_or(name)).into_owned()
    }
}

/// Text that the program wrote into its own trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkInfo {
    /// The process, by its number.
    pub process: u32,
    /// Its pid, 0 if unknown.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// When, in nanoseconds since the epoch.
    pub time_ns: u64,
    /// The text.
    pub text: Vec<u8>,
}

/// A TCP socket that a process which ends has not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftInfo {
    /// The process, by its number.
    pub process: u32,
    /// The thread.
    pub tid: u32,
    /// When, in nanoseconds since the epoch.
    pub time_ns: u64,
    /// The socket, and a descriptor that names it.
    pub left: Left,
    /// What is in its queues.
    pub state: TcpState,
    /// The kernel's `struct tcp_info`, as long as it gave it.
    pub info: Vec<u8>,
}

/// A call with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallInfo {
    /// The process, by its number.
    pub process: u32,
    /// Its pid, 0 if unknown.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// The call itself. A completion is told as the call that it completes.
    pub call: Call,
    /// What belongs to it: payload, and lists of descriptors, in one piece for each role.
    pub extensions: Vec<OwnedExtension>,
    /// When it was entered, in nanoseconds since the epoch.
    pub start_ns: u64,
    /// When it returned; the same as `start_ns` while it has not.
    pub end_ns: u64,
    /// Whether it was told as entered before.
    pub announced: bool,
}

/// An extension with its own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedExtension {
    /// One of the KIND_ numbers.
    pub kind: u8,
    /// One of the ROLE_ numbers.
    pub role: u8,
    /// Which part of the payload.
    pub part: u8,
    /// Its bytes.
    pub body: Vec<u8>,
}

impl CallInfo {
    /// Room for one.
    pub(crate) fn none() -> CallInfo {
        let call = Call {
            commit: 0,
            start_ticks: 0,
            duration_ticks: 0,
            ret: 0,
            socket: 0,
            size: 0,
            seq: 0,
            fd: 0,
            op: 0,
            errno: 0,
            arg: 0,
        };
        let (extensions, announced) = (Vec::new(), false);
        CallInfo { process: 0, pid: 0, tid: 0, call, extensions, start_ns: 0, end_ns: 0, announced }
    }

    /// The operation, if this version knows it.
    pub fn op(&self) -> Option<Op> {
        Op::from_number(self.call.op)
    }

    /// The commit word of the call, taken apart.
    pub fn commit(&self) -> Commit {
        Commit::from_word(self.call.commit)
    }

    /// Whether it returned, and what it returned is known.
    pub fn is_done(&self) -> bool {
        self.commit().state == STATE_DONE
    }

    /// How long it took.
    pub fn duration_ns(&self) -> u64 {
        self.end_ns - self.start_ns
    }

    /// The bodies of the extensions, for [`sockshim_format::line::Line`].
    pub fn parts(&self) -> Parts<'_> {
        let mut parts = Parts::default();
        for extension in &self.extensions {
            let OwnedExtension { kind, role, part, ref body } = *extension;
            if kind == KIND_PAYLOAD {
                // In one piece it may be longer than a head can say.
                parts.payload.get_or_insert(body);
            } else {
                let head = Extension { commit: 0, seq: self.call.seq, len: u16::MAX, role, part };
                parts.add(kind, &head, body);
            }
        }
        parts
    }

    /// Whether nothing belongs to it but what it carried.
    #[inline]
    pub fn is_bare(&self) -> bool {
        self.extensions.iter().all(|extension| extension.kind == KIND_PAYLOAD)
    }

    /// The bodies of the extensions of a kind and role.
    pub fn bodies(&self, kind: u8, role: u8) -> impl Iterator<Item = &[u8]> {
        self.extensions.iter().filter(move |e| e.kind == kind && e.role == role).map(|e| &e.body[..])
    }

    /// What the rules of a plan did to it.
    pub fn injected(&self) -> impl Iterator<Item = Injected> {
        self.extensions.iter().filter(|e| e.kind == KIND_INJECTED).filter_map(|e| Injected::read(&e.body))
    }

    /// The descriptors in all lists of a role.
    pub fn fds(&self, role: u8) -> impl Iterator<Item = Fd> {
        self.bodies(KIND_FDS, role).flat_map(|body| body.chunks_exact(Fd::SIZE).filter_map(Fd::read))
    }

    /// What a wait ended with, or what `epoll_ctl` registered.
    pub fn ready(&self) -> impl Iterator<Item = Ready> {
        let lists = self.extensions.iter().filter(|e| e.kind == KIND_READY);
        lists.flat_map(|e| e.body.chunks_exact(Ready::SIZE).filter_map(Ready::read))
    }

    /// The last address of a role: of several the newest, such as the socket's own address before
    /// a `connect` and behind it.
    pub fn address(&self, role: u8) -> Option<Address<'_>> {
        let addresses = self.extensions.iter().rev().filter(|e| (e.kind, e.role) == (KIND_ADDRESS, role));
        addresses.map(|e| Address(&e.body)).find(|address| address.family() != 0)
    }

    /// The sockets that the call identified.
    pub fn sockets(&self) -> impl Iterator<Item = Socket> {
        self.extensions.iter().filter(|e| e.kind == KIND_SOCKET).filter_map(|e| Socket::read(&e.body))
    }

    /// The payload that was kept, and which way it went.
    pub fn payload(&self) -> Option<(Direction, &[u8])> {
        let payload = self.extensions.iter().find(|e| e.kind == KIND_PAYLOAD)?;
        let direction = match payload.role {
            ROLE_SENT => Direction::Sent,
            ROLE_RECEIVED => Direction::Received,
            _ => self.op()?.direction()?,
        };
        Some((direction, &payload.body))
    }

    /// The bytes that passed on the descriptor of the call: none when it failed, has not returned, or
    /// only looked at them. `None` when the operation carries none.
    pub fn bytes(&self) -> Option<(Direction, u64)> {
        self.bytes_by(self.op()?)
    }

    /// The same of a call whose operation is known.
    #[inline]
    pub(crate) fn bytes_by(&self, op: Op) -> Option<(Direction, u64)> {
        let direction = op.direction()?;
        let none = !self.is_done() || self.call.ret <= 0 || self.commit().flags & FLAG_PEEK != 0;
        Some((
            direction,
            match op.base() {
                _ if none => 0,
                // They return messages; the shim counts the bytes.
                Op::Sendmmsg | Op::Recvmmsg => self.call.size,
                _ => self.call.ret as u64,
            },
        ))
    }

    /// Whether it is a read that gave nothing though it asked for bytes: on a stream, the end. A read of no bytes
    /// gives nothing too, and of `readv` and `recvmsg` it is not on record how much they asked for.
    pub fn is_end_of_file(&self) -> bool {
        if self.call.ret != 0 {
            return false;
        }
        let asked = match self.op().map(Op::base) {
            Some(Op::Read | Op::Recv | Op::Recvfrom) => self.call.size > 0,
            Some(Op::Readv | Op::Recvmsg) => true,
            _ => false,
        };
        asked && self.is_done() && self.call.errno == 0
    }
}

impl Event {
    /// When it happened, for putting events in order: a call at its start, one that was told as
    /// entered at its end. `None` when it has no time of its own.
    pub fn time_ns(&self) -> Option<u64> {
        match self {
            Event::Process(process) => Some(process.time_ns),
            Event::Mark(mark) => Some(mark.time_ns),
            Event::Left(left) => Some(left.time_ns),
            Event::Entered(call) | Event::Earlier(call) => Some(call.start_ns),
            Event::Call(call) => Some(if call.announced { call.end_ns } else { call.start_ns }),
            Event::Lost { .. } => None,
        }
    }
}
