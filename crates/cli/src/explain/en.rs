//! Facts in English.

use sockshim_format::errno::errno_name;
use sockshim_format::op::Op;
use sockshim_format::plan::Told;

use super::fact::{Closing, End, Fact, Kind, Lesson, Stage};
use super::lang::time;
use crate::views::{count, thousands};

/// What an end is called.
pub const fn end(end: End) -> &'static str {
    match end {
        End::Client => "client",
        End::Server => "server",
        End::Listener => "listener",
        End::Datagram => "datagram",
        End::Pair => "pair",
        End::Socket => "socket",
    }
}

/// The other end in a sentence.
const fn the(end: End) -> &'static str {
    match end {
        End::Client => "the client",
        End::Server => "the server",
        _ => "the other end",
    }
}

/// A sentence for a fact, or two.
pub fn say(fact: &Fact) -> String {
    match fact {
        Fact::Program { name, pid } => format!("{name} is at work, as process {pid}."),
        Fact::Stage(stage) => heading(*stage).into(),
        Fact::Lesson(lesson) => explain(*lesson).into(),
        Fact::Resolved { name, addresses, took_ns } => {
            format!("The name {name} was resolved to {}. That took {}.", list(addresses), time(*took_ns))
        }
        Fact::Unresolved { name, error } => format!(
            "The name {name} could not be resolved: {error}. Is it spelled right, and does a name server answer?"
        ),
        Fact::Created { fd, kind } => match kind {
            Kind::Udp { .. } | Kind::Local { stream: false } => {
                format!("socket: descriptor {fd} now names {}. It needs no connection to send.", socket(kind))
            }
            _ => format!("socket: descriptor {fd} now names {}; nobody is at the other end yet.", socket(kind)),
        },
        Fact::Paired { fds: (a, b) } => format!(
            "socketpair: descriptors {a} and {b} name the two ends of one pipe. What goes in at one comes out at the other."
        ),
        Fact::Options { count, names } => {
            let shown = match names.len() == *count {
                true => list(names),
                false => format!("{} and others", names.join(", ")),
            };
            match count {
                1 => format!("An option was set: {shown}."),
                n => format!("{n} options were set: {shown}."),
            }
        }
        Fact::Bound { address, port_is_free: true } => {
            format!("bind: it asks for the address {address}. Port 0 means that the kernel may choose a free port.")
        }
        Fact::Bound { address, .. } => {
            format!("bind: from now on its address is {address}. What is sent there comes to this socket.")
        }
        Fact::Listening { address, backlog } => {
            let place = address.as_ref().map_or(String::new(), |address| format!(" at {address}"));
            format!("listen: it waits for clients{place}. Up to {} may queue.", thousands((*backlog).into()))
        }
        Fact::WaitsForClient => "accept: no client is in the queue, so the call sleeps until one comes.".into(),
        Fact::WaitsForAnswer => "connect: the question is out, and the call sleeps until an answer comes.".into(),
        Fact::WaitsForBytes { other } => {
            format!("A read found nothing yet: it sleeps until {} says something.", the(*other))
        }
        Fact::WaitsForRoom { other } => {
            format!("A write found the buffers full: it sleeps until {} has read some of it.", the(*other))
        }
        Fact::ConnectBegun { name, address } => {
            let who = name.as_ref().map_or(address.clone(), |name| format!("{name}, at {address}"));
            format!("connect: the way to {who} is being opened. The call did not wait for it.")
        }
        Fact::Connected { name, ip, port, local, took_ns } => {
            let name = name.as_ref().map_or(String::new(), |name| format!("the name {name} stands for {ip}, "));
            let host = if name.is_empty() { format!("{ip} is the host, ") } else { name };
            let ours = local.as_ref().map_or(String::new(), |local| format!(" Our own end is {local}."));
            format!(
                "connect: {host}and port {port} says which socket there. The pipe is open after {}.{ours}",
                time(*took_ns)
            )
        }
        Fact::ConnectedTo { address, took_ns } => {
            format!("connect: the pipe to {address} is open after {}.", time(*took_ns))
        }
        Fact::PeerChosen { address } => format!(
            "connect: for datagrams nothing is sent by this. The kernel only remembers that they go to {address}."
        ),
        Fact::Accepted { fd, listener, peer, waited_ns } => {
            let who = peer.as_ref().map_or("a client".into(), |peer| format!("the client at {peer}"));
            let waited = if *waited_ns >= 1_000_000 {
                format!(", after {} of waiting", time(*waited_ns))
            } else {
                String::new()
            };
            format!(
                "accept: {who} has come{waited}. Descriptor {fd} is our end of its pipe; {listener} goes on listening."
            )
        }
        Fact::Wrote { bytes, asked, begins } if bytes < asked => format!(
            "It wrote {} of the {} that it wanted to{}. The rest has to be written again: a partial write.",
            count(*bytes, "byte"),
            thousands(*asked),
            quote(begins)
        ),
        Fact::Wrote { bytes, begins, .. } => format!("It wrote {}{}.", count(*bytes, "byte"), quote(begins)),
        Fact::Read { bytes, waited_ns, begins } => {
            let waited =
                if *waited_ns >= 1_000_000 { format!("After {} of waiting it", time(*waited_ns)) } else { "It".into() };
            format!("{waited} read {}{}.", count(*bytes, "byte"), quote(begins))
        }
        Fact::WroteMore { calls, bytes } => {
            format!("It wrote {}, {} in all.", times_more(*calls), count(*bytes, "byte"))
        }
        Fact::ReadMore { calls, bytes } => format!("It read {}, {} in all.", times_more(*calls), count(*bytes, "byte")),
        Fact::Secured { version, name, took_ns } => {
            let version = version.as_ref().map_or("TLS", |version| version);
            let name = name.as_ref().map_or(String::new(), |name| format!(" to talk to {name}"));
            format!(
                "{version}: after {} both ends have the keys{name}. What follows is encrypted: only they can read it.",
                time(*took_ns)
            )
        }
        Fact::Exchanged { writes, sent, reads, received } => format!(
            "The conversation went on like this: {} with {}, {} with {}.",
            count(*writes, "more write"),
            count(*sent, "byte"),
            count(*reads, "more read"),
            count(*received, "byte")
        ),
        Fact::SentDatagram { bytes, to } => {
            let to = to.as_ref().map_or(String::new(), |to| format!(" to {to}"));
            format!("It sent a datagram of {}{to}.", count(*bytes, "byte"))
        }
        Fact::ReceivedDatagram { bytes, from, waited_ns } => {
            let from = from.as_ref().map_or(String::new(), |from| format!(" from {from}"));
            let waited = if *waited_ns >= 1_000_000 {
                format!(", after {} of waiting", time(*waited_ns))
            } else {
                String::new()
            };
            format!("A datagram of {}{from} arrived{waited}.", count(*bytes, "byte"))
        }
        Fact::Again { reading: true } => "It looked for bytes and there were none yet: EAGAIN.".into(),
        Fact::Again { reading: false } => "It wanted to write and there was no room yet: EAGAIN.".into(),
        Fact::Ended { other, first: true } => {
            format!("{} closed its end first; our read returned 0.", capital(the(*other)))
        }
        Fact::Ended { other, .. } => format!("{} has ended its side too; our read returned 0.", capital(the(*other))),
        Fact::ShutDown { both: true, other } => {
            format!("shutdown: both directions are ended, and {} is told so.", the(*other))
        }
        Fact::ShutDown { other, .. } => {
            format!("shutdown: we have said all we had to say, and {} is told so. We can still read.", the(*other))
        }
        Fact::ReadsNoMore => "shutdown: it will read no more. The other end is not told.".into(),
        Fact::Closed { fd, closing, other } => close(*fd, *closing, *other),
        Fact::WasReset { other } => format!(
            "{} reset the connection (ECONNRESET): it closed with bytes unread, or it crashed. What was under way is lost.",
            capital(the(*other))
        ),
        Fact::Failed { op, errno, target } => failed(*op, *errno, target.as_deref()),
        Fact::Injected { op, injected } => format!(
            "{}, as the user asked with --inject: what comes of it is not the network's doing.",
            Told { op: Some(*op), injected }
        ),
        Fact::LeftOpen { fd, other_is_gone, other } => {
            let gone =
                if *other_is_gone { format!(" although {} had closed its end", the(*other)) } else { String::new() };
            format!("Descriptor {fd} was never closed{gone}: the kernel did so when the program ended.")
        }
        Fact::Lost { count } => {
            format!("{} could not be recorded here, so something is missing.", crate::views::count(*count, "call"))
        }
        Fact::Untold { told } => format!(
            "More sockets come, and much is alike: only the first {} are told of. For another, sockshim report --explain --connection NUMBER.",
            thousands(*told)
        ),
        Fact::Over { sockets, sent, received } => format!(
            "That was all: {}, {} sent and {} received.",
            count(*sockets, "socket"),
            count(*sent, "byte"),
            thousands(*received)
        ),
    }
}

