//! Slots to events: joins a call with its extensions and its completion.
//!
//! The shim writes in this order: the call as entered, what is known at entry; the call runs; what
//! is known when it leaves, and last of all it marks the call as done. So the extensions of a call
//! that is done lie behind it in the same chunk, or in front of its completion.

use crate::clock::Clock;
use crate::records::{Batch, Record};
use sockshim_format::line::Parts;
use sockshim_format::op::{Direction, Op};
use sockshim_format::record::*;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Slots of a thread after which nothing more can belong to a call that is done: a chunk has 63, and
/// each of them is told at most twice.
const SETTLED_SLOTS: u64 = 128;
/// Calls of one thread that may be unfinished. Calls nest through signal handlers only, but each one
/// that is left by a jump stays unfinished for ever.
const MAX_UNFINISHED: usize = 256;
/// Extensions of one call: 256 parts of payload each way, and as many others. More is no recording.
const MAX_EXTENSIONS: usize = 768;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A process attached.
    Process(ProcessInfo),
    /// The program left a mark.
    Mark(MarkInfo),
    /// A call was entered, and has taken some time.
    Entered(CallInfo),
    /// A call is over.
    Call(CallInfo),
    /// Calls of a thread were lost, about here.
    Lost {
        /// The process, by its number.
        process: u32,
        /// The thread.
        tid: u32,
        /// How many.
        count: u32,
    },
}

/// A process, as it introduced itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Numbers and namespaces.
    pub process: Process,
    /// When it attached, in nanoseconds since the epoch.
    pub time_ns: u64,
    /// Its executable.
    pub exe: Vec<u8>,
    /// Its arguments, the zeroth included.
    pub args: Vec<Vec<u8>>,
}

impl ProcessInfo {
    /// The last part of the executable's path: what people call the program.
    pub fn name(&self) -> String {
        let name = self.exe.rsplit(|b| *b == b'/').next().unwrap_or(&self.exe);
        String::from_utf8_lossy(name).into_owned()
    }
}

/// Text that the program wrote into its own trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkInfo {
    /// The process, by its number.
    pub process: u32,
    /// Its pid, 0 if unknown.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// When, in nanoseconds since the epoch.
    pub time_ns: u64,
    /// The text.
    pub text: Vec<u8>,
}

/// A call with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallInfo {
    /// The process, by its number.
    pub process: u32,
    /// Its pid, 0 if unknown.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// The call itself. A completion is told as the call that it completes.
    pub call: Call,
    /// What belongs to it, payload in one piece per direction.
    pub extensions: Vec<OwnedExtension>,
    /// When it was entered, in nanoseconds since the epoch.
    pub start_ns: u64,
    /// When it returned; the same as `start_ns` while it has not.
    pub end_ns: u64,
    /// Whether it was told as entered before.
    pub announced: bool,
}

/// An extension with its own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedExtension {
    /// One of the KIND_ numbers.
    pub kind: u8,
    /// One of the ROLE_ numbers.
    pub role: u8,
    /// Which part of the payload.
    pub part: u8,
    /// Its bytes.
    pub body: Vec<u8>,
}

impl CallInfo {
    /// The operation, if this version knows it.
    pub fn op(&self) -> Option<Op> {
        Op::from_number(self.call.op)
    }

    /// The commit word of the call, taken apart.
    pub fn commit(&self) -> Commit {
        Commit::from_word(self.call.commit)
    }

    /// Whether it returned, and what it returned is known.
    pub fn is_done(&self) -> bool {
        self.commit().state == STATE_DONE
    }

    /// How long it took.
    pub fn duration_ns(&self) -> u64 {
        self.end_ns - self.start_ns
    }

    /// The bodies of the extensions, for [`sockshim_format::line::Line`].
    pub fn parts(&self) -> Parts<'_> {
        let mut parts = Parts::default();
        for extension in &self.extensions {
            let OwnedExtension { kind, role, part, ref body } = *extension;
            if kind == KIND_PAYLOAD {
                // Joined payload may be longer than a head can say.
                parts.payload.get_or_insert(body);
            } else {
                let head = Extension { commit: 0, seq: self.call.seq, len: u16::MAX, role, part };
                parts.add(kind, &head, body);
            }
        }
        parts
    }

    /// The bodies of the extensions of a kind and role.
    pub fn bodies(&self, kind: u8, role: u8) -> impl Iterator<Item = &[u8]> {
        self.extensions.iter().filter(move |e| e.kind == kind && e.role == role).map(|e| &e.body[..])
    }

    /// The descriptors in all lists of a role.
    pub fn fds(&self, role: u8) -> impl Iterator<Item = Fd> {
        self.bodies(KIND_FDS, role).flat_map(|body| body.chunks_exact(Fd::SIZE).filter_map(Fd::read))
    }

    /// What a wait ended with, or what `epoll_ctl` registered.
    pub fn ready(&self) -> impl Iterator<Item = Ready> {
        let lists = self.extensions.iter().filter(|e| e.kind == KIND_READY);
        lists.flat_map(|e| e.body.chunks_exact(Ready::SIZE).filter_map(Ready::read))
    }

    /// The sockets that the call identified.
    pub fn sockets(&self) -> impl Iterator<Item = Socket> {
        self.extensions.iter().filter(|e| e.kind == KIND_SOCKET).filter_map(|e| Socket::read(&e.body))
    }

    /// The payload that was kept, and which way it went.
    pub fn payload(&self) -> Option<(Direction, &[u8])> {
        let payload = self.extensions.iter().find(|e| e.kind == KIND_PAYLOAD)?;
        let direction = match payload.role {
            ROLE_SENT => Direction::Sent,
            ROLE_RECEIVED => Direction::Received,
            _ => self.op()?.direction()?,
        };
        Some((direction, &payload.body))
    }

    /// The bytes that passed on the descriptor of the call: none when it failed, has not returned, or
    /// only looked at them. `None` when the operation carries none.
    pub fn bytes(&self) -> Option<(Direction, u64)> {
        let op = self.op()?;
        let direction = op.direction()?;
        let none = !self.is_done() || self.call.ret <= 0 || self.commit().flags & FLAG_PEEK != 0;
        Some((
            direction,
            match op.base() {
                _ if none => 0,
                // They return messages; the shim counts the bytes.
                Op::Sendmmsg | Op::Recvmmsg => self.call.size,
                _ => self.call.ret as u64,
            },
        ))
    }
}

