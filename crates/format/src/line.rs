//! One call as one line of text, in the style of strace: `send(5<127.0.0.1:80 http>, "GET /"..., 78) = 78`.
//!
//! The text log of the shim and the live view of the tool print the same line from the same record.

use crate::address::{Address, Ip, fmt_text};
use crate::errno::errno_name;
use crate::names::{self, Flags, Or};
use crate::op::Op;
use crate::record::*;
use core::fmt;

/// What belongs to a call besides its own record: the bodies of its extensions.
#[derive(Clone, Copy, Default)]
pub struct Parts<'a> {
    /// The address that the program passed.
    pub given: Option<Address<'a>>,
    /// The address that the call returned.
    pub returned: Option<Address<'a>>,
    /// The socket's own address.
    pub local: Option<Address<'a>>,
    /// The peer's address, asked by the shim.
    pub peer: Option<Address<'a>>,
    /// The first answers of name resolution.
    pub resolved: [Option<Address<'a>>; 4],
    /// Payload, the first part of it.
    pub payload: Option<&'a [u8]>,
    /// The name that was resolved.
    pub name: Option<&'a [u8]>,
    /// The service that was resolved.
    pub service: Option<&'a [u8]>,
    /// The program or command.
    pub path: Option<&'a [u8]>,
    /// [`Fd`]s made.
    pub made: Option<&'a [u8]>,
    /// [`Fd`]s closed.
    pub closed: Option<&'a [u8]>,
    /// [`Fd`]s passed to another process.
    pub passed: Option<&'a [u8]>,
    /// [`Ready`]s.
    pub ready: Option<&'a [u8]>,
    /// The value of a socket option.
    pub option: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    /// Takes in one extension. Of several alike the first is kept.
    pub fn add(&mut self, kind: u8, head: &Extension, body: &'a [u8]) {
        let body = &body[..body.len().min(head.len as usize)];
        let place = match (kind, head.role) {
            (KIND_ADDRESS, ROLE_RESOLVED) => {
                if let Some(free) = self.resolved.iter_mut().find(|slot| slot.is_none()) {
                    *free = Some(Address(body));
                }
                return;
            }
            (KIND_ADDRESS, role) => {
                let place = match role {
                    ROLE_GIVEN => &mut self.given,
                    ROLE_RETURNED => &mut self.returned,
                    ROLE_LOCAL => &mut self.local,
                    ROLE_PEER => &mut self.peer,
                    _ => return,
                };
                place.get_or_insert(Address(body));
                return;
            }
            (KIND_PAYLOAD, _) => &mut self.payload,
            (KIND_TEXT, ROLE_NAME) => &mut self.name,
            (KIND_TEXT, ROLE_SERVICE) => &mut self.service,
            (KIND_TEXT, ROLE_PATH) => &mut self.path,
            (KIND_FDS, ROLE_MADE) => &mut self.made,
            (KIND_FDS, ROLE_CLOSED) => &mut self.closed,
            (KIND_FDS, ROLE_PASSED) => &mut self.passed,
            (KIND_READY, _) => &mut self.ready,
            (KIND_OPTION, _) => &mut self.option,
            _ => return,
        };
        place.get_or_insert(body);
    }

    /// The descriptors in one of the lists.
    pub fn fds(list: Option<&'a [u8]>) -> impl Iterator<Item = Fd> + 'a {
        list.unwrap_or(&[]).chunks_exact(Fd::SIZE).filter_map(Fd::read)
    }

    /// What the wait ended with.
    pub fn ready(&self) -> impl Iterator<Item = Ready> + 'a {
        self.ready.unwrap_or(&[]).chunks_exact(Ready::SIZE).filter_map(Ready::read)
    }
}

/// A call, printable as a line.
pub struct Line<'a> {
    /// The call.
    pub call: &'a Call,
    /// Its extensions.
    pub parts: &'a Parts<'a>,
    /// The other end of the descriptor, if it is known.
    pub peer: Option<Address<'a>>,
    /// How long it took.
    pub duration_ns: u64,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = Op::from_number(self.call.op);
        match op {
            Some(op) => f.write_str(op.name())?,
            None => write!(f, "op_{}", self.call.op)?,
        }
        f.write_str("(")?;
        self.arguments(f, op.map(Op::base))?;
        f.write_str(")")?;
        match Commit::from_word(self.call.commit).state {
            STATE_ENTERED => f.write_str(" ..."),
            STATE_JUMPED => f.write_str(" = ?"),
            _ => {
                self.result(f, op.map(Op::base))?;
                write!(f, " <{}>", Duration(self.duration_ns))
            }
        }
    }
}

