//! One line per call, as it happens: who, when, which phase, the call.

use std::io::{self, Write};

use sockshim_format::line::{Line, Quoted};
use sockshim_format::op::{Op, Phase};
use sockshim_format::record::FLAG_UNCLASSIFIED;
pub use sockshim_reader::tell::name;
use sockshim_reader::{CallInfo, Event, Model};

use super::{Teller, table};
use crate::palette;

/// Prints events as lines.
pub struct Live {
    /// The zero of the times that are printed.
    start_ns: Option<u64>,
    /// The width of the first column: as wide as its widest text so far.
    width: usize,
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
    /// Times are told since `start_ns`, or since the first event.
    pub fn new(start_ns: Option<u64>) -> Live {
        Live { start_ns, width: 0, calls: 0 }
    }

    /// Prints an event that `model` has been fed with.
    fn line(&mut self, out: &mut dyn Write, model: &Model, event: &Event) -> io::Result<()> {
        match event {
            Event::Entered(call) | Event::Call(call) => self.call(out, model, call),
            Event::Mark(mark) => {
                let who = self.who(model, mark.process, mark.pid, mark.tid);
                let style = palette::STRONG;
                write!(out, "{who} {} ", self.time(mark.time_ns))?;
                writeln!(out, "{style}{:<11}{style:#} {}", "mark", Quoted(&mark.text))
            }
            Event::Process(info) => {
                let number = info.process.process;
                let who = self.who(model, number, info.process.pid, info.process.pid);
                let what = match info.args.is_empty() {
                    true => format!("forked from {}", parent(model, info.process.parent)),
                    false => arguments(&info.args),
                };
                let style = palette::FAINT;
                writeln!(out, "{who} {} {style}{:<11} {what}{style:#}", self.time(info.time_ns), "process")
            }
            Event::Left(_) | Event::Earlier(_) => Ok(()),
            Event::Lost { process, tid, count } => {
                let who = self.who(model, *process, 0, *tid);
                let style = palette::WARNING;
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
        let line = Line { call: &info.call, parts: &parts, peer, duration_ns: info.duration_ns() }.to_string();
        let phase = info.op().map_or(Phase::Process, Op::phase);
        let style = palette::phase(phase);
        let faint = palette::FAINT;
        let who = self.who(model, info.process, info.pid, info.tid);
        // An announced call stands at its own time twice: where it was entered, and where it ended.
        let at = if info.is_done() && info.announced { info.end_ns } else { info.start_ns };
        write!(out, "{who} {faint}{}{faint:#} {style}{:<11}{style:#} ", self.time(at), phase.name())?;
        let (call, duration) = line.rsplit_once(" <").unwrap_or((&line, ""));
        match call.rsplit_once(" = ") {
            Some((call, result)) if failed(info) => {
                let error = palette::ERROR;
                write!(out, "{call} = {error}{result}{error:#}")?;
            }
            _ if matches!(phase, Phase::Wait | Phase::Control | Phase::Process) => {
                write!(out, "{faint}{call}{faint:#}")?;
            }
            _ => write!(out, "{call}")?,
        }
        match duration {
            "" => writeln!(out),
            _ => writeln!(out, " {faint}<{duration}{faint:#}"),
        }
    }

    /// `curl[1234]`, with the thread where it is not the main one: `java[1234/1240]`.
    fn who(&mut self, model: &Model, process: u32, pid: u32, tid: u32) -> String {
        let state = model.process(process);
        let pid = if pid != 0 { pid } else { state.map_or(0, |p| p.pid) };
        let name = name(model, process);
        let who = if tid == pid || tid == 0 { format!("{name}[{pid}]") } else { format!("{name}[{pid}/{tid}]") };
        self.width = self.width.max(who.chars().count()).min(32);
        format!("{who:<width$}", width = self.width)
    }

    fn time(&mut self, time_ns: u64) -> String {
        let since_us = time_ns.saturating_sub(*self.start_ns.get_or_insert(time_ns)) / 1000;
        format!("{:>3}.{:06}", since_us / 1_000_000, since_us % 1_000_000)
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