const fn heading(stage: Stage) -> &'static str {
    match stage {
        Stage::Resolve => "Before the first phase: find the address.",
        Stage::Create => "Phase 1 of 4: create.",
        Stage::Connect => "Phase 2 of 4: connect.",
        Stage::Communicate => "Phase 3 of 4: communicate.",
        Stage::Disconnect => "Phase 4 of 4: disconnect.",
    }
}

const fn explain(lesson: Lesson) -> &'static str {
    match lesson {
        Lesson::Stage(Stage::Resolve) => "Names are for people. The network only knows addresses.",
        Lesson::Stage(Stage::Create) => {
            "The program asks the kernel for a socket: one end of a pipe that is yet to be laid."
        }
        Lesson::Stage(Stage::Connect) => {
            "The two ends find each other. A client calls connect; a server binds, listens and accepts."
        }
        Lesson::Stage(Stage::Communicate) => {
            "Bytes pass. The program only reads and writes; TCP or UDP does the rest in the kernel."
        }
        Lesson::Stage(Stage::Disconnect) => "Each end hangs up for itself. Who does so first is worth knowing.",
        Lesson::Descriptor => {
            "A descriptor is a small number by which the program tells the kernel which of its sockets and files it means."
        }
        Lesson::Handshake => {
            "Behind this one call were three segments: SYN there, SYN and ACK back, ACK there. The server's program need not have noticed yet."
        }
        Lesson::InProgress => {
            "The socket does not block, so connect answers EINPROGRESS: not an error, but \u{201c}I am on it\u{201d}. The program asks later how it went."
        }
        Lesson::Backlog => {
            "The kernel shakes hands with clients by itself and lets them queue until the program accepts them. The backlog is how long that queue may get."
        }
        Lesson::Accept => "A listener never carries data. Each client gets a socket of its own, on the same port.",
        Lesson::Stream => {
            "TCP is a stream, without marks between messages: one write may need several reads, and the other way round."
        }
        Lesson::Write => "Written means that the kernel has taken the bytes, not that they have arrived.",
        Lesson::End => "A read of 0 is how the end of a stream looks: all bytes have come, and no more will.",
        Lesson::Datagram => "A datagram arrives whole or not at all, and nobody promises that it does.",
        Lesson::Again => {
            "The socket does not block, so this means \u{201c}not now\u{201d}. A good program waits with poll or epoll and then asks again."
        }
        Lesson::TimeWait => {
            "The end that closed first keeps the connection on its books for a while, a minute on Linux, so that stray segments do not get into a later one. This is TIME_WAIT."
        }
        Lesson::HalfClose => "A pipe has two directions, and each can be ended alone. This is a half close.",
        Lesson::Reset => {
            "Whoever closes with bytes unread does not say goodbye (FIN) but breaks off (RST), so that the other end learns that they were lost."
        }
    }
}

