//! The records in a chunk, one to 62 slots of 64 bytes each.
//!
//! Every record begins with its commit word, which is stored last: generation of the chunk, kind,
//! slots, state, flags. A slot whose generation is not the chunk's is not (yet) a record.
//! A call is one slot. What does not fit, such as addresses and payload, follows in extension
//! records that name the call by its `seq`, which counts the calls of a thread.

use crate::region::SLOT_BYTES;

/// A call that has been entered, and later completed in place.
pub const KIND_CALL: u8 = 1;
/// The end of a call whose own record was out of reach: a signal handler that interrupted it made so
/// many calls that the thread had left the chunk. Laid out as the [`Call`], with its `seq`.
pub const KIND_COMPLETION: u8 = 2;
/// A socket address: raw `sockaddr` bytes. The role says whose.
pub const KIND_ADDRESS: u8 = 3;
/// Bytes that were sent or received.
pub const KIND_PAYLOAD: u8 = 4;
/// A [`Socket`]: what a descriptor names, once per descriptor.
pub const KIND_SOCKET: u8 = 5;
/// A [`TcpState`], then the kernel's `struct tcp_info` as long as the kernel gave it.
pub const KIND_TCP_INFO: u8 = 6;
/// A [`Process`], then the path of what was executed and the arguments, each argument ended by a zero byte.
pub const KIND_PROCESS: u8 = 7;
/// A [`Mark`], then the program's text.
pub const KIND_MARK: u8 = 8;
/// Several [`Fd`]: descriptors that the call made, closed, passed or was asked about.
pub const KIND_FDS: u8 = 9;
/// Several [`Ready`]: what a wait ended with, or what `epoll_ctl` registered.
pub const KIND_READY: u8 = 10;
/// Text: a name, a service, a path. The role says which.
pub const KIND_TEXT: u8 = 11;
/// The bytes of a socket option's value.
pub const KIND_OPTION: u8 = 12;

/// A [`Left`], then a [`TcpState`] and the kernel's `struct tcp_info`: a TCP socket that a process which
/// ends has not closed.
pub const KIND_LEFT: u8 = 13;
/// An [`Injected`]: what a rule of the plan did to the call.
pub const KIND_INJECTED: u8 = 14;

/// [`Commit::state`]: on record before the kernel was asked.
pub const STATE_ENTERED: u8 = 1;
/// [`Commit::state`]: complete.
pub const STATE_DONE: u8 = 2;
/// [`Commit::state`]: passed on by a jump, so its result cannot be known (`vfork`, `dlopen`).
pub const STATE_JUMPED: u8 = 3;

/// [`Commit::flags`]: made by `syscall()`.
pub const FLAG_SYSCALL: u8 = 1;
/// [`Commit::flags`]: ticks are nanoseconds of CLOCK_MONOTONIC_COARSE, whatever the header says.
pub const FLAG_COARSE: u8 = 2;
/// [`Commit::flags`]: whether the descriptor is a socket could not be asked (seccomp filter, or a
/// number beyond the table). The call counts only if another call shows that it is one.
pub const FLAG_UNCLASSIFIED: u8 = 4;
/// [`Commit::flags`]: `socket` is the shim's own number, because SO_COOKIE could not, or should not, be asked.
pub const FLAG_LOCAL_IDENTITY: u8 = 8;
/// [`Commit::flags`]: bytes were looked at, not consumed (MSG_PEEK).
pub const FLAG_PEEK: u8 = 16;

/// The commit word, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Generation of the chunk that the record lies in.
    pub generation: u32,
    /// One of the `KIND_` numbers.
    pub kind: u8,
    /// Slots of the record, the first included.
    pub slots: u8,
    /// One of the `STATE_` numbers.
    pub state: u8,
    /// `FLAG_` bits.
    pub flags: u8,
}

impl Commit {
    /// The word as it is stored.
    pub const fn word(self) -> u64 {
        (self.generation as u64) << 32
            | (self.kind as u64) << 24
            | (self.slots as u64) << 16
            | (self.state as u64) << 8
            | self.flags as u64
    }

    /// Takes a stored word apart.
    pub const fn from_word(word: u64) -> Commit {
        Commit {
            generation: (word >> 32) as u32,
            kind: (word >> 24) as u8,
            slots: (word >> 16) as u8,
            state: (word >> 8) as u8,
            flags: word as u8,
        }
    }
}

