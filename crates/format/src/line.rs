//! One call as one line of text, in the style of strace: `send(5<127.0.0.1:80 http>, "GET /"..., 78) = 78`.
//!
//! The text log of the shim and the live view of the tool print the same line from the same record.

mod parts;
mod pieces;

pub use parts::Parts;
use pieces::OptionValue;
pub use pieces::{Duration, Named, Quoted};

use crate::address::{Address, Ip};
use crate::digits::number;
use crate::errno::errno_name;
use crate::names::{self, Flags, Or};
use crate::op::Op;
use crate::plan::What;
use crate::record::*;
use core::fmt::{self, Write};

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
        self.print(f)
    }
}

impl Line<'_> {
    /// Writes the line. What takes text at once need not go through a [`fmt::Formatter`], and takes it several times as fast.
    pub fn print<W: Write>(&self, f: &mut W) -> fmt::Result {
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
                // As strace has it.
                let injected = self.parts.injected;
                if injected & !What::DELAY.0 != 0 {
                    f.write_str(" (INJECTED)")?;
                }
                if What(injected).is(What::DELAY) {
                    f.write_str(" (DELAYED)")?;
                }
                f.write_str(" <")?;
                Duration(self.duration_ns).print(f)?;
                f.write_str(">")
            }
        }
    }

    /// The arguments, the descriptor first with who is at its other end.
    fn arguments<W: Write>(&self, f: &mut W, op: Option<Op>) -> fmt::Result {
        let call = self.call;
        let (arg, size, done) = (call.arg, call.size, Commit::from_word(call.commit).state == STATE_DONE);
        let parts = self.parts;
        let Some(op) = op else { return write!(f, "{}", call.fd) };
        // Most calls are told without `write!`, which looks for the way to print each piece when it comes to it.
        if op.names_descriptor() {
            number(f, call.fd)?;
            if let Some(peer) = self.peer {
                f.write_str("<")?;
                Named(peer).print(f)?;
                f.write_str(">")?;
            }
        }
        match op {
            Op::Socket | Op::Socketpair => {
                let (kind, protocol) = (size as u32 as i32, (size >> 32) as i32);
                write!(f, "{}, ", Or(names::family(arg as i32), "", arg as i64))?;
                write!(f, "{}", Or(names::socket_kind(kind & 0xf), "", (kind & 0xf) as i64))?;
                if kind & !0xf != 0 {
                    write!(f, "|{}", Flags(names::socket_flag, (kind & !0xf) as u32 as u64))?;
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
                    write!(f, ", {}", Flags(names::socket_flag, arg as u64))?;
                }
                Ok(())
            }
            Op::Read | Op::Write => {
                self.payload(f)?;
                f.write_str(", ")?;
                number(f, size)
            }
            Op::AioRead | Op::AioWrite => write!(f, ", {size}"),
            Op::LioListio => write!(f, "{size} requests"),
            Op::Readv | Op::Writev | Op::Preadv2 | Op::Pwritev2 | Op::Vmsplice => {
                self.payload(f)?;
                f.write_str(", ")?;
                number(f, arg as i32)?;
                f.write_str(" iov")
            }
            Op::Send | Op::Recv | Op::Sendto | Op::Recvfrom | Op::Sendmsg | Op::Recvmsg => {
                self.payload(f)?;
                if !matches!(op, Op::Sendmsg | Op::Recvmsg) {
                    f.write_str(", ")?;
                    number(f, size)?;
                }
                f.write_str(", ")?;
                Flags(names::message_flag, arg as u64).print(f)?;
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
                write!(f, ", {}", Flags(names::message_flag, arg as u64))?;
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
                    4 => write!(f, ", {}", Flags(names::open_flag, size)),
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
                let by_number = Commit::from_word(self.call.commit).flags & FLAG_SYSCALL != 0;
                ready(f, parts, "")?;
                number(f, size)?;
                f.write_str(" fds, ")?;
                match op {
                    // What was asked is not known: Linux stores what was left in its place.
                    Op::Select if arg == 0 => f.write_str("timed"),
                    Op::Ppoll | Op::Pselect if arg == 0 && by_number => f.write_str("timed"),
                    _ => timeout(f, arg),
                }
            }
            Op::EpollCtl => {
                write!(f, ", {}, {}", Or(names::epoll_command(arg as i32), "", arg as i64), size as i32)?;
                match parts.ready().next() {
                    Some(r) if arg != 2 => write!(f, ", {}", Flags(names::poll_event, r.events as u64)),
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
            | Op::System
            | Op::Dlopen
            | Op::Dlmopen => text(f, parts.path),
            Op::Fexecve | Op::UnderExit | Op::CapitalExit | Op::QuickExit => write!(f, "{}", arg as i32),
            Op::Syscall => write!(f, "{}, {size}", Or(names::system_call(arg as i32), "", arg as i64)),
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

    fn payload<W: Write>(&self, f: &mut W) -> fmt::Result {
        let Some(payload) = self.parts.payload else { return Ok(()) };
        f.write_str(", ")?;
        let op = Op::from_number(self.call.op).map(Op::base);
        let whole = match op {
            Some(Op::Sendmmsg | Op::Recvmmsg) => self.call.size,
            _ => self.call.ret.max(0) as u64,
        };
        Quoted(payload).print(f)?;
        if (payload.len() as u64) < whole { f.write_str("...") } else { Ok(()) }
    }

    fn resolution<W: Write>(&self, f: &mut W) -> fmt::Result {
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

    fn result<W: Write>(&self, f: &mut W, op: Option<Op>) -> fmt::Result {
        let call = self.call;
        match op {
            Some(Op::Getaddrinfo | Op::Getnameinfo | Op::GetaddrinfoA) => {
                write!(f, " = {}", Or(names::resolver_error(call.ret), "", call.ret))
            }
            Some(Op::Fcntl) if call.arg == 3 && call.ret >= 0 => {
                write!(f, " = {}", Flags(names::open_flag, call.ret as u64))
            }
            _ if call.errno != 0 => match errno_name(call.errno) {
                "" => write!(f, " = {} errno {}", call.ret, call.errno),
                name => {
                    f.write_str(" = ")?;
                    number(f, call.ret)?;
                    f.write_str(" ")?;
                    f.write_str(name)
                }
            },
            _ => {
                f.write_str(" = ")?;
                number(f, call.ret)
            }
        }
    }
}

fn text<W: Write>(f: &mut W, text: Option<&[u8]>) -> fmt::Result {
    match text {
        Some(text) => write!(f, "{}", Quoted(text)),
        None => f.write_str("NULL"),
    }
}

fn fds<W: Write>(f: &mut W, list: Option<&[u8]>) -> fmt::Result {
    if list.is_none() {
        return Ok(());
    }
    for (i, fd) in Parts::fds(list).enumerate() {
        write!(f, "{}{}", if i == 0 { " [" } else { ", " }, fd.fd)?;
    }
    f.write_str("]")
}

fn ready<W: Write>(f: &mut W, parts: &Parts<'_>, empty: &str) -> fmt::Result {
    let mut any = false;
    for r in parts.ready() {
        f.write_str(if any { ", " } else { "[" })?;
        any = true;
        match r.fd {
            -1 => write!(f, "data {:#x}", r.data)?,
            fd => number(f, fd)?,
        }
        f.write_str(" ")?;
        Flags(names::poll_event, r.events as u64).print(f)?;
    }
    f.write_str(if any { "], " } else { empty })
}

fn timeout<W: Write>(f: &mut W, milliseconds: u32) -> fmt::Result {
    match milliseconds as i32 {
        -1 => f.write_str("forever"),
        ms => {
            number(f, ms)?;
            f.write_str(" ms")
        }
    }
}

#[cfg(test)]
mod tests;
