//! What of the trace is compared: the calls on sockets and the waits, each with the name of the
//! system call that it has to be.

use std::collections::{HashMap, HashSet};

use sockshim_format::op::{Op, Phase};
use sockshim_format::record::{ROLE_GIVEN, ROLE_PEER, ROLE_RETURNED};
use sockshim_reader::{CallInfo, Event};

use super::address::{self, Told};

/// Calls that only sockets know, and that strace calls `network`. They are recorded whatever their
/// descriptor is.
pub const NETWORK: &[&str] = &[
    "socket",
    "socketpair",
    "connect",
    "bind",
    "listen",
    "accept",
    "accept4",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "shutdown",
    "getsockopt",
    "setsockopt",
    "getsockname",
    "getpeername",
];

/// What else is recorded whatever its descriptor is: waits, and what may be about any of them.
pub const ALWAYS: &[&str] = &[
    "close_range",
    "pidfd_getfd",
    "poll",
    "ppoll",
    "select",
    "epoll_create",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait2",
];

/// What is recorded on sockets.
pub const ON_SOCKETS: &[&str] = &[
    "read",
    "write",
    "readv",
    "writev",
    "preadv2",
    "pwritev2",
    "close",
    "dup",
    "dup2",
    "dup3",
    "fcntl",
    "ioctl",
    "sendfile",
    "splice",
    "tee",
    "vmsplice",
    "copy_file_range",
];

/// What `syscall()` makes of them is passed through unrecorded: src/hooks/raw.rs has no row for it.
pub const NOT_BY_NUMBER: &[&str] = &[
    "ppoll",
    "pselect6",
    "epoll_pwait",
    "epoll_pwait2",
    "preadv2",
    "pwritev2",
    "epoll_create",
    "epoll_create1",
    "tee",
    "vmsplice",
    "copy_file_range",
];

/// One name for system calls that libc uses for the same function. None for what is not compared.
pub fn class(system_call: &str) -> Option<&'static str> {
    let name = match system_call {
        "pselect6" => "select",
        "epoll_create1" => "epoll_create",
        "epoll_pwait" => "epoll_wait",
        other => other,
    };
    NETWORK.iter().chain(ALWAYS).chain(ON_SOCKETS).find(|known| **known == name).copied()
}

/// The system call that a function is. None for one that may make any number of them, and is
/// recorded as a whole.
pub fn class_of(op: Op) -> Option<&'static str> {
    if matches!(op.phase(), Phase::Resolve | Phase::Process) {
        return None;
    }
    match op.base() {
        Op::Send => Some("sendto"),
        Op::Recv => Some("recvfrom"),
        Op::Pselect => Some("select"),
        base => class(base.symbol()),
    }
}

/// A record to be compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The process, by its number.
    pub process: u32,
    /// The place among the calls of its thread.
    pub seq: u32,
    /// The function.
    pub name: &'static str,
    /// The system call that it has to be.
    pub class: &'static str,
    /// The descriptor.
    pub fd: i32,
    /// What it returned, and errno; `None` if it never did.
    pub ret: Option<(i64, u16)>,
    /// The address that it was given, or that it returned.
    pub address: Option<Told>,
    /// Bytes of all messages, of a call with several.
    pub bytes: Option<u64>,
    /// The first bytes that passed.
    pub payload: Vec<u8>,
}

impl Record {
    fn of(info: &CallInfo) -> Option<Record> {
        let op = info.op()?;
        let class = class_of(op)?;
        let done = info.is_done();
        let several = matches!(op, Op::Sendmmsg | Op::Recvmmsg) && done && info.call.ret >= 0;
        let roles = [ROLE_GIVEN, ROLE_RETURNED, ROLE_PEER];
        // What the shim asks about a socket that it sees first is not of the call.
        let roles = if matches!(op.base(), Op::Accept | Op::Accept4) { &roles[1..] } else { &roles[..2] };
        Some(Record {
            process: info.process,
            seq: info.call.seq,
            name: op.name(),
            class,
            // It may be the number of a descriptor, or no descriptor at all.
            fd: if WITHOUT_DESCRIPTOR.contains(&class) { -1 } else { info.call.fd },
            ret: done.then_some((info.call.ret, info.call.errno)),
            address: roles.iter().find_map(|role| address::of_record(info.address(*role)?.0)),
            bytes: several.then_some(info.call.size),
            payload: info.payload().map(|(_, bytes)| bytes.to_vec()).unwrap_or_default(),
        })
    }
}

/// System calls whose first argument is no descriptor.
pub const WITHOUT_DESCRIPTOR: &[&str] = &["socket", "socketpair", "poll", "ppoll", "select", "epoll_create"];

/// The records of a run, by thread.
#[derive(Debug, Default)]
pub struct Records {
    threads: HashMap<u32, HashMap<(u32, u32), Record>>,
    /// Functions that are recorded as a whole, and the threads that called them.
    whole: HashSet<(u32, &'static str)>,
}

impl Records {
    /// Takes in what happened.
    pub fn event(&mut self, event: &Event) {
        // A call that was told as entered comes again when it is over.
        let (Event::Call(info) | Event::Entered(info)) = event else { return };
        if let Some(record) = Record::of(info) {
            self.threads.entry(info.tid).or_default().insert((record.process, record.seq), record);
        } else if let Some(op) = info.op() {
            self.whole.insert((info.tid, op.name()));
        }
    }

    /// Whether a thread has a record of a function that is recorded as a whole.
    pub fn has_whole(&self, tid: u32, op: Op) -> bool {
        self.whole.contains(&(tid, op.name()))
    }

    /// Those of one thread.
    #[cfg(test)]
    pub fn of_thread(tid: u32, records: Vec<Record>) -> Records {
        let records = records.into_iter().map(|record| ((record.process, record.seq), record)).collect();
        Records { threads: HashMap::from([(tid, records)]), ..Records::default() }
    }

    /// The threads that have any.
    pub fn threads(&self) -> impl Iterator<Item = u32> {
        self.threads.keys().copied()
    }

    /// Those of a thread, in its order. A program that is executed has a greater number than the one before.
    pub fn of(&self, tid: u32) -> Vec<&Record> {
        let mut records: Vec<&Record> = self.threads.get(&tid).into_iter().flat_map(HashMap::values).collect();
        records.sort_by_key(|record| (record.process, record.seq));
        records
    }
}
