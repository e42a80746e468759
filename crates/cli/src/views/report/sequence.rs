//! The calls of one connection as a sequence diagram, as books on networking draw it: a lane for each socket, the
//! pipe between them, an arrow for what passes, the phase at the side and the time at the left.
//!
//! Where only one end is in the trace, the other lane is empty, and stands for the kernel and the peer.

use std::collections::VecDeque;
use std::io::{self, Write};

use anstyle::Style;
use sockshim_format::errno::errno_name;
use sockshim_format::line::{Duration, Quoted};
use sockshim_format::names::{fcntl_command, option};
use sockshim_format::op::{Direction, Op, Phase};
use sockshim_reader::model::{Connection, Role, Verdict};
use sockshim_reader::{CallInfo, Model};

use super::row::{Row, cut};
use super::{Item, Scene, peer, who};
use crate::palette;
use crate::views::{bytes, count};

/// Calls at the beginning and at the end that are drawn of a long sequence.
const SHOWN: usize = 24;
/// Columns in front of the first lane: the time, the phase.
const TIME: usize = 10;
const PHASE: usize = 12;
/// The widest pipe that the eye follows an arrow through.
const PIPE: usize = 64;
/// Bytes of payload that an arrow may have room for.
const PREVIEW: usize = 96;

/// What an arrow stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arrow {
    /// Nothing passes.
    None,
    /// Bytes leave the lane, or arrive in it.
    Bytes(Direction, u64, String),
    /// A segment without bytes: SYN, FIN, RST, or a word where it is none.
    Signal(Direction, &'static str),
}

/// A call that is drawn.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub time_ns: u64,
    pub phase: Phase,
    /// In the lane of the far end.
    far: bool,
    /// The call and its result.
    pub text: String,
    pub duration_ns: u64,
    pub failed: bool,
    pub arrow: Arrow,
}

/// Draws calls as they come.
pub struct Sequence<'a> {
    scene: Scene<'a>,
    item: Item<'a>,
    all: bool,
    /// Calls that may have to wait for others: what they did came later than their beginning.
    waiting: Vec<Step>,
    /// How many calls came.
    calls: usize,
    /// The last ones, which wait until it is known that they are the last.
    last: VecDeque<Step>,
    /// What was passed over: calls, bytes to the far end, bytes from there.
    elided: (u64, u64, u64),
    /// The phase that stands at the side.
    phase: Option<Phase>,
    lane: usize,
    pipe: usize,
}