layout! {
    /// One interposed call.
    pub struct Call = "call", 64 {
        /// See [`Commit`].
        0 commit: u64,
        /// Ticks when it was entered.
        8 start_ticks: u64,
        /// Ticks that it took; 0 until it is done.
        16 duration_ticks: u64,
        /// What it returned.
        24 ret: i64,
        /// The socket's SO_COOKIE, 0 if the descriptor is not known to be one.
        32 socket: u64,
        /// What was asked for: bytes, or what the op's row in docs/FORMAT.md says.
        40 size: u64,
        /// Counts the calls of the thread.
        48 seq: u32,
        /// The descriptor, -1 if the call has none.
        52 fd: i32,
        /// [`crate::op::Op`] number.
        56 op: u16,
        /// errno if the call failed, else 0.
        58 errno: u16,
        /// Flags, command, family: what the op's row in docs/FORMAT.md says.
        60 arg: u32,
    }
}

layout! {
    /// The head of every extension record. Its body follows at byte 16 and runs on through the
    /// slots of the record.
    pub struct Extension = "extension", 16 {
        /// See [`Commit`].
        0 commit: u64,
        /// The call that it belongs to; of no meaning for processes and marks.
        8 seq: u32,
        /// Bytes of the body.
        12 len: u16,
        /// One of the ROLE_ numbers.
        14 role: u8,
        /// Payload only: which part of it, in order, when it needs several records.
        15 part: u8,
    }
}

/// Most slots that one record takes.
pub const MAX_SLOTS: usize = 62;
/// Most bytes in the body of one extension.
pub const MAX_BODY: usize = MAX_SLOTS * SLOT_BYTES - Extension::SIZE;

/// Slots that an extension with a body of `len` bytes takes.
pub const fn extension_slots(len: usize) -> usize {
    (Extension::SIZE + len).div_ceil(SLOT_BYTES)
}

/// Address: the argument of the call (`connect`, `bind`, `sendto`).
pub const ROLE_GIVEN: u8 = 1;
/// Address: what the call returned (`accept`, `recvfrom`, `getsockname`).
pub const ROLE_RETURNED: u8 = 2;
/// Address: the socket's own end, asked by the shim.
pub const ROLE_LOCAL: u8 = 3;
/// Address: the other end, asked by the shim.
pub const ROLE_PEER: u8 = 4;
/// Address: an answer of name resolution.
pub const ROLE_RESOLVED: u8 = 5;
/// Payload: bytes that the call sent.
pub const ROLE_SENT: u8 = 6;
/// Payload: bytes that the call received.
pub const ROLE_RECEIVED: u8 = 7;
/// Text: the name that is resolved.
pub const ROLE_NAME: u8 = 8;
/// Text: the service that is resolved.
pub const ROLE_SERVICE: u8 = 9;
/// Text: the program that is executed, or the command.
pub const ROLE_PATH: u8 = 10;
/// Descriptors: made by the call (`socketpair`, `dup`, SCM_RIGHTS received).
pub const ROLE_MADE: u8 = 11;
/// Descriptors: closed by the call (`close_range`, `dup2`).
pub const ROLE_CLOSED: u8 = 12;
/// Descriptors: passed to another process with SCM_RIGHTS.
pub const ROLE_PASSED: u8 = 13;
/// Descriptors: the input end of `sendfile`, `splice` and their kind.
pub const ROLE_INPUT: u8 = 14;
/// Descriptors: the output end of `sendfile`, `splice` and their kind.
pub const ROLE_OUTPUT: u8 = 15;
/// TCP_INFO: of the [`Socket`] in front of it, which was there before it was first seen.
pub const ROLE_FOUND: u8 = 16;

layout! {
    /// The body of [`KIND_SOCKET`].
    pub struct Socket = "socket", 48 {
        /// Its identity, as in [`Call::socket`].
        0 socket: u64,
        /// Its inode, as /proc/PID/fd shows it; 0 if it was not asked.
        8 inode: u64,
        /// The descriptor that it was seen under.
        16 fd: i32,
        /// Address family.
        20 domain: i32,
        /// SOCK_STREAM and so on, without flags.
        24 kind: i32,
        /// Protocol.
        28 protocol: i32,
        /// Inode of the network namespace that its process was in when this was first asked, which is at its first
        /// socket; 0 if unknown.
        32 net_namespace: u64,
        /// Zero.
        40 reserved: u64,
    }
}

