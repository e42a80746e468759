//! How each function fails in practice: what its manual page names and networks do.

use sockshim_format::op::{Direction, Op, Phase};

/// The ways that are tried: errno names, or words of a rule where it is no error.
pub fn usual(op: Op) -> &'static [&'static str] {
    match op.base() {
        Op::Socket | Op::Socketpair | Op::EpollCreate | Op::EpollCreate1 => &["EMFILE", "ENOMEM"],
        Op::Connect => &["ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH", "EINTR"],
        Op::Bind | Op::Listen => &["EADDRINUSE"],
        Op::Accept | Op::Accept4 => &["EMFILE", "ECONNABORTED", "EINTR"],
        Op::Shutdown => &["ENOTCONN"],
        Op::Close => &["EINTR", "EIO"],
        Op::Poll | Op::Ppoll | Op::Select | Op::Pselect => &["EINTR", "ENOMEM"],
        Op::EpollWait | Op::EpollPwait | Op::EpollPwait2 => &["EINTR"],
        Op::EpollCtl => &["ENOSPC"],
        Op::Getaddrinfo => &["EAI_AGAIN", "EAI_NONAME", "EAI_FAIL"],
        Op::Gethostbyname | Op::GethostbynameR | Op::Gethostbyname2 | Op::Gethostbyname2R => {
            &["EAI_AGAIN", "EAI_NONAME"]
        }
        Op::Setsockopt | Op::Getsockopt => &["ENOPROTOOPT"],
        Op::Getsockname | Op::Getpeername => &["ENOTCONN"],
        op if op.phase() != Phase::Communicate => &[],
        op if op.direction() == Some(Direction::Received) => {
            &["ECONNRESET", "EINTR", "EAGAIN", "half_close", "short=1"]
        }
        op if op.direction() == Some(Direction::Sent) => &["EPIPE", "ECONNRESET", "EINTR", "EAGAIN", "short=1"],
        _ => &[],
    }
}

/// The ways of the user, where they named some; a way that the function cannot go is left out.
pub fn of(op: Op, asked: &[String]) -> Vec<String> {
    let word = |fault: &str| if fault.starts_with('E') { format!("error={fault}") } else { fault.to_owned() };
    let all: Vec<String> = match asked {
        [] => usual(op).iter().map(|fault| word(fault)).collect(),
        asked => asked.iter().map(|fault| word(fault)).collect(),
    };
    let name = op.name();
    all.into_iter().filter(|fault| sockshim_format::plan::parse(&format!("{name}:{fault}")).is_ok()).collect()
}
