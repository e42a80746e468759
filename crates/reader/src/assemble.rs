//! Slots to events: joins a call with its extensions and its completion.
//!
//! The shim writes in this order: the call as entered, what is known at entry; the call runs; what
//! is known when it leaves, and last of all it marks the call as done. So the extensions of a call
//! that is done lie behind it in the same chunk, or in front of its completion.

use crate::clock::Clock;
use crate::event::{CallInfo, Event, LeftInfo, MarkInfo, OwnedExtension, ProcessInfo};
use crate::records::{Batch, Record};
use plain::plain;
pub(crate) use plain::{DURATION_TICKS, Plain, START_TICKS, Slot, Who, tell_payload, word};
use sockshim_format::record::*;
use std::collections::{BTreeMap, HashMap, VecDeque};

mod plain;

/// Slots of a thread after which nothing more can belong to a call that is done: a chunk has 63, and
/// each of them is told at most twice.
const SETTLED_SLOTS: u64 = 128;
/// Calls of one thread that may be unfinished. Calls nest through signal handlers only, but each one
/// that is left by a jump stays unfinished for ever.
const MAX_UNFINISHED: usize = 256;
/// Extensions of one call. A `close_range` over a full table of descriptors needs 2731 of them, a
/// payload of all that one `writev` can take 64 times as many bytes as the default region holds.
const MAX_EXTENSIONS: usize = 8192;

/// Joins the records of all threads.
pub struct Assembler {
    clock: Clock,
    /// Whether payload is told.
    payload: bool,
    threads: HashMap<(u32, u32), Thread>,
    /// Threads that have something to tell at the next flush, in the order of their first record.
    touched: Vec<(u32, u32)>,
    pids: HashMap<u32, u32>,
    orphans: u64,
}

#[derive(Default)]
struct Thread {
    pid: u32,
    touched: bool,
    slots: u64,
    unfinished: BTreeMap<u32, Joined>,
    /// Calls that are done, with the count of slots at that moment, until all of them is there.
    done: VecDeque<(u64, Joined)>,
}

/// Who is told what a batch tells.
pub(crate) trait Told {
    fn event(&mut self, event: Event);
    /// A plain call, and the slots with its payload.
    fn plain(&mut self, who: Who, plain: Plain<'_>, payload: &[u8]);
}

/// Tells plain calls as all others.
struct Alike<'a> {
    clock: Clock,
    sink: &'a mut dyn FnMut(Event),
}

impl Told for Alike<'_> {
    fn event(&mut self, event: Event) {
        (self.sink)(event);
    }

    fn plain(&mut self, who: Who, plain: Plain<'_>, payload: &[u8]) {
        (self.sink)(Event::Call(plain.info(who, payload, &self.clock)));
    }
}

struct Joined {
    call: Call,
    extensions: Vec<OwnedExtension>,
    /// Payload that was passed over: how many pieces, and of which role.
    passed_over: (usize, u8),
    announced: bool,
}

impl Assembler {
    /// An assembler that tells time by `clock`.
    pub fn new(clock: Clock) -> Assembler {
        let (threads, pids) = (HashMap::new(), HashMap::new());
        Assembler { clock, payload: true, threads, touched: Vec::new(), pids, orphans: 0 }
    }

    /// One that passes payload over: who wants to know how much has passed, and not what, need not pay for it.
    /// Its calls have all else.
    pub fn without_payload(clock: Clock) -> Assembler {
        Assembler { payload: false, ..Assembler::new(clock) }
    }

    /// Takes a better calibrated clock.
    pub fn set_clock(&mut self, clock: &Clock) {
        self.clock.clone_from(clock);
    }

    /// Extensions whose call was never seen.
    pub fn orphans(&self) -> u64 {
        self.orphans
    }

    /// Takes in a run of records and tells what is complete. The records of a thread must come in
    /// the order in which they were drained.
    pub fn feed(&mut self, batch: &Batch<'_>, sink: &mut dyn FnMut(Event)) {
        let clock = self.clock.clone();
        self.feed_apart(batch, &mut Alike { clock, sink });
    }