impl Line<'_> {
    /// The arguments, the descriptor first with who is at its other end.
    fn arguments(&self, f: &mut fmt::Formatter<'_>, op: Option<Op>) -> fmt::Result {
        let call = self.call;
        let (arg, size, done) = (call.arg, call.size, Commit::from_word(call.commit).state == STATE_DONE);
        let parts = self.parts;
        let Some(op) = op else { return write!(f, "{}", call.fd) };
        if op.names_descriptor() {
            write!(f, "{}", call.fd)?;
            if let Some(peer) = self.peer {
                write!(f, "<{}>", Named(peer))?;
            }
        }
        match op {
            Op::Socket | Op::Socketpair => {
                let (kind, protocol) = (size as u32 as i32, (size >> 32) as i32);
                write!(f, "{}, ", Or(names::family(arg as i32), "", arg as i64))?;
                write!(f, "{}", Or(names::socket_kind(kind & 0xf), "", (kind & 0xf) as i64))?;
                if kind & !0xf != 0 {
                    write!(f, "|{}", Flags(names::SOCKET_FLAGS, (kind & !0xf) as u32 as u64))?;
                }
                write!(f, ", {}", Or(names::protocol(protocol), "", protocol as i64))?;
                if op == Op::Socketpair && done {
                    let mut fds = Parts::fds(parts.made);
                    if let (Some(a), Some(b)) = (fds.next(), fds.next()) {
                        write!(f, ", [{}, {}]", a.fd, b.fd)?;
                    }
                }
                Ok(())
            }
            Op::Connect | Op::Bind | Op::Bindresvport => match parts.given {
                Some(address) => write!(f, ", {}", Named(address)),
                None => f.write_str(", ?"),
            },
            Op::Listen => write!(f, ", {}", arg as i32),
            Op::Accept | Op::Accept4 | Op::Getsockname | Op::Getpeername => {
                if let Some(address) = parts.returned {
                    write!(f, ", {address}")?;
                }
                if op == Op::Accept4 && arg != 0 {
                    write!(f, ", {}", Flags(names::SOCKET_FLAGS, arg as u64))?;
                }
                Ok(())
            }
            Op::Read | Op::Write => {
                self.payload(f)?;
                write!(f, ", {size}")
            }
            Op::Readv | Op::Writev | Op::Preadv2 | Op::Pwritev2 | Op::Vmsplice => {
                self.payload(f)?;
                write!(f, ", {} iov", arg as i32)
            }
            Op::Send | Op::Recv | Op::Sendto | Op::Recvfrom | Op::Sendmsg | Op::Recvmsg => {
                self.payload(f)?;
                if !matches!(op, Op::Sendmsg | Op::Recvmsg) {
                    write!(f, ", {size}")?;
                }
                write!(f, ", {}", Flags(names::MSG_FLAGS, arg as u64))?;
                if let Some(address) = parts.given.or(parts.returned) {
                    write!(f, ", {}", Named(address))?;
                }
                if let Some(passed) = parts.passed.or(parts.made) {
                    f.write_str(", SCM_RIGHTS")?;
                    fds(f, Some(passed))?;
                }
                Ok(())
            }
            Op::Sendmmsg | Op::Recvmmsg => {
                self.payload(f)?;
                write!(f, ", {}", Flags(names::MSG_FLAGS, arg as u64))?;
                if done { write!(f, ", {size} bytes") } else { Ok(()) }
            }
            Op::Sendfile | Op::Splice | Op::Tee | Op::CopyFileRange => write!(f, ", {}, {size}", arg as i32),
            Op::Shutdown => write!(f, ", {}", Or(names::shutdown_how(arg as i32), "", arg as i32 as i64)),
            Op::CloseRange => {
                write!(f, ", {}", size as u32)?;
                fds(f, parts.closed)
            }
            Op::Closefrom => fds(f, parts.closed),
            Op::Dup2 | Op::Dup3 => {
                write!(f, ", {}", arg as i32)?;
                if size != 0 { write!(f, ", O_CLOEXEC") } else { Ok(()) }
            }
            Op::Fcntl => {
                write!(f, ", {}", Or(names::fcntl_command(arg as i32), "", arg as i32 as i64))?;
                match arg {
                    4 => write!(f, ", {}", Flags(names::OPEN_FLAGS, size)),
                    0 | 2 | 8 | 10 | 1030 => write!(f, ", {}", size as i32),
                    _ => Ok(()),
                }
            }
            Op::Ioctl => match names::ioctl_request(size) {
                Some(name) => write!(f, ", {name}"),
                None => write!(f, ", {size:#x}"),
            },
            Op::Getsockopt | Op::Setsockopt => {
                let (level, name) = ((arg >> 16) as i32, (arg & 0xffff) as i32);
                write!(f, ", {}, ", Or(names::option_level(level), "", level as i64))?;
                write!(f, "{}", Or(names::option(level, name), "", name as i64))?;
                match parts.option {
                    Some(value) => write!(f, ", {}", OptionValue(value)),
                    None => Ok(()),
                }
            }
            Op::Poll | Op::Ppoll | Op::Select | Op::Pselect => {
                ready(f, parts, "")?;
                write!(f, "{size} fds, ")?;
                match op {
                    // What was asked is not known: Linux stores what was left in its place.
                    Op::Select if arg == 0 => f.write_str("timed"),
                    _ => timeout(f, arg),
                }
            }
            Op::EpollCtl => {
                write!(f, ", {}, {}", Or(names::epoll_command(arg as i32), "", arg as i64), size as i32)?;
                match parts.ready().next() {
                    Some(r) if arg != 2 => write!(f, ", {}", Flags(names::POLL_EVENTS, r.events as u64)),
                    _ => Ok(()),
                }
            }
            Op::EpollWait | Op::EpollPwait | Op::EpollPwait2 => {
                f.write_str(", ")?;
                ready(f, parts, "")?;
                timeout(f, arg)
            }
            Op::Execve
            | Op::Execv
            | Op::Execvp
            | Op::Execvpe
            | Op::Execl
            | Op::Execlp
            | Op::Execle
            | Op::Execveat
            | Op::PosixSpawn
            | Op::PosixSpawnp
            | Op::Popen
            | Op::System => text(f, parts.path),
            Op::Fexecve | Op::UnderExit | Op::CapitalExit | Op::QuickExit => write!(f, "{}", arg as i32),
            Op::Prctl => write!(f, "{}", Or(names::prctl_command(arg as i32), "", arg as i64)),
            Op::Getaddrinfo
            | Op::GetaddrinfoA
            | Op::Getnameinfo
            | Op::Gethostbyname
            | Op::GethostbynameR
            | Op::Gethostbyname2
            | Op::Gethostbyname2R
            | Op::Gethostbyaddr
            | Op::GethostbyaddrR
            | Op::ResQuery
            | Op::ResSearch
            | Op::ResNquery
            | Op::ResNsearch
            | Op::ResQuerydomain
            | Op::ResNquerydomain => self.resolution(f),
            _ => Ok(()),
        }
    }

    fn payload(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(payload) = self.parts.payload else { return Ok(()) };
        f.write_str(", ")?;
        let op = Op::from_number(self.call.op).map(Op::base);
        let whole = match op {
            Some(Op::Sendmmsg | Op::Recvmmsg) => self.call.size,
            _ => self.call.ret.max(0) as u64,
        };
        write!(f, "{}", Quoted(payload))?;
        if (payload.len() as u64) < whole { f.write_str("...") } else { Ok(()) }
    }

    fn resolution(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(address) = self.parts.given {
            write!(f, "{address}")?;
        } else {
            text(f, self.parts.name)?;
        }
        if let Some(service) = self.parts.service {
            f.write_str(", ")?;
            text(f, Some(service))?;
        }
        for (i, address) in self.parts.resolved.iter().flatten().enumerate() {
            f.write_str(if i == 0 { " -> " } else { ", " })?;
            match address.ip() {
                Some(ip) => write!(f, "{}", Ip(ip))?,
                None => write!(f, "{address}")?,
            }
        }
        Ok(())
    }

    fn result(&self, f: &mut fmt::Formatter<'_>, op: Option<Op>) -> fmt::Result {
        let call = self.call;
        match op {
            Some(Op::Getaddrinfo | Op::Getnameinfo | Op::GetaddrinfoA) => {
                write!(f, " = {}", Or(names::resolver_error(call.ret), "", call.ret))
            }
            Some(Op::Fcntl) if call.arg == 3 && call.ret >= 0 => {
                write!(f, " = {}", Flags(names::OPEN_FLAGS, call.ret as u64))
            }
            _ if call.errno != 0 => match errno_name(call.errno) {
                "" => write!(f, " = {} errno {}", call.ret, call.errno),
                name => write!(f, " = {} {name}", call.ret),
            },
            _ => write!(f, " = {}", call.ret),
        }
    }
}

