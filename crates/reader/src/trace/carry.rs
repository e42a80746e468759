//! What the next file of a recording repeats of the earlier ones, so that it can be read alone: the
//! processes that live, the calls that opened the sockets in use, and where each thread stands.

use crate::records::{Batch, Record};
use sockshim_format::op::{Op, Phase};
use sockshim_format::record::*;
use sockshim_format::region::SLOT_BYTES;
use sockshim_format::trace::Run;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Calls of a thread that may be unfinished, as in the assembler; more are left by jumps only.
const MAX_OPEN: usize = 64;
/// Bytes of a call with all that belongs to it. What is longer says little about the socket.
const MAX_CALL_BYTES: usize = 8192;
/// Calls that are kept of a socket: its beginning, and one of each function that gave it an address.
const MAX_CALLS: usize = 6;
/// Sockets and threads among which is tidied up before the next file begins.
const MANY: usize = 16_384;

/// Knowledge of the records that have been written.
#[derive(Default)]
pub(super) struct Carry {
    processes: BTreeMap<u32, Attached>,
    sockets: HashMap<u64, Opened>,
    threads: HashMap<(u32, u32), Thread>,
    /// Counts the batches: what is as old as the last ones is in use.
    now: u64,
}

struct Attached {
    tid: u32,
    record: Vec<u8>,
    /// It was gone when last asked about. Its last records may have come behind the question.
    gone: bool,
}

#[derive(Default)]
struct Opened {
    calls: Vec<((u32, u32), Vec<u8>)>,
    /// Who used it last, and when.
    process: u32,
    used: u64,
    /// Closed, and not used since: it may still be open in another process.
    closed: bool,
}

#[derive(Default)]
struct Thread {
    /// The newest call, done or not. What belongs to it may still come.
    last: Option<Held>,
    open: Vec<Held>,
    used: u64,
}

/// A call: its slot, and behind that the extensions.
struct Held {
    seq: u32,
    bytes: Vec<u8>,
}

impl Held {
    fn call(&self) -> Option<Call> {
        Call::read(&self.bytes)
    }

    fn is_open(&self) -> bool {
        self.call().is_some_and(|call| Commit::from_word(call.commit).state == STATE_ENTERED)
    }

    fn extensions(&self) -> impl Iterator<Item = Record<'_>> {
        let slots = self.bytes.get(SLOT_BYTES..).unwrap_or_default();
        Batch { process: 0, pid: 0, tid: 0, lost: 0, slots }.records()
    }

    /// The sockets that the call says something lasting about.
    fn opens(&self) -> Vec<u64> {
        let Some(call) = self.call().filter(|_| self.bytes.len() > SLOT_BYTES) else { return Vec::new() };
        let sockets = self.extensions().filter(|record| record.commit.kind == KIND_SOCKET);
        let mut ids: Vec<u64> =
            sockets.filter_map(|record| Some(Socket::read(record.extension()?.1)?.socket)).collect();
        let addresses = || self.extensions().any(|record| record.commit.kind == KIND_ADDRESS);
        let phase = Op::from_number(call.op).map(Op::phase);
        if ids.is_empty() && phase == Some(Phase::Connect) && addresses() {
            ids.push(call.socket);
        }
        ids.retain(|id| *id != 0);
        ids
    }
}

impl Carry {
    /// Takes note of records that have been written.
    pub fn note(&mut self, batch: &Batch<'_>) {
        self.now += 1;
        let Carry { processes, sockets, threads, now } = self;
        let who = (batch.process, batch.tid);
        let thread = threads.entry(who).or_default();
        thread.used = *now;
        for record in batch.records() {
            match record.commit.kind {
                KIND_CALL | KIND_COMPLETION => {
                    let Some(call) = Call::read(record.bytes) else { continue };
                    if let Some(opened) = sockets.get_mut(&call.socket) {
                        (opened.process, opened.used, opened.closed) = (batch.process, *now, is_end(&call));
                    }
                    if let Some(settled) = thread.call(&call, &record) {
                        settle(sockets, who, &settled, *now);
                    }
                }
                KIND_PROCESS => {
                    if let Some(process) = record.extension().and_then(|(_, body)| Process::read(body)) {
                        let attached = Attached { tid: batch.tid, record: record.bytes.to_vec(), gone: false };
                        processes.insert(process.process, attached);
                    }
                }
                // Of no call that is still going on.
                KIND_MARK | KIND_LEFT => {}
                _ => thread.extension(&record),
            }
        }
        if self.sockets.len() > MANY {
            self.sockets.retain(|_, opened| !opened.closed);
            let oldest = self.now.saturating_sub(MANY as u64);
            if self.sockets.len() > MANY {
                self.sockets.retain(|_, opened| opened.used > oldest);
            }
        }
        if self.threads.len() > MANY {
            let oldest = self.now.saturating_sub(MANY as u64 / 2);
            self.threads.retain(|_, thread| thread.used > oldest);
        }
    }

