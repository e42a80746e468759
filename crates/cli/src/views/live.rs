//! One line per call, as it happens: who, when, which phase, the call.

use std::fmt::Write as _;
use std::io::{self, Write};

use anstyle::Style;
use sockshim_format::line::{Line, Quoted};
use sockshim_format::op::{Op, Phase};
use sockshim_format::record::FLAG_UNCLASSIFIED;
pub use sockshim_reader::tell::name;
use sockshim_reader::{CallInfo, Event, Model};

use super::{Teller, table};
use crate::palette;

/// Threads whose names are kept at hand.
const NAMED: usize = 64;

/// Prints events as lines.
pub struct Live {
    /// The zero of the times that are printed.
    start_ns: Option<u64>,
    colors: bool,
    /// The width of the first column: as wide as its widest text so far.
    width: usize,
    /// What stands there, by process, pid and thread.
    named: Vec<((u32, u32, u32), String)>,
    /// The line that is being made, so that its memory is there.
    line: String,
    /// Calls that were printed.
    pub calls: u64,
}

impl Teller for Live {
    fn event(&mut self, out: &mut dyn Write, model: &Model, event: &Event) -> io::Result<()> {
        self.line(out, model, event)
    }

    fn end(&mut self, out: &mut dyn Write, model: &Model, calls: u64) -> io::Result<()> {
        writeln!(out)?;
        table::print(out, model, calls)
    }
}

impl Live {
    /// Times are told since `start_ns`, or since the first event. Without `colors` no line has a byte for them.
    pub fn new(start_ns: Option<u64>, colors: bool) -> Live {
        Live { start_ns, colors, width: 0, named: Vec::new(), line: String::new(), calls: 0 }
    }

    /// The style, where colors are wanted.
    fn ink(&self, style: Style) -> Style {
        if self.colors { style } else { Style::new() }
    }

    /// Prints an event that `model` has been fed with.
    fn line(&mut self, out: &mut dyn Write, model: &Model, event: &Event) -> io::Result<()> {
        match event {
            Event::Entered(call) | Event::Call(call) => self.call(out, model, call),
            Event::Mark(mark) => {
                let who = self.who(model, mark.process, mark.pid, mark.tid).to_owned();
                let style = self.ink(palette::STRONG);
                write!(out, "{who} {} ", self.time(mark.time_ns))?;
                writeln!(out, "{style}{:<11}{style:#} {}", "mark", Quoted(&mark.text))
            }
            Event::Process(info) => {
                // From now on it is called by another name.
                self.named.clear();
                let number = info.process.process;
                let who = self.who(model, number, info.process.pid, info.process.pid).to_owned();
                let what = match info.args.is_empty() {
                    true => format!("forked from {}", parent(model, info.process.parent)),
                    false => arguments(&info.args),
                };
                let style = self.ink(palette::FAINT);
                writeln!(out, "{who} {} {style}{:<11} {what}{style:#}", self.time(info.time_ns), "process")
            }
            Event::Left(_) | Event::Earlier(_) => Ok(()),
            Event::Lost { process, tid, count } => {
                let who = self.who(model, *process, 0, *tid).to_owned();
                let style = self.ink(palette::WARNING);
                writeln!(out, "{who} {style}{count} calls were lost here: no chunk was free{style:#}")
            }
        }
    }

    fn call(&mut self, out: &mut dyn Write, model: &Model, info: &CallInfo) -> io::Result<()> {
        let connection = model.of_call(info);
        if info.commit().flags & FLAG_UNCLASSIFIED != 0 && connection.is_none() {
            return Ok(()); // nothing has shown that it is a socket
        }
        if info.is_done() {
            self.calls += 1;
        }
        let parts = info.parts();
        // Calls that have the peer as an argument do not name it twice.
        let peer = match info.op().map(Op::base) {
            Some(Op::Connect | Op::Accept | Op::Accept4 | Op::Listen | Op::Bind) => None,
            _ if parts.given.or(parts.returned).is_some() => None,
            _ => connection.and_then(|c| c.peer_address()).filter(|peer| peer.unix_path() != Some(&[])),
        };
        let line = Line { call: &info.call, parts: &parts, peer, duration_ns: info.duration_ns() };
        let phase = info.op().map_or(Phase::Process, Op::phase);
        // An announced call stands at its own time twice: where it was entered, and where it ended.
        let at = if info.is_done() && info.announced { info.end_ns } else { info.start_ns };
        let since_ns = at.saturating_sub(*self.start_ns.get_or_insert(at));
        let mut text = std::mem::take(&mut self.line);
        text.clear();
        text.push_str(self.who(model, info.process, info.pid, info.tid));
        match self.colors {
            true => colored(&mut text, since_ns, phase, &line, failed(info)),
            false => plain(&mut text, since_ns, phase, &line),
        }
        .map_err(io::Error::other)?;
        self.line = text;
        out.write_all(self.line.as_bytes())
    }