impl<'a> Sequence<'a> {
    /// Draws the calls on `item`; `all` of them, or the first and the last ones.
    pub fn new(scene: Scene<'a>, item: Item<'a>, all: bool) -> Sequence<'a> {
        let room = scene.width.saturating_sub(TIME + PHASE + 2);
        let lane = (room * 8 / 25).clamp(17, 32);
        let far = if item.far.is_some() { lane } else { (room / 5).clamp(10, 24) };
        let pipe = room.saturating_sub(lane + far).min(PIPE);
        let (waiting, last) = (Vec::new(), VecDeque::new());
        Sequence { scene, item, all, waiting, calls: 0, last, elided: (0, 0, 0), phase: None, lane, pipe }
    }

    /// Draws who stands where.
    pub fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        let near = self.item.near;
        let (us, them) = match near.role {
            Role::Active => ("CLIENT", "SERVER"),
            Role::Passive => ("SERVER", "CLIENT"),
            Role::Listener => ("LISTENER", "CLIENTS"),
            _ => ("PROGRAM", "PEER"),
        };
        let left = |text: &str| format!("{:>width$}", cut(text, self.lane), width = self.lane);
        let right = |text: &str| cut(text, self.scene.width.saturating_sub(TIME + PHASE + self.lane + self.pipe + 2));
        let middle = |text: &str| format!("{:^width$}", cut(text, self.pipe), width = self.pipe + 2);
        let line = |out: &mut dyn Write, style: Style, side: (&str, &str), a: &str, b: &str, c: &str| {
            let mut row = Row::of(palette::FAINT, side.0);
            row.to_column(TIME);
            row.push(palette::FAINT, side.1);
            row.to_column(TIME + PHASE);
            row.push(style, left(a));
            row.push(palette::FAINT, middle(b));
            row.push(style, right(c));
            row.print(out)
        };
        let model = self.scene.model;
        let their_process = match self.item.far {
            Some(far) => who(model, far),
            None if near.role == Role::Listener => "whoever connects".into(),
            None => "not traced".into(),
        };
        let local =
            near.local_address().filter(|a| a.unix_path() != Some(&[])).map_or(String::new(), |a| a.to_string());
        let kind = match (near.domain, near.kind) {
            (2 | 10, 1) => "TCP",
            (2 | 10, 2) => "UDP",
            (1, _) => "AF_UNIX",
            _ => "",
        };
        line(out, palette::STRONG, ("TIME", "PHASE"), us, "", them)?;
        line(out, palette::STRONG, ("", ""), &who(model, near), kind, &their_process)?;
        line(out, palette::FAINT, ("", ""), &local, "", &peer(near).unwrap_or_default())
    }

    /// Takes in a call, if it is one of this connection's, and draws what nothing can come in front of any more.
    pub fn call(&mut self, out: &mut dyn Write, model: &Model, call: &CallInfo) -> io::Result<()> {
        // Calls come in the order in which they began, and are drawn when they did what they do.
        let now_ns = if call.announced { call.end_ns } else { call.start_ns };
        if let Some((end, far)) = self.end_of(model, call) {
            self.waiting.push(step(self.scene.model, end, far, call));
            self.waiting.sort_by_key(|step| step.time_ns);
        }
        let ready = self.waiting.iter().take_while(|step| step.time_ns < now_ns).count();
        let ready: Vec<Step> = self.waiting.drain(..ready).collect();
        ready.into_iter().try_for_each(|step| self.take(out, step))
    }

    /// The end that a call is about, and whether that is the far one.
    fn end_of(&self, model: &Model, call: &CallInfo) -> Option<(&'a Connection, bool)> {
        let Item { near, far } = self.item;
        let concerned = far.filter(|far| model.concerns(call, far));
        if !model.concerns(call, near) {
            return concerned.map(|far| (far, true));
        }
        // Of both ends a call of one process may be about either: its descriptor decides.
        let subject = model.of_call(call).map(|conn| conn.id);
        Some(concerned.filter(|far| subject == Some(far.id)).map_or((near, false), |far| (far, true)))
    }

    fn take(&mut self, out: &mut dyn Write, step: Step) -> io::Result<()> {
        self.calls += 1;
        if self.all || self.calls <= SHOWN {
            return self.draw(out, &step);
        }
        self.last.push_back(step);
        let passed = if self.last.len() > SHOWN { self.last.pop_front() } else { None };
        let Some(passed) = passed else { return Ok(()) };
        self.elided.0 += 1;
        // Told as the near end has it.
        match passed.arrow {
            Arrow::Bytes(Direction::Sent, bytes, _) if !passed.far => {
                self.elided.1 = self.elided.1.saturating_add(bytes);
            }
            Arrow::Bytes(Direction::Received, bytes, _) if !passed.far => {
                self.elided.2 = self.elided.2.saturating_add(bytes);
            }
            _ => {}
        }
        Ok(())
    }

    /// Draws the last calls, and those that never returned.
    pub fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        for step in std::mem::take(&mut self.waiting) {
            self.take(out, step)?;
        }
        if self.elided.0 > 0 {
            let (calls, sent, received) = self.elided;
            let text = format!("... {}, {} ──▶, {} ◀── ...", count(calls, "call"), bytes(sent), bytes(received));
            let middle = TIME + PHASE + self.lane + 1 + self.pipe / 2;
            let mut row = Row::new();
            row.to_column(middle.saturating_sub(text.chars().count() / 2));
            row.push(palette::WARNING, text);
            row.print(out)?;
            self.phase = None;
        }
        for step in std::mem::take(&mut self.last) {
            self.draw(out, &step)?;
        }
        for (end, far) in [(Some(self.item.near), false), (self.item.far, true)] {
            for call in end.into_iter().flat_map(|end| &end.in_progress) {
                let name = call.op.map_or("a call", Op::name);
                let phase = call.op.map_or(Phase::Control, Op::phase);
                let (text, arrow) = (format!("{name} never returned"), Arrow::None);
                let step = Step { time_ns: call.start_ns, phase, far, text, duration_ns: 0, failed: true, arrow };
                self.draw(out, &step)?;
            }
        }
        if self.elided.0 > 0 {
            let text = "All of them: --all";
            Row::of(palette::FAINT, text).print(out)?;
        }
        Ok(())
    }

    fn draw(&mut self, out: &mut dyn Write, step: &Step) -> io::Result<()> {
        let since_us = step.time_ns.saturating_sub(self.scene.zero_ns) / 1000;
        let mut row = Row::of(palette::FAINT, format!("{}.{:06}", since_us / 1_000_000, since_us % 1_000_000));
        row.to_column(TIME);
        // What only surrounds a phase does not end it.
        let framed = !matches!(step.phase, Phase::Wait | Phase::Control | Phase::Process);
        if framed && self.phase != Some(step.phase) {
            row.push(palette::phase(step.phase), step.phase.name());
            self.phase = Some(step.phase);
        }
        row.to_column(TIME + PHASE);
        let room =
            if step.far { self.scene.width.saturating_sub(row.width() + self.lane + self.pipe + 2) } else { self.lane };
        let caption = caption(step, room);
        row.to_column(TIME + PHASE + if step.far { self.lane } else { self.lane.saturating_sub(caption.width()) });
        let far = if step.far {
            Some(caption)
        } else {
            row.append(caption);
            None
        };
        row.push(palette::FAINT, "│");
        row.append(pipe(step, self.pipe));
        row.push(palette::FAINT, "│");
        far.into_iter().for_each(|caption| row.append(caption));
        row.print(out)
    }
}