    /// The same, which tells plain calls apart.
    pub(crate) fn feed_apart(&mut self, batch: &Batch<'_>, told: &mut impl Told) {
        let Batch { process, tid, .. } = *batch;
        if batch.lost != 0 {
            told.event(Event::Lost { process, tid, count: batch.lost });
        }
        let pid = if batch.pid != 0 { batch.pid } else { self.pids.get(&process).copied().unwrap_or(0) };
        let thread = self.threads.entry((process, tid)).or_default();
        thread.pid = pid;
        if !std::mem::replace(&mut thread.touched, true) {
            self.touched.push((process, tid));
        }
        let mut slots = batch.slots;
        loop {
            // Behind a call that is not settled stands what may belong to it, up to the next one of the thread.
            if !thread.done.is_empty() && thread.is_settled(slots) {
                let who = (process, thread.pid, tid);
                thread.done.drain(..).for_each(|(_, joined)| told.event(Event::Call(joined.info(who, &self.clock))));
            }
            if thread.done.is_empty() && thread.unfinished.is_empty() {
                let who = Who { process, pid: thread.pid, tid };
                while let Some((slot, carried, behind)) = plain(slots) {
                    let start_ns = self.clock.real_ns(word(slot, START_TICKS));
                    let payload = if self.payload { carried } else { &[] };
                    told.plain(who, Plain { slot, start_ns }, payload);
                    slots = behind;
                }
            }
            let Some((record, behind)) = Record::first(slots) else { break };
            slots = behind;
            let sink = &mut |event| told.event(event);
            thread.slots += u64::from(record.commit.slots.max(1));
            match record.commit.kind {
                KIND_CALL | KIND_COMPLETION => thread.call(&record),
                KIND_PROCESS => {
                    if let Some(info) = process_info(&record, &self.clock) {
                        self.pids.insert(info.process.process, info.process.pid);
                        thread.pid = info.process.pid;
                        sink(Event::Process(info));
                    }
                }
                KIND_MARK => {
                    if let Some((time_ns, text)) = mark(&record, &self.clock) {
                        sink(Event::Mark(MarkInfo { process, pid: thread.pid, tid, time_ns, text }));
                    }
                }
                KIND_LEFT => {
                    left(&record, (process, tid), &self.clock).into_iter().for_each(|info| sink(Event::Left(info)))
                }
                _ => self.orphans += u64::from(!thread.extension(&record, self.payload)),
            }
            while let Some((slots, _)) = thread.done.front()
                && thread.slots - slots >= SETTLED_SLOTS
                && let Some((_, joined)) = thread.done.pop_front()
            {
                sink(Event::Call(joined.info((process, thread.pid, tid), &self.clock)));
            }
        }
    }

    /// Tells what is complete at the end of a pass, and what was entered and is not done.
    pub fn flush(&mut self, sink: &mut dyn FnMut(Event)) {
        for key in self.touched.drain(..) {
            let Some(thread) = self.threads.get_mut(&key) else { continue };
            let who = (key.0, thread.pid, key.1);
            for (_, joined) in thread.done.drain(..) {
                sink(Event::Call(joined.info(who, &self.clock)));
            }
            for joined in thread.unfinished.values_mut().filter(|joined| !joined.announced) {
                let entered = Joined {
                    call: joined.call,
                    extensions: joined.extensions.clone(),
                    passed_over: joined.passed_over,
                    announced: std::mem::replace(&mut joined.announced, true),
                };
                sink(Event::Entered(entered.info(who, &self.clock)));
            }
            thread.touched = false;
            if thread.unfinished.is_empty() {
                self.threads.remove(&key);
            }
        }
    }
}

impl Thread {
    /// Whether all that belongs to the calls that are done is there: the next one began when they were over.
    fn is_settled(&self, slots: &[u8]) -> bool {
        let over = |(_, joined): &(u64, Joined), begun| {
            let Call { commit, start_ticks, duration_ticks, .. } = joined.call;
            let coarse = Commit::from_word(commit).flags & FLAG_COARSE != 0;
            !coarse && start_ticks.checked_add(duration_ticks).is_some_and(|end| end <= begun)
        };
        let next = Record::first(slots).map(|(record, _)| record);
        let next = next.filter(|next| next.commit.kind == KIND_CALL && next.commit.flags & FLAG_COARSE == 0);
        let begun = next.and_then(|next| Some(Call::read(next.bytes)?.start_ticks));
        begun.is_some_and(|begun| self.unfinished.is_empty() && self.done.iter().all(|done| over(done, begun)))
    }

    fn call(&mut self, record: &Record<'_>) {
        let Some(mut call) = Call::read(record.bytes) else { return };
        let pending = record.commit.kind == KIND_CALL && record.commit.state == STATE_ENTERED;
        // A completion is the call, with its result: the layouts are the same.
        call.commit = Commit { kind: KIND_CALL, ..record.commit }.word();
        if !pending && self.unfinished.is_empty() {
            let joined = Joined { call, extensions: Vec::new(), passed_over: (0, 0), announced: false };
            return self.done.push_back((self.slots, joined));
        }
        // The counter of calls may have come round to an old call that was never finished.
        let known = self.unfinished.remove(&call.seq).filter(|known| known.call.start_ticks == call.start_ticks);
        let mut joined =
            known.unwrap_or(Joined { call, extensions: Vec::new(), passed_over: (0, 0), announced: false });
        joined.call = call;
        if !pending {
            self.done.push_back((self.slots, joined));
            return;
        }
        self.unfinished.insert(call.seq, joined);
        if self.unfinished.len() > MAX_UNFINISHED {
            self.unfinished.pop_first();
        }
    }