impl Event {
    /// When it happened, for putting events in order: a call at its start, one that was told as
    /// entered at its end. `None` when it has no time of its own.
    pub fn time_ns(&self) -> Option<u64> {
        match self {
            Event::Process(process) => Some(process.time_ns),
            Event::Mark(mark) => Some(mark.time_ns),
            Event::Entered(call) => Some(call.start_ns),
            Event::Call(call) => Some(if call.announced { call.end_ns } else { call.start_ns }),
            Event::Lost { .. } => None,
        }
    }
}

/// Joins the records of all threads.
pub struct Assembler {
    clock: Clock,
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

struct Joined {
    call: Call,
    extensions: Vec<OwnedExtension>,
    announced: bool,
}

impl Assembler {
    /// An assembler that tells time by `clock`.
    pub fn new(clock: Clock) -> Assembler {
        Assembler { clock, threads: HashMap::new(), touched: Vec::new(), pids: HashMap::new(), orphans: 0 }
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
        let Batch { process, tid, .. } = *batch;
        if batch.lost != 0 {
            sink(Event::Lost { process, tid, count: batch.lost });
        }
        let pid = if batch.pid != 0 { batch.pid } else { self.pids.get(&process).copied().unwrap_or(0) };
        let thread = self.threads.entry((process, tid)).or_default();
        thread.pid = pid;
        if !std::mem::replace(&mut thread.touched, true) {
            self.touched.push((process, tid));
        }
        for record in batch.records() {
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
                _ => self.orphans += u64::from(!thread.extension(&record)),
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
    fn call(&mut self, record: &Record<'_>) {
        let Some(mut call) = Call::read(record.bytes) else { return };
        let pending = record.commit.kind == KIND_CALL && record.commit.state == STATE_ENTERED;
        // A completion is the call, with its result: the layouts are the same.
        call.commit = Commit { kind: KIND_CALL, ..record.commit }.word();
        // The counter of calls may have come round to an old call that was never finished.
        let known = self.unfinished.remove(&call.seq).filter(|known| known.call.start_ticks == call.start_ticks);
        let mut joined = known.unwrap_or(Joined { call, extensions: Vec::new(), announced: false });
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
    fn extension(&mut self, record: &Record<'_>) -> bool {
        let Some((head, body)) = record.extension() else { return false };
        let done = self.done.iter_mut().rev().map(|(_, joined)| joined).find(|joined| joined.call.seq == head.seq);
        let Some(joined) = done.or_else(|| self.unfinished.get_mut(&head.seq)) else { return false };
        let new = OwnedExtension { kind: record.commit.kind, role: head.role, part: head.part, body: body.to_vec() };
        // A trace that is merged with its region may hold one twice.
        if joined.extensions.len() < MAX_EXTENSIONS && !joined.extensions.contains(&new) {
            joined.extensions.push(new);
        }
        true
    }
}

impl Joined {
    fn info(mut self, (process, pid, tid): (u32, u32, u32), clock: &Clock) -> CallInfo {
        let call = self.call;
        join_payload(&mut self.extensions);
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

/// Joins the parts of the payload, in their order, into one extension per direction.
fn join_payload(extensions: &mut Vec<OwnedExtension>) {
    if extensions.iter().filter(|e| e.kind == KIND_PAYLOAD).count() < 2 {
        return;
    }
    let (mut payload, mut all): (Vec<_>, Vec<_>) = extensions.drain(..).partition(|e| e.kind == KIND_PAYLOAD);
    payload.sort_by_key(|e| (e.role, e.part));
    for part in payload {
        match all.iter_mut().find(|e| e.kind == KIND_PAYLOAD && e.role == part.role) {
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

fn mark(record: &Record<'_>, clock: &Clock) -> Option<(u64, Vec<u8>)> {
    let (_, body) = record.extension()?;
    let ticks = Mark::read(body)?.ticks;
    let coarse = record.commit.flags & FLAG_COARSE != 0;
    let time_ns = if coarse { clock.mono_to_real(ticks) } else { clock.real_ns(ticks) };
    Some((time_ns, body.get(Mark::SIZE..)?.to_vec()))
}

#[cfg(test)]
mod tests;