/// The call, and how long it took if there is room for that.
fn caption(step: &Step, columns: usize) -> Row {
    let room = columns.saturating_sub(2);
    let style = match step.phase {
        _ if step.failed => palette::ERROR,
        phase => palette::phase(phase),
    };
    // What is set says more than how.
    let short =
        || step.text.replacen("setsockopt", "set", 1).replacen("getsockopt", "get", 1).replacen("fcntl ", "", 1);
    let text = if step.text.chars().count() > room { short() } else { step.text.clone() };
    let mut row = Row::plain(" ").with(style, cut(&text, room));
    let duration = format!(" {}", Duration(step.duration_ns));
    if step.duration_ns > 0 && row.width() + duration.chars().count() < columns {
        row.push(palette::FAINT, duration);
    }
    row.push(Style::new(), " ");
    row
}

/// What is between the lanes: an arrow from or to the lane of the call.
fn pipe(step: &Step, columns: usize) -> Row {
    // To the right: out of the near lane, or into the far one.
    let rightwards = |direction: Direction| (direction == Direction::Sent) != step.far;
    let (direction, text, line, style) = match &step.arrow {
        Arrow::None => return Row::plain(" ".repeat(columns)),
        Arrow::Bytes(direction, number, preview) => {
            let size = bytes(*number);
            let room = columns.saturating_sub(size.chars().count() + 7);
            let preview =
                if room > 6 && !preview.is_empty() { format!(" {}", cut(preview, room)) } else { String::new() };
            (*direction, format!(" {size}{preview} "), '─', palette::phase(Phase::Communicate))
        }
        Arrow::Signal(direction, word) => (*direction, format!(" {word} "), '╌', palette::phase(step.phase)),
    };
    let text = cut(&text, columns.saturating_sub(4));
    let dashes = columns.saturating_sub(text.chars().count() + 1);
    let line = |count: usize| line.to_string().repeat(count);
    let drawn = match rightwards(direction) {
        true => format!("{}{text}{}▶", line(2.min(dashes)), line(dashes.saturating_sub(2))),
        false => format!("◀{}{text}{}", line(dashes.saturating_sub(2)), line(2.min(dashes))),
    };
    Row::of(style, drawn)
}

/// What is drawn of a call.
pub(crate) fn step(model: &Model, end: &Connection, far: bool, call: &CallInfo) -> Step {
    let op = call.op().map(Op::base);
    let errno = call.call.errno;
    let arrow = arrow(model, end, op, call);
    // What arrives is there at the end of the call. A long call is told only then.
    let arrives = matches!(arrow, Arrow::Bytes(Direction::Received, ..) | Arrow::Signal(Direction::Received, _));
    let waits = op.is_some_and(|op| op.phase() == Phase::Wait);
    let time_ns = if arrives || waits || call.announced { call.end_ns } else { call.start_ns };
    let ordinary = [0, libc::EAGAIN, libc::EINPROGRESS, libc::EINTR].contains(&i32::from(errno));
    Step {
        time_ns,
        phase: op.map_or(Phase::Control, Op::phase),
        far,
        text: text(op, call),
        duration_ns: call.duration_ns(),
        failed: !ordinary,
        arrow,
    }
}