fn text(f: &mut fmt::Formatter<'_>, text: Option<&[u8]>) -> fmt::Result {
    match text {
        Some(text) => write!(f, "{}", Quoted(text)),
        None => f.write_str("NULL"),
    }
}

fn fds(f: &mut fmt::Formatter<'_>, list: Option<&[u8]>) -> fmt::Result {
    if list.is_none() {
        return Ok(());
    }
    for (i, fd) in Parts::fds(list).enumerate() {
        write!(f, "{}{}", if i == 0 { " [" } else { ", " }, fd.fd)?;
    }
    f.write_str("]")
}

fn ready(f: &mut fmt::Formatter<'_>, parts: &Parts<'_>, empty: &str) -> fmt::Result {
    let mut any = false;
    for r in parts.ready() {
        f.write_str(if any { ", " } else { "[" })?;
        any = true;
        match r.fd {
            -1 => write!(f, "data {:#x}", r.data)?,
            fd => write!(f, "{fd}")?,
        }
        write!(f, " {}", Flags(names::POLL_EVENTS, r.events as u64))?;
    }
    f.write_str(if any { "], " } else { empty })
}

fn timeout(f: &mut fmt::Formatter<'_>, milliseconds: u32) -> fmt::Result {
    match milliseconds as i32 {
        -1 => f.write_str("forever"),
        ms => write!(f, "{ms} ms"),
    }
}