layout! {
    /// The first part of the body of [`KIND_TCP_INFO`].
    pub struct TcpState = "tcp_state", 8 {
        /// Received and never read (SIOCINQ); 0 without asking where all that came was seen read; -1 if unknown.
        0 unread_bytes: i32,
        /// Written and not acknowledged (SIOCOUTQ); -1 if it was not asked.
        4 unsent_bytes: i32,
    }
}

/// [`Call::size`] of `execve` and its kind: the child of a vfork made the call, in its parent's name.
pub const EXEC_IN_VFORK: u64 = 1;

/// [`Process::how`]: a program was executed, or we were loaded into it.
pub const PROCESS_IMAGE: u32 = 1;
/// [`Process::how`]: a process forked.
pub const PROCESS_FORK: u32 = 2;

layout! {
    /// The first part of the body of [`KIND_PROCESS`].
    pub struct Process = "process", 72 {
        /// Its number in this region.
        0 process: u32,
        /// The number of the process that forked it, 0 if it came by exec.
        4 parent: u32,
        /// Its pid.
        8 pid: u32,
        /// Its parent's pid.
        12 ppid: u32,
        /// PROCESS_IMAGE or PROCESS_FORK.
        16 how: u32,
        /// Its user id.
        20 uid: u32,
        /// Ticks when it attached.
        24 ticks: u64,
        /// CLOCK_REALTIME when it attached; 0 if that could not be asked.
        32 real_ns: u64,
        /// Inode of its pid namespace; 0 if it was not asked, all ones if it was and could not be told.
        40 pid_namespace: u64,
        /// Inode of its network namespace, 0 if unknown: its sockets tell theirs ([`Socket`]).
        48 net_namespace: u64,
        /// Bytes of the path of what was executed, in the text that follows.
        56 path_bytes: u32,
        /// Bytes of the arguments in the text that follows.
        60 arguments_bytes: u32,
        /// Zero.
        64 reserved: u64,
    }
}

layout! {
    /// The first part of the body of [`KIND_MARK`].
    pub struct Mark = "mark", 8 {
        /// When.
        0 ticks: u64,
    }
}

layout! {
    /// The first part of the body of [`KIND_LEFT`].
    pub struct Left = "left", 24 {
        /// When.
        0 ticks: u64,
        /// Its identity, as in [`Call::socket`].
        8 socket: u64,
        /// A descriptor that names it.
        16 fd: i32,
        /// Zero.
        20 reserved: u32,
    }
}

layout! {
    /// The body of [`KIND_INJECTED`].
    pub struct Injected = "injected", 24 {
        /// The rule of the plan, from 1 on.
        0 rule: u32,
        /// What it did: [`crate::plan::What`] numbers, added up.
        4 what: u32,
        /// The errno, the value that was returned, the signal, or the bytes that it was cut to.
        8 value: i64,
        /// How long the call was delayed.
        16 delay_ns: u64,
    }
}

layout! {
    /// One descriptor in a [`KIND_FDS`].
    pub struct Fd = "fd", 16 {
        /// The number.
        0 fd: i32,
        /// Zero.
        4 reserved: u32,
        /// What it names, 0 if that is no socket or unknown.
        8 socket: u64,
    }
}

layout! {
    /// One descriptor in a [`KIND_READY`].
    pub struct Ready = "ready", 24 {
        /// The number; -1 from `epoll_wait`, which knows only `data`.
        0 fd: i32,
        /// POLLIN and so on; for `select` POLLIN, POLLOUT, POLLPRI for the three sets.
        4 events: u32,
        /// The program's own data (`epoll_ctl`, `epoll_wait`).
        8 data: u64,
        /// What the descriptor names, 0 if unknown.
        16 socket: u64,
    }
}

/// The layouts as text, kept in every file.
pub const SCHEMA: &[&str] = &[
    crate::region::Header::SCHEMA,
    crate::region::Chunk::SCHEMA,
    Call::SCHEMA,
    Extension::SCHEMA,
    Socket::SCHEMA,
    TcpState::SCHEMA,
    Process::SCHEMA,
    Mark::SCHEMA,
    Left::SCHEMA,
    Injected::SCHEMA,
    Fd::SCHEMA,
    Ready::SCHEMA,
    crate::trace::FileHeader::SCHEMA,
    crate::trace::Block::SCHEMA,
    crate::trace::Run::SCHEMA,
    crate::trace::Clock::SCHEMA,
    crate::trace::End::SCHEMA,
];