    /// `curl[1234]`, with the thread where it is not the main one: `java[1234/1240]`.
    fn who(&mut self, model: &Model, process: u32, pid: u32, tid: u32) -> &str {
        let key = (process, pid, tid);
        let known = self.named.iter().position(|(known, _)| *known == key);
        let at = known.unwrap_or_else(|| {
            let state = model.process(process);
            let pid = if pid != 0 { pid } else { state.map_or(0, |p| p.pid) };
            let name = name(model, process);
            let who = if tid == pid || tid == 0 { format!("{name}[{pid}]") } else { format!("{name}[{pid}/{tid}]") };
            let width = who.chars().count().min(32).max(self.width);
            // The others are too short now.
            if width > self.width || self.named.len() == NAMED {
                self.named.clear();
            }
            self.width = width;
            self.named.push((key, format!("{who:<width$}")));
            self.named.len() - 1
        });
        &self.named[at].1
    }

    fn time(&mut self, time_ns: u64) -> String {
        let mut text = String::new();
        push_time(&mut text, time_ns.saturating_sub(*self.start_ns.get_or_insert(time_ns)));
        text
    }
}

/// Seconds and microseconds, the seconds as wide as three digits.
fn push_time(text: &mut String, since_ns: u64) {
    let (seconds, micros) = (since_ns / 1_000_000_000, since_ns / 1000 % 1_000_000);
    let mut digits = itoa::Buffer::new();
    let seconds = digits.format(seconds);
    text.push_str(&"   "[seconds.len().min(3)..]);
    text.push_str(seconds);
    // Zeros in front: the digits behind the first.
    let mut digits = itoa::Buffer::new();
    text.push('.');
    text.push_str(&digits.format(1_000_000 + micros)[1..]);
}

/// What follows the name in the line of a call.
fn plain(text: &mut String, since_ns: u64, phase: Phase, line: &Line<'_>) -> std::fmt::Result {
    text.push(' ');
    push_time(text, since_ns);
    text.push(' ');
    let name = phase.name();
    text.push_str(name);
    text.push_str(&"           "[name.len().min(11)..]);
    writeln!(text, " {line}")
}

/// The same, each part in the color that it deserves.
fn colored(text: &mut String, since_ns: u64, phase: Phase, line: &Line<'_>, failed: bool) -> std::fmt::Result {
    let (style, faint) = (palette::phase(phase), palette::FAINT);
    write!(text, " {faint}")?;
    push_time(text, since_ns);
    write!(text, "{faint:#} {style}{:<11}{style:#} ", phase.name())?;
    let line = line.to_string();
    let (call, duration) = line.rsplit_once(" <").unwrap_or((&line, ""));
    match call.rsplit_once(" = ") {
        Some((call, result)) if failed => {
            let error = palette::ERROR;
            write!(text, "{call} = {error}{result}{error:#}")?;
        }
        _ if matches!(phase, Phase::Wait | Phase::Control | Phase::Process) => write!(text, "{faint}{call}{faint:#}")?,
        _ => text.push_str(call),
    }
    match duration {
        "" => writeln!(text),
        _ => writeln!(text, " {faint}<{duration}{faint:#}"),
    }
}

/// Whether a call failed in a way that deserves a color: not what non-blocking programs live with.
fn failed(info: &CallInfo) -> bool {
    let resolver = matches!(info.op().map(Op::base), Some(Op::Getaddrinfo | Op::Getnameinfo)) && info.call.ret != 0;
    let errno = i32::from(info.call.errno);
    resolver || (errno != 0 && ![libc::EAGAIN, libc::EINPROGRESS, libc::EINTR].contains(&errno))
}

fn parent(model: &Model, process: u32) -> String {
    format!("{}[{}]", name(model, process), model.process(process).map_or(0, |p| p.pid))
}

/// The command line, cut where it gets long.
fn arguments(args: &[Vec<u8>]) -> String {
    let line = args.iter().map(|a| super::safe(a)).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(100) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