fn socket(kind: &Kind) -> String {
    match kind {
        Kind::Tcp { six } => format!("a TCP socket{}", if *six { " for IPv6" } else { "" }),
        Kind::Udp { six } => format!("a UDP socket{}", if *six { " for IPv6" } else { "" }),
        Kind::Local { stream: true } => "a local stream socket, for programs on this machine".into(),
        Kind::Local { .. } => "a local datagram socket, for programs on this machine".into(),
        Kind::Other { family, kind } => format!("a socket ({family}, {kind})"),
    }
}

fn close(fd: i32, closing: Closing, other: End) -> String {
    let other = the(other);
    match closing {
        Closing::First { tcp: true } => {
            format!("close: we hang up first, and {other} is told with a FIN. Descriptor {fd} names nothing any more.")
        }
        Closing::First { .. } => {
            format!("close: we hang up first, and {other} is told. Descriptor {fd} names nothing any more.")
        }
        Closing::Second => format!("close: {other} had closed before; now we have too, and the pipe is gone."),
        Closing::AfterHalfClose => {
            "close: our direction had been ended before, so this only gives the descriptor back.".into()
        }
        Closing::Unread { bytes } => {
            let were = if bytes == 1 { "was" } else { "were" };
            format!("close: {} {were} never read, so {other} is sent an RST.", count(bytes.into(), "byte"))
        }
        Closing::Linger => format!("close: SO_LINGER was set to zero, so {other} is sent an RST and not a FIN."),
        Closing::AfterReset => {
            format!("close: the connection was broken already. Only descriptor {fd} had to be given back.")
        }
        Closing::Both => "close: both ends hung up at the same moment.".into(),
        Closing::Listener => {
            format!("close: descriptor {fd} listens no more. Connections that were accepted go on without it.")
        }
        Closing::Datagram => {
            format!("close: descriptor {fd} is given back. With datagrams there is nobody to say goodbye to.")
        }
        Closing::Unconnected => format!("close: descriptor {fd} is given back. It was never connected."),
        Closing::StillNamed => format!(
            "close: descriptor {fd} is given back, but another one still names the socket, so the pipe stays open."
        ),
        Closing::Unknown => format!("close: descriptor {fd} is given back, and the pipe is gone."),
    }
}