    /// Puts an extension to its call. False when there is none.
    fn extension(&mut self, record: &Record<'_>, payload: bool) -> bool {
        let Some((head, body)) = record.extension() else { return false };
        let done = self.done.iter_mut().rev().map(|(_, joined)| joined).find(|joined| joined.call.seq == head.seq);
        let Some(joined) = done.or_else(|| self.unfinished.get_mut(&head.seq)) else { return false };
        if joined.extensions.len() + joined.passed_over.0 >= MAX_EXTENSIONS {
            return true;
        }
        let Extension { role, part, .. } = head;
        let kind = record.commit.kind;
        if payload || kind != KIND_PAYLOAD {
            joined.extensions.push(OwnedExtension { kind, role, part, body: body.to_vec() });
        } else if joined.passes_over(role) {
            joined.passed_over = (joined.passed_over.0 + 1, role);
        } else {
            joined.extensions.push(OwnedExtension { kind, role, part, body: Vec::new() });
        }
        true
    }
}

impl Joined {
    /// Whether payload of a role leaves no trace when it is passed over. What stands next to what is of meaning,
    /// so only what stands in front of everything, and what would be joined to that, may go; in ordinary
    /// calls that is all of it.
    fn passes_over(&self, role: u8) -> bool {
        match self.passed_over {
            (0, _) => self.extensions.is_empty(),
            (_, passed_over) => passed_over == role,
        }
    }

    fn info(mut self, (process, pid, tid): (u32, u32, u32), clock: &Clock) -> CallInfo {
        let call = self.call;
        join_parts(&mut self.extensions);
        let coarse = Commit::from_word(call.commit).flags & FLAG_COARSE != 0;
        let (start_ns, duration_ns) = if coarse {
            (clock.mono_to_real(call.start_ticks), call.duration_ticks)
        } else {
            (clock.real_ns(call.start_ticks), clock.duration_ns(call.duration_ticks))
        };
        let done = Commit::from_word(call.commit).state != STATE_ENTERED;
        let end_ns = if done { start_ns.saturating_add(duration_ns) } else { start_ns };
        let Joined { extensions, announced, .. } = self;
        CallInfo { process, pid, tid, call, extensions, start_ns, end_ns, announced }
    }
}

/// Joins what comes in parts: payload, and lists of descriptors, into one extension for each role.
/// The parts lie in the order in which they were written; `part` alone does not tell it, for it
/// wraps around.
fn join_parts(extensions: &mut Vec<OwnedExtension>) {
    let in_parts = |kind| matches!(kind, KIND_PAYLOAD | KIND_FDS | KIND_READY);
    if extensions.iter().filter(|e| in_parts(e.kind)).count() < 2 {
        return;
    }
    let mut all: Vec<OwnedExtension> = Vec::new();
    for part in extensions.drain(..) {
        let alike = |e: &&mut OwnedExtension| in_parts(e.kind) && (e.kind, e.role) == (part.kind, part.role);
        match all.iter_mut().find(alike) {
            Some(joined) => joined.body.extend_from_slice(&part.body),
            None => all.push(part),
        }
    }
    *extensions = all;
}

fn process_info(record: &Record<'_>, clock: &Clock) -> Option<ProcessInfo> {
    let (_, body) = record.extension()?;
    let process = Process::read(body)?;
    let text = body.get(Process::SIZE..)?;
    let path_bytes = text.len().min(process.path_bytes as usize);
    let (path, args) = text.split_at_checked(path_bytes)?;
    let args = args.get(..args.len().min(process.arguments_bytes as usize))?;
    let exe = path.strip_suffix(b"\0").unwrap_or(path).to_vec();
    // Without the last zero there is no empty argument behind it.
    let args = match args.strip_suffix(b"\0").unwrap_or(args) {
        [] if args.is_empty() => Vec::new(),
        args => args.split(|b| *b == 0).map(<[u8]>::to_vec).collect(),
    };
    let time_ns = if record.commit.flags & FLAG_COARSE != 0 {
        clock.mono_to_real(process.ticks)
    } else {
        clock.real_ns(process.ticks)
    };
    Some(ProcessInfo { process, time_ns, exe, args })
}

fn left(record: &Record<'_>, (process, tid): (u32, u32), clock: &Clock) -> Option<LeftInfo> {
    let (_, body) = record.extension()?;
    let (left, rest) = (Left::read(body)?, body.get(Left::SIZE..)?);
    let (state, info) = (TcpState::read(rest)?, rest.get(TcpState::SIZE..)?.to_vec());
    let coarse = record.commit.flags & FLAG_COARSE != 0;
    let time_ns = if coarse { clock.mono_to_real(left.ticks) } else { clock.real_ns(left.ticks) };
    Some(LeftInfo { process, tid, time_ns, left, state, info })
}

fn mark(record: &Record<'_>, clock: &Clock) -> Option<(u64, Vec<u8>)> {
    let (_, body) = record.extension()?;
    let ticks = Mark::read(body)?.ticks;
    let coarse = record.commit.flags & FLAG_COARSE != 0;
    let time_ns = if coarse { clock.mono_to_real(ticks) } else { clock.real_ns(ticks) };
    Some((time_ns, body.get(Mark::SIZE..)?.to_vec()))
}

#[cfg(test)]
mod tests;
