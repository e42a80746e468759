//! The calls that a page shows, and the bytes that passed over time: collected while a trace is read again.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;

use sockshim_format::line::Line;
use sockshim_format::op::{Direction, Op, Phase};
use sockshim_reader::model::{ConnId, Connection, Span};
use sockshim_reader::{CallInfo, Model};

use super::json;
use crate::views::report::sequence::{Arrow, Step, step};
use crate::views::report::{Item, bar};

/// Calls that a page may have, of all connections together: some megabytes.
const MOST: usize = 15_000;
/// Calls at the beginning and at the end of one connection.
const SHOWN: usize = 50;
/// Characters of one call.
const LINE: usize = 400;
/// Parts that the time of a trace is divided into.
const BINS: usize = 240;
/// Resolutions that are remembered until it is known what they were for.
const RESOLUTIONS: usize = 4096;

/// A call as the page has it.
struct Drawn {
    step: Step,
    line: String,
}

/// The calls of one connection.
#[derive(Default)]
struct Kept {
    first: Vec<Drawn>,
    last: VecDeque<Drawn>,
    skipped: u64,
}

impl Kept {
    /// Takes in a call of about so many in all. Those in the middle are not even put into words.
    fn push(&mut self, all: u64, call: impl FnOnce() -> Drawn) {
        if self.first.len() < SHOWN {
            return self.first.push(call());
        }
        if self.skipped.saturating_add(2 * SHOWN as u64) < all {
            self.skipped += 1;
            return;
        }
        self.last.push_back(call());
        if self.last.len() > SHOWN {
            self.last.pop_front();
            self.skipped += 1;
        }
    }
}

/// What is collected.
pub struct Calls<'a> {
    model: &'a Model,
    /// From the first of these connections to the last.
    span: Span,
    /// Which of the connections that are told of have their calls shown; of a pipe the near end speaks for both.
    kept: HashMap<ConnId, Kept>,
    /// The connections that are told of, and what they had sent and received.
    told: HashMap<ConnId, (u64, u64)>,
    /// Resolutions, by process and beginning.
    resolved: HashMap<(u32, u64), Drawn>,
    /// Connections whose calls have no room.
    left_out: usize,
    bins: Vec<(u64, u64)>,
}