/// An address with the name of its service: `127.0.0.1:80 http`.
pub struct Named<'a>(pub Address<'a>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        match self.0.service() {
            Some(service) => write!(f, " {service}"),
            None => Ok(()),
        }
    }
}

/// Bytes as a C string literal, the way strace writes them: `"GET / HTTP/1.1\r\n"`.
pub struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        let mut bytes = self.0.iter().copied().peekable();
        while let Some(b) = bytes.next() {
            match b {
                b'"' => f.write_str("\\\"")?,
                b'\\' => f.write_str("\\\\")?,
                b'\n' => f.write_str("\\n")?,
                b'\r' => f.write_str("\\r")?,
                b'\t' => f.write_str("\\t")?,
                0x0b => f.write_str("\\v")?,
                0x0c => f.write_str("\\f")?,
                0x20..0x7f => fmt_text(f, &[b])?,
                // A digit behind a short octal escape would be read as part of it.
                _ if bytes.peek().is_some_and(u8::is_ascii_digit) => write!(f, "\\{b:03o}")?,
                _ => write!(f, "\\{b:o}")?,
            }
        }
        f.write_str("\"")
    }
}

/// The value of a socket option: an int as a number, two of them in braces, else hexadecimal.
struct OptionValue<'a>(&'a [u8]);

impl fmt::Display for OptionValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let int = |b: &[u8]| b.try_into().map(i32::from_ne_bytes).unwrap_or(0);
        match self.0.len() {
            4 => write!(f, "[{}]", int(self.0)),
            8 => write!(f, "{{{}, {}}}", int(&self.0[..4]), int(&self.0[4..])),
            _ if !self.0.is_empty() && self.0.iter().all(|b| (0x20..0x7f).contains(b)) => {
                write!(f, "{}", Quoted(self.0))
            }
            _ => {
                f.write_str("0x")?;
                self.0.iter().take(32).try_for_each(|b| write!(f, "{b:02x}"))
            }
        }
    }
}

/// Nanoseconds for people: `850ns`, `12.3µs`, `1.50ms`, `2.01s`.
pub struct Duration(pub u64);

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0;
        let (unit, name) = match ns {
            0..1_000 => return write!(f, "{ns}ns"),
            1_000..1_000_000 => (1_000, "µs"),
            1_000_000..1_000_000_000 => (1_000_000, "ms"),
            _ => (1_000_000_000, "s"),
        };
        // Three digits that matter, without floating point: the shim's log formats with this too.
        let (whole, thousandths) = (ns / unit, ns % unit * 1000 / unit);
        match whole {
            0..10 => write!(f, "{whole}.{:02}{name}", thousandths / 10),
            10..100 => write!(f, "{whole}.{}{name}", thousandths / 100),
            _ => write!(f, "{whole}{name}"),
        }
    }
}

#[cfg(test)]
mod tests;