    /// Forgets the processes that were not alive this time nor the last: (number, pid).
    pub fn alive(&mut self, alive: &[(u32, u32)]) {
        self.processes.retain(|number, process| {
            let gone = !alive.iter().any(|(living, _)| living == number);
            !(std::mem::replace(&mut process.gone, gone) && gone)
        });
    }

    /// The payload of a block that tells the next file what it has to know, of at most `most` bytes.
    pub fn payload(&mut self, most: usize) -> Vec<u8> {
        let Carry { processes, sockets, threads, .. } = self;
        sockets.retain(|_, opened| !opened.closed && processes.contains_key(&opened.process));
        threads.retain(|(process, _), _| processes.contains_key(process));
        let (mut payload, mut told) = (Vec::new(), HashSet::new());
        let mut tell = |(process, tid): (u32, u32), bytes: &[u8]| {
            let slots = bytes.len() / SLOT_BYTES;
            if payload.len() + Run::SIZE + bytes.len() <= most {
                let run = Run { process, tid, slots: slots as u32, lost: 0 };
                payload.extend_from_slice(&run.to_bytes());
                payload.extend_from_slice(bytes);
            }
        };
        processes.iter().for_each(|(number, process)| tell((*number, process.tid), &process.record));
        let mut opened: Vec<&Opened> = sockets.values().collect();
        opened.sort_by_key(|opened| std::cmp::Reverse(opened.used));
        for (who, bytes) in opened.into_iter().flat_map(|opened| &opened.calls) {
            // One call may have made two sockets.
            if told.insert((*who, Call::read(bytes).map(|call| (call.seq, call.start_ticks)))) {
                tell(*who, bytes);
            }
        }
        let mut threads: Vec<_> = threads.iter().collect();
        threads.sort_by_key(|(_, thread)| std::cmp::Reverse(thread.used));
        for (who, thread) in threads {
            thread.open.iter().for_each(|held| tell(*who, &held.bytes));
            // The newest call says how far the thread had come; with what belongs to it only if that counts.
            if let Some(last) = &thread.last {
                let whole = last.is_open() || !last.opens().is_empty();
                tell(*who, if whole { &last.bytes } else { last.bytes.get(..SLOT_BYTES).unwrap_or_default() });
            }
        }
        payload
    }
}

impl Thread {
    /// Takes in a call, and gives the one before it if that is done.
    fn call(&mut self, call: &Call, record: &Record<'_>) -> Option<Held> {
        // A completion is the call, with its result: the layouts are the same.
        let commit = Commit { kind: KIND_CALL, ..record.commit };
        let slot = Call { commit: commit.word(), ..*call }.to_bytes();
        if let Some(last) = self.last.as_mut().filter(|last| last.seq == call.seq) {
            if let Some(place) = last.bytes.get_mut(..SLOT_BYTES) {
                place.copy_from_slice(&slot);
            }
            return None;
        }
        let known = self.open.iter().position(|held| held.seq == call.seq).map(|at| self.open.remove(at));
        let next = match known {
            Some(mut held) => {
                if let Some(place) = held.bytes.get_mut(..SLOT_BYTES) {
                    place.copy_from_slice(&slot);
                }
                held
            }
            None => Held { seq: call.seq, bytes: slot.to_vec() },
        };
        let before = self.last.replace(next)?;
        if !before.is_open() {
            return Some(before);
        }
        if self.open.len() >= MAX_OPEN {
            self.open.remove(0);
        }
        self.open.push(before);
        None
    }

    fn extension(&mut self, record: &Record<'_>) {
        let Some((head, _)) = record.extension() else { return };
        let held = self.last.iter_mut().chain(self.open.iter_mut()).find(|held| held.seq == head.seq);
        if let Some(held) = held.filter(|held| held.bytes.len() + record.bytes.len() <= MAX_CALL_BYTES) {
            held.bytes.extend_from_slice(record.bytes);
        }
    }
}

/// Keeps a call if it says what a socket is.
fn settle(sockets: &mut HashMap<u64, Opened>, who: (u32, u32), held: &Held, now: u64) {
    let Some(call) = held.call().filter(|call| !is_end(call)) else { return };
    for id in held.opens() {
        let opened = sockets.entry(id).or_default();
        (opened.process, opened.used) = (who.0, now);
        let same = |(_, bytes): &((u32, u32), Vec<u8>)| Call::read(bytes).is_some_and(|known| known.op == call.op);
        let room = opened.calls.len() < MAX_CALLS;
        match opened.calls.iter_mut().find(|call| same(call)) {
            Some(place) => *place = (who, held.bytes.clone()),
            None if room => opened.calls.push((who, held.bytes.clone())),
            None => {}
        }
    }
}

/// Whether a socket may be gone with this call.
fn is_end(call: &Call) -> bool {
    let op = Op::from_number(call.op).filter(|op| op.phase() == Phase::Disconnect);
    op.is_some_and(|op| op.base() != Op::Shutdown)
        && call.ret >= 0
        && Commit::from_word(call.commit).state == STATE_DONE
}