fn failed(op: Op, errno: u16, target: Option<&str>) -> String {
    let name = match errno_name(errno) {
        "" => format!("error {errno}"),
        name => name.to_owned(),
    };
    let call = match target {
        Some(target) => format!("{} to {target}", op.name()),
        None => op.name().to_owned(),
    };
    let call = if op == Op::Bind { call.replacen(" to ", " at ", 1) } else { call };
    match reason(op, &name) {
        "" => format!("{call} failed: {name}."),
        reason => format!("{call} failed ({name}): {reason}"),
    }
}

/// The usual cause, and what to do.
fn reason(op: Op, name: &str) -> &'static str {
    match (op, name) {
        (_, "ECONNREFUSED") => "nobody listens there. Is the server running, and is the port right?",
        (_, "ETIMEDOUT") => "nobody answered in time. A firewall may drop the packets, or the host is down.",
        (_, "EHOSTUNREACH" | "ENETUNREACH") => {
            "there is no way to that address. Look at the routes, and whether the network is up."
        }
        (_, "EADDRINUSE") => {
            "another socket holds that port, or a connection of before is in TIME_WAIT. Stop the other, or set SO_REUSEADDR before bind."
        }
        (_, "EADDRNOTAVAIL") => "this machine has no such address, or has run out of free ports.",
        (_, "EACCES" | "EPERM") => "it is not allowed. Ports below 1024 belong to root, and so may the path.",
        (_, "ENOENT") => "no socket has that path. Is the server running?",
        (_, "EPIPE") => {
            "the other end is gone, so nobody can read this. The kernel also sends SIGPIPE, which ends a program that does not ignore it."
        }
        (_, "ECONNRESET") => "the other end broke the connection off.",
        (_, "ECONNABORTED") => "the client had left the queue before it was accepted. Just accept the next.",
        (_, "EBADF") => "that number names nothing. It was closed before, perhaps by another thread.",
        (_, "ENOTCONN") => "there is no connection yet, or no more.",
        (_, "EISCONN") => "it is connected already.",
        (_, "EMFILE") => "the process has as many descriptors as it may. Look for a leak, or raise ulimit -n.",
        (_, "ENFILE") => "the whole system is out of descriptors.",
        (_, "EMSGSIZE") => "the datagram is too large for one packet. Send less at a time.",
        (_, "EINTR") => "a signal came in between. The call can simply be made again.",
        (_, "EAFNOSUPPORT") => "the kernel, or this socket, does not know that kind of address.",
        (_, "ENOBUFS" | "ENOMEM") => "the kernel has no memory for it now.",
        _ => "",
    }
}

fn times_more(calls: u64) -> String {
    match calls {
        1 => "once more".into(),
        calls => format!("{} times more", thousands(calls)),
    }
}

fn quote(begins: &Option<String>) -> String {
    begins.as_ref().map_or(String::new(), |begins| format!(": \u{201c}{begins}\u{201d}"))
}

fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [word] => word.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}
