//! Timelines: calls on a track for each thread, connections with their phases on tracks of their own, arrows from
//! the write at one end to the read at the other, and what is in flight between them.
//!
//! What there is to draw is the same for [`perfetto`] and [`chrome`]; a [`Canvas`] draws it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt::Write as _;
use std::io::{self, Write};

use sockshim_format::errno::errno_name;
use sockshim_format::line::{Line, Named, Parts};
use sockshim_format::op::{Direction, Op, Phase};
use sockshim_format::record::FLAG_UNCLASSIFIED;
use sockshim_reader::model::{ConnId, Connection, Role, Span};
use sockshim_reader::{CallInfo, Event, Model};

use super::delay::Delay;
use super::{About, Ended, Exporter, Known};
use crate::views::{safe, table};

pub mod chrome;
pub mod perfetto;

/// What the handshake of TLS is called.
const HANDSHAKE: &str = "TLS handshake";
/// Writes on one pipe whose read is awaited.
const MAX_AWAITED: usize = 1 << 12;
/// Calls that have not returned yet.
const MAX_ENTERED: usize = 1 << 16;

/// Draws a timeline. Times are in nanoseconds since the epoch.
pub trait Canvas: Default {
    /// What comes in front of everything.
    fn begin(&mut self, about: &About<'_>, out: &mut dyn Write) -> io::Result<()>;
    /// A process, before anything of it is drawn. `name` has all that it was called, one after the other.
    fn process(&mut self, pid: u32, name: &str, command_line: &[String], out: &mut dyn Write) -> io::Result<()>;
    /// A thread, before anything of it is drawn.
    fn thread(&mut self, pid: u32, tid: u32, out: &mut dyn Write) -> io::Result<()>;
    /// A call, on the track of its thread.
    fn call(&mut self, call: &Slice, out: &mut dyn Write) -> io::Result<()>;
    /// A mark, on the track of its thread.
    fn mark(&mut self, pid: u32, tid: u32, time_ns: u64, text: &str, out: &mut dyn Write) -> io::Result<()>;
    /// A connection, before anything of it is drawn.
    fn connection(&mut self, pid: u32, id: ConnId, name: &str, out: &mut dyn Write) -> io::Result<()>;
    /// A connection and its phases, which do not overlap, and what is to be told of it.
    fn phases(&mut self, pid: u32, id: ConnId, story: &Story<'_>, out: &mut dyn Write) -> io::Result<()>;
    /// Bytes that a connection has sent and the other end has not read.
    fn in_flight(&mut self, pid: u32, id: ConnId, time_ns: u64, bytes: u64, out: &mut dyn Write) -> io::Result<()>;
    /// Nothing more comes.
    fn end(&mut self, out: &mut dyn Write) -> io::Result<()>;
}

/// A call.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// When.
    pub start_ns: u64,
    /// When it returned, if it did.
    pub end_ns: Option<u64>,
    /// The function.
    pub name: &'static str,
    /// The phase.
    pub category: &'static str,
    /// Facts.
    pub facts: Vec<(&'static str, Fact)>,
    /// The arrow that begins here.
    pub leaves: Option<u64>,
    /// Arrows that end here.
    pub arrives: Vec<u64>,
}

/// A value of a fact.
#[derive(Clone, Debug)]
pub enum Fact {
    /// A number.
    Number(i64),
    /// Words.
    Text(String),
}

/// What is to be told of a connection as a whole.
pub struct Story<'a> {
    /// What it is called.
    pub name: &'a str,
    /// From first to last sight.
    pub seen: Span,
    /// Its phases in order, cut where the next one begins, and how long they really took.
    pub phases: Vec<(&'static str, Span, u64)>,
    /// The handshake of TLS, in the phase in which bytes pass.
    pub handshake: Option<Span>,
    /// Facts.
    pub facts: Vec<(&'static str, Fact)>,
}

impl Story<'_> {
    /// What is drawn within a phase.
    fn within(&self, phase: &str) -> Option<Span> {
        self.handshake.filter(|_| phase == Phase::Communicate.name())
    }
}

/// What passes from one connection to the other end.
#[derive(Default)]
struct Pipe {
    written: u64,
    read: u64,
    /// Where writes end in the stream of bytes, and their arrows.
    awaited: VecDeque<(u64, u64)>,
}

/// Draws a trace on a canvas.
#[derive(Default)]
pub struct Timeline<C: Canvas> {
    canvas: C,
    processes: HashSet<u32>,
    threads: HashSet<(u32, u32)>,
    connections: HashSet<ConnId>,
    /// By the connection that writes.
    pipes: HashMap<ConnId, Pipe>,
    arrows: u64,
    /// Reads, until they are over: a write that they got may come later.
    delay: Delay<(ConnId, u64, Slice)>,
    entered: BTreeMap<(u32, u32, u32), Slice>,
}

impl<C: Canvas> Exporter for Timeline<C> {
    fn begin(&mut self, about: &About<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.canvas.begin(about, out)
    }

    fn event(&mut self, event: &Event, known: Known<'_>, out: &mut dyn Write) -> io::Result<()> {
        if let Some(now_ns) = event.time_ns() {
            while let Some((time_ns, read)) = self.delay.pop_before(now_ns) {
                self.arrived(time_ns, read, known.whole, out)?;
            }
        }
        match event {
            Event::Call(info) => {
                if info.announced {
                    self.entered.remove(&(info.process, info.tid, info.call.seq));
                }
                self.call(event, info, known, out)
            }
            Event::Entered(info) => {
                if self.entered.len() < MAX_ENTERED
                    && let Some((slice, _)) = slice(info, known)
                {
                    self.entered.insert((info.process, info.tid, info.call.seq), slice);
                }
                Ok(())
            }
            Event::Mark(mark) => {
                self.thread(mark.pid, mark.tid, known.whole, out)?;
                self.canvas.mark(mark.pid, mark.tid, mark.time_ns, &safe(&mark.text), out)
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, ended: &Ended<'_>, out: &mut dyn Write) -> io::Result<()> {
        while let Some((time_ns, read)) = self.delay.pop() {
            self.arrived(time_ns, read, ended.model, out)?;
        }
        for (_, slice) in std::mem::take(&mut self.entered) {
            self.draw(&slice, ended.model, out)?;
        }
        for connection in ended.model.connections() {
            let (Some(pid), Some(story)) = (pid(connection), story(ended.model, connection)) else { continue };
            let name = name(ended.model, connection);
            self.connection(connection, ended.model, out)?;
            self.canvas.phases(pid, connection.id, &Story { name: &name, ..story }, out)?;
        }
        self.canvas.end(out)
    }
}

impl<C: Canvas> Timeline<C> {
    fn call(&mut self, event: &Event, info: &CallInfo, known: Known<'_>, out: &mut dyn Write) -> io::Result<()> {
        let Some((mut slice, conn)) = slice(info, known) else { return Ok(()) };
        let bytes = info.bytes().filter(|(_, bytes)| *bytes > 0);
        let (Some((direction, bytes)), Some(conn)) = (bytes, conn) else { return self.draw(&slice, known.whole, out) };
        let other = known.whole.connection(conn).and_then(|conn| conn.other_end);
        match (direction, other) {
            (Direction::Received, Some(other)) => {
                self.delay.push(info.end_ns, (other, bytes, slice));
                Ok(())
            }
            (Direction::Sent, Some(_)) => {
                self.arrows += 1;
                let pipe = self.pipes.entry(conn).or_default();
                pipe.written = pipe.written.saturating_add(bytes);
                // A write that took long is told when its first bytes have been read already.
                if pipe.written > pipe.read && pipe.awaited.len() < MAX_AWAITED {
                    pipe.awaited.push_back((pipe.written, self.arrows));
                    slice.leaves = Some(self.arrows);
                }
                let in_flight = pipe.written.saturating_sub(pipe.read);
                self.in_flight(conn, event.time_ns().unwrap_or(info.start_ns), in_flight, known.whole, out)?;
                self.draw(&slice, known.whole, out)
            }
            (_, None) => self.draw(&slice, known.whole, out),
        }
    }

    /// A read is over: the arrows of all whose last byte it got end here.
    fn arrived(
        &mut self,
        time_ns: u64,
        (writer, bytes, mut slice): (ConnId, u64, Slice),
        whole: &Model,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let pipe = self.pipes.entry(writer).or_default();
        pipe.read = pipe.read.saturating_add(bytes);
        while let Some((_, arrow)) = pipe.awaited.front().filter(|(end, _)| *end <= pipe.read).copied() {
            pipe.awaited.pop_front();
            slice.arrives.push(arrow);
        }
        let in_flight = pipe.written.saturating_sub(pipe.read);
        self.in_flight(writer, time_ns, in_flight, whole, out)?;
        self.draw(&slice, whole, out)
    }

    fn draw(&mut self, slice: &Slice, whole: &Model, out: &mut dyn Write) -> io::Result<()> {
        self.thread(slice.pid, slice.tid, whole, out)?;
        self.canvas.call(slice, out)
    }

    fn in_flight(
        &mut self,
        id: ConnId,
        time_ns: u64,
        bytes: u64,
        whole: &Model,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let Some(connection) = whole.connection(id) else { return Ok(()) };
        let Some(pid) = pid(connection) else { return Ok(()) };
        self.connection(connection, whole, out)?;
        self.canvas.in_flight(pid, id, time_ns, bytes, out)
    }

    fn connection(&mut self, connection: &Connection, whole: &Model, out: &mut dyn Write) -> io::Result<()> {
        let Some(pid) = pid(connection).filter(|_| self.connections.insert(connection.id)) else { return Ok(()) };
        self.process(pid, whole, out)?;
        self.canvas.connection(pid, connection.id, &name(whole, connection), out)
    }

    fn thread(&mut self, pid: u32, tid: u32, whole: &Model, out: &mut dyn Write) -> io::Result<()> {
        if !self.threads.insert((pid, tid)) {
            return Ok(());
        }
        self.process(pid, whole, out)?;
        self.canvas.thread(pid, tid, out)
    }

    /// What a process was called: `sh`, and after it has executed another program `sh, curl`.
    fn process(&mut self, pid: u32, whole: &Model, out: &mut dyn Write) -> io::Result<()> {
        if !self.processes.insert(pid) {
            return Ok(());
        }
        let (mut names, mut command): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        for (_, process) in whole.processes().filter(|(_, process)| process.pid == pid) {
            let name = safe(process.name().as_bytes());
            if !name.is_empty() && names.last() != Some(&name) {
                names.push(name);
            }
            if let Some(info) = process.info.as_ref().filter(|info| !info.args.is_empty()) {
                command = info.args.iter().map(|arg| safe(arg)).collect();
            }
        }
        self.canvas.process(pid, &names.join(", "), &command, out)
    }
}

/// A call as a slice, and its connection. None for one on what is no socket.
fn slice(info: &CallInfo, known: Known<'_>) -> Option<(Slice, Option<ConnId>)> {
    let connection = known.so_far.of_call(info);
    if info.commit().flags & FLAG_UNCLASSIFIED != 0 && connection.is_none() {
        return None;
    }
    let mut facts = Vec::new();
    if let Some(whole) = connection.and_then(|conn| known.whole.connection(conn.id)) {
        facts.push(("connection", Fact::Text(name(known.whole, whole))));
    }
    let parts =
        Parts { payload: info.parts().payload.map(|payload| payload.get(..32).unwrap_or(payload)), ..info.parts() };
    let mut text = String::new();
    let _ = write!(text, "{}", Line { call: &info.call, parts: &parts, peer: None, duration_ns: 0 });
    text.truncate(text.trim_end_matches(" <0ns>").len());
    facts.push(("call", Fact::Text(text)));
    if info.is_done() {
        facts.push(("ret", Fact::Number(info.call.ret)));
        if info.call.errno != 0 {
            facts.push(("errno", Fact::Text(errno_name(info.call.errno).to_owned())));
        }
    }
    if let Some((_, bytes)) = info.bytes() {
        facts.push(("bytes", Fact::Number(bytes as i64)));
    }
    let phase = info.op().map_or(Phase::Process, Op::phase);
    // What a program is executed by does not return, and is not what the next one does all the time.
    let gone = (phase == Phase::Process).then_some(info.start_ns);
    let slice = Slice {
        pid: info.pid,
        tid: info.tid,
        start_ns: info.start_ns,
        end_ns: info.is_done().then_some(info.end_ns).or(gone),
        name: info.op().map_or("?", Op::name),
        category: phase.name(),
        facts,
        ..Slice::default()
    };
    Some((slice, connection.map(|connection| connection.id)))
}

/// The process on whose track a connection is drawn.
fn pid(connection: &Connection) -> Option<u32> {
    Some(connection.holders.first()?.pid)
}

/// `fd 5 127.0.0.1:1234 to 127.0.0.1:80 http`.
fn name(whole: &Model, connection: &Connection) -> String {
    let fd = connection.holders.first().map_or(-1, |holder| holder.fd);
    let mut text = format!("fd {fd}");
    let named = |address: Option<sockshim_format::address::Address<'_>>| {
        address.filter(|address| address.unix_path() != Some(&[])).map(|address| Named(address).to_string())
    };
    let (local, peer) = (named(connection.local_address()), named(connection.peer_address()));
    let other = connection.other_end.and_then(|id| whole.connection(id)).and_then(|other| other.holders.first());
    let _ = match (connection.role, local, peer) {
        (Role::Listener, Some(local), _) => write!(text, " listens on {local}"),
        (_, Some(local), Some(peer)) => write!(text, " {local} to {peer}"),
        (_, None, Some(peer)) => write!(text, " to {peer}"),
        (_, Some(local), None) => write!(text, " {local}"),
        (_, None, None) => match other {
            Some(other) => write!(text, " pair with {}:{}", other.pid, other.fd),
            None => Ok(()),
        },
    };
    text
}

/// The story of a connection: its phases one behind the other.
fn story(model: &Model, connection: &Connection) -> Option<Story<'static>> {
    let seen = connection.seen?;
    let mut all: Vec<(&'static str, Span, u64)> =
        connection.phases.spans().map(|(phase, span)| (phase.name(), span, span.duration_ns())).collect();
    all.sort_by_key(|(_, span, _)| span.start_ns);
    // After a half-close the two last phases overlap.
    for at in 1..all.len() {
        let next_ns = all[at].1.start_ns;
        let span = &mut all[at - 1].1;
        span.end_ns = span.end_ns.min(next_ns);
    }
    let start_ns = all.first().map_or(seen.start_ns, |(_, span, _)| span.start_ns.min(seen.start_ns));
    let end_ns = all.last().map_or(seen.end_ns, |(_, span, _)| span.end_ns.max(seen.end_ns));
    let communicate = all.iter().find(|(name, ..)| *name == Phase::Communicate.name()).map(|(_, span, _)| *span);
    let handshake = connection.tls.as_deref().and_then(|tls| tls.span()).zip(communicate).map(|(span, within)| {
        let inside = |time_ns: u64| time_ns.clamp(within.start_ns, within.end_ns.max(within.start_ns));
        Span { start_ns: inside(span.start_ns), end_ns: inside(span.end_ns) }
    });
    let mut facts = vec![
        ("role", Fact::Text(connection.role.name().to_owned())),
        ("sent_bytes", Fact::Number(connection.sent.bytes as i64)),
        ("received_bytes", Fact::Number(connection.received.bytes as i64)),
        ("how_it_ended", Fact::Text(table::ending(model, connection).0)),
    ];
    if let Some(tls) = connection.tls.as_deref() {
        facts.extend(tls.version_name().map(|version| ("tls_version", Fact::Text(version))));
        facts.extend(tls.server_name.clone().map(|name| ("tls_server_name", Fact::Text(name))));
    }
    Some(Story { name: "", seen: Span { start_ns, end_ns }, phases: all, handshake, facts })
}

#[cfg(test)]
mod tests;