impl<'a> Calls<'a> {
    /// Nothing yet, of these connections. Those that failed, or have habits, get room first.
    pub fn new(model: &'a Model, items: &[Item<'a>]) -> Calls<'a> {
        let (mut room, mut left_out) = (MOST, 0);
        let (mut kept, mut told) = (HashMap::new(), HashMap::new());
        let odd = |conn: &Connection| model.verdict(conn).is_failure() || !model.lints(conn, 0).is_empty();
        let (first, rest): (Vec<&Item<'_>>, Vec<&Item<'_>>) = items.iter().partition(|item| item.ends().any(odd));
        for item in first.into_iter().chain(rest) {
            // Waits and resolutions come on top of the calls on it.
            let calls = |end: &Connection| usize::try_from(end.calls).unwrap_or(usize::MAX).min(2 * SHOWN);
            let needed: usize = item.ends().map(calls).sum();
            let fits = needed <= room;
            room = room.saturating_sub(if fits { needed } else { 0 });
            left_out += usize::from(!fits);
            for end in item.ends() {
                told.insert(end.id, (0, 0));
                if fits {
                    kept.insert(end.id, Kept::default());
                }
            }
        }
        let extents = items.iter().flat_map(Item::ends).map(bar::extent);
        let span = extents.reduce(|a, b| Span { start_ns: a.start_ns.min(b.start_ns), end_ns: a.end_ns.max(b.end_ns) });
        let span = span.unwrap_or(Span { start_ns: 0, end_ns: 0 });
        let (resolved, bins) = (HashMap::new(), vec![(0, 0); BINS]);
        Calls { model, span, kept, told, resolved, left_out, bins }
    }

    /// Takes in a call; `now` is the model as far as it has been fed.
    pub fn take(&mut self, now: &Model, call: &CallInfo) {
        if call.op().is_some_and(|op| op.phase() == Phase::Resolve) && self.resolved.len() < RESOLUTIONS {
            let drawn = drawn(self.model, &Connection::default(), call);
            self.resolved.insert((call.process, call.start_ns), drawn);
        }
        let ids = now.concerned(call);
        let subject = now.of_call(call).map(|conn| conn.id);
        for id in &ids {
            let (Some(conn), Some(end)) = (now.connection(*id), self.model.connection(*id)) else { continue };
            self.count(conn, call.end_ns);
            // Of two ends in one process the descriptor decides, or else the one that is first.
            let other = end.other_end.filter(|other| ids.contains(other));
            if other.is_some_and(|other| subject == Some(other) || (subject != Some(*id) && other < *id)) {
                continue;
            }
            // What an accept gives is drawn with what it gave.
            let accepts = matches!(call.op().map(Op::base), Some(Op::Accept | Op::Accept4));
            if accepts && subject == Some(*id) && ids.len() > 1 && end.accepted == 0 {
                continue;
            }
            if let Some(kept) = self.kept.get_mut(id) {
                kept.push(end.calls, || drawn(self.model, end, call));
            }
        }
    }

    /// Puts what passed since the last call where it belongs in time.
    fn count(&mut self, now: &Connection, time_ns: u64) {
        let Some(before) = self.told.get_mut(&now.id) else { return };
        let (sent, received) = (now.sent.bytes, now.received.bytes);
        let since = u128::from(time_ns.saturating_sub(self.span.start_ns)) * BINS as u128;
        let bin = usize::try_from(since / u128::from(self.span.duration_ns().max(1))).unwrap_or(BINS);
        if let Some(bin) = self.bins.get_mut(bin.min(BINS - 1)) {
            bin.0 = bin.0.saturating_add(sent.saturating_sub(before.0));
            bin.1 = bin.1.saturating_add(received.saturating_sub(before.1));
        }
        *before = (sent, received);
    }

    /// From the first of the connections to the last.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Connections whose calls are not on the page.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Appends the bytes over time: `[[sent, ...], [received, ...]]`.
    pub fn write_bins(&self, out: &mut String) {
        let column = |of: fn(&(u64, u64)) -> u64| self.bins.iter().map(|bin| i128::from(of(bin))).collect::<Vec<_>>();
        out.push_str("[[");
        json::numbers(out, &column(|bin| bin.0));
        out.push_str("],[");
        json::numbers(out, &column(|bin| bin.1));
        out.push_str("]]");
    }

    /// Appends the calls: `{"1":[skipped,behind,[time,phase,text,duration,failed,arrow,bytes,word,line],...]}`.
    pub fn write(&self, out: &mut String, zero_ns: u64) {
        out.push('{');
        for (at, end) in self.model.connections().filter(|conn| self.kept.contains_key(&conn.id)).enumerate() {
            let Some(kept) = self.kept.get(&end.id) else { continue };
            let resolved = end.phases.resolve.and_then(|span| {
                end.holders.iter().find_map(|holder| self.resolved.get(&(holder.process, span.start_ns)))
            });
            // Whoever was accepted has resolved nothing.
            let resolved =
                resolved.filter(|_| end.phases.resolve.is_some_and(|span| bar::is_near(end, Phase::Resolve, span)));
            let first = kept.first.len() + usize::from(resolved.is_some());
            _ = write!(out, "{}\"{}\":[{},{first}", if at > 0 { ",\n" } else { "" }, end.id + 1, kept.skipped);
            for call in resolved.into_iter().chain(&kept.first).chain(&kept.last) {
                out.push(',');
                call.write(out, zero_ns);
            }
            out.push(']');
        }
        out.push('}');
    }
}

impl Drawn {
    fn write(&self, out: &mut String, zero_ns: u64) {
        let Step { time_ns, phase, ref text, duration_ns, failed, ref arrow, .. } = self.step;
        let (kind, bytes, word) = match arrow {
            Arrow::None => (0, 0, ""),
            Arrow::Bytes(Direction::Sent, bytes, preview) => (1, *bytes, preview.as_str()),
            Arrow::Bytes(Direction::Received, bytes, preview) => (2, *bytes, preview.as_str()),
            Arrow::Signal(Direction::Sent, word) => (3, 0, *word),
            Arrow::Signal(Direction::Received, word) => (4, 0, *word),
        };
        _ = write!(out, "[{},{},", time_ns.saturating_sub(zero_ns), phase as u8);
        json::string(out, text);
        _ = write!(out, ",{duration_ns},{},{kind},{bytes},", u8::from(failed));
        json::string(out, word);
        out.push(',');
        json::string(out, &self.line);
        out.push(']');
    }
}

fn drawn(model: &Model, end: &Connection, call: &CallInfo) -> Drawn {
    let parts = call.parts();
    let mut line = Line { call: &call.call, parts: &parts, peer: None, duration_ns: call.duration_ns() }.to_string();
    if let Some((end, _)) = line.char_indices().nth(LINE) {
        line.truncate(end);
        line.push('…');
    }
    Drawn { step: step(model, end, false, call), line }
}