/// The call as there is room for it: `send() = 78`, `connect() EINPROGRESS`, `setsockopt TCP_NODELAY`.
fn text(op: Option<Op>, call: &CallInfo) -> String {
    let name = op.map_or("?", Op::name);
    let (level, number) = ((call.call.arg >> 16) as i32, (call.call.arg & 0xffff) as i32);
    let what = match op {
        Some(Op::Setsockopt | Op::Getsockopt) => option(level, number).map(|option| format!("{name} {option}")),
        Some(Op::Fcntl) => fcntl_command(call.call.arg as i32).map(|command| format!("{name} {command}")),
        _ => None,
    };
    let what = what.unwrap_or_else(|| format!("{name}()"));
    let data = op.is_some_and(|op| op.phase() == Phase::Communicate);
    match (call.call.errno, call.call.ret) {
        (0, _) if !call.is_done() => what + " = ?",
        (0, 0) if !data => what,
        (0, ret) => format!("{what} = {ret}"),
        (errno, _) => match errno_name(errno) {
            "" => format!("{what} errno {errno}"),
            name => format!("{what} {name}"),
        },
    }
}

fn arrow(model: &Model, end: &Connection, op: Option<Op>, call: &CallInfo) -> Arrow {
    let Some(op) = op else { return Arrow::None };
    let tcp = matches!(end.domain, 2 | 10) && end.is_stream();
    let errno = i32::from(call.call.errno);
    match op {
        Op::Connect if !tcp => Arrow::None,
        Op::Connect if errno == libc::ECONNREFUSED => Arrow::Signal(Direction::Received, "RST"),
        Op::Connect => Arrow::Signal(Direction::Sent, "SYN"),
        Op::Accept | Op::Accept4 if tcp && call.call.ret >= 0 => Arrow::Signal(Direction::Received, "connection"),
        Op::Shutdown if call.call.arg != 0 && call.call.ret == 0 => {
            Arrow::Signal(Direction::Sent, if tcp { "FIN" } else { "end" })
        }
        // Only the last descriptor's close reaches the peer, and after a shutdown it has heard already.
        Op::Close | Op::Fclose | Op::Dup2 | Op::Dup3 | Op::CloseRange | Op::Closefrom
            if end.evidence.close_ns == Some(call.start_ns) && end.is_stream() && end.is_connected() =>
        {
            let unread = end.evidence.unread_bytes.is_some_and(|bytes| bytes > 0);
            let reset = unread || end.evidence.linger_resets;
            match (tcp, reset, end.evidence.half_close_ns) {
                (true, true, _) => Arrow::Signal(Direction::Sent, "RST"),
                (_, _, Some(_)) => Arrow::None,
                _ if model.verdict(end) == Verdict::Reset => Arrow::None,
                (true, ..) => Arrow::Signal(Direction::Sent, "FIN"),
                (false, ..) => Arrow::Signal(Direction::Sent, "end"),
            }
        }
        _ => passed(end, op, tcp, call),
    }
}

/// Bytes, or the end of them.
fn passed(end: &Connection, op: Op, tcp: bool, call: &CallInfo) -> Arrow {
    let reads = op.direction() == Some(Direction::Received);
    if reads && i32::from(call.call.errno) == libc::ECONNRESET && end.is_connected() {
        return Arrow::Signal(Direction::Received, "RST");
    }
    if reads && end.evidence.eof_ns == Some(call.end_ns) && call.call.ret == 0 {
        return Arrow::Signal(Direction::Received, if tcp { "FIN" } else { "end" });
    }
    let spliced = || {
        let list = call.fds(sockshim_format::record::ROLE_INPUT).any(|fd| fd.socket == end.socket);
        let direction = if list { Direction::Received } else { Direction::Sent };
        (direction, u64::try_from(call.call.ret).unwrap_or(0))
    };
    let moved = match op {
        Op::Splice | Op::Vmsplice => Some(spliced()),
        _ => call.bytes(),
    };
    match moved {
        Some((direction, number)) if number > 0 => {
            let payload = call.payload().map_or(&[][..], |(_, payload)| payload);
            let shown = payload.get(..PREVIEW).unwrap_or(payload);
            let text = if shown.is_empty() { String::new() } else { Quoted(shown).to_string() };
            Arrow::Bytes(direction, number, text)
        }
        _ => Arrow::None,
    }
}
