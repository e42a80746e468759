//! What is new in a chunk.

use super::owners::Owner;
use super::pass::Drained;
use super::{Region, clear_behind};
use crate::records::Batch;
use sockshim_format::record::*;
use sockshim_format::region::*;
use std::mem::offset_of;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// What the tool remembers of a chunk between passes, for one generation of it.
#[derive(Default)]
pub(super) struct ChunkState {
    generation: u32,
    /// The next slot to look at.
    position: u32,
    /// Slots of calls that were told as entered and may be done any time, a bit each.
    entered: u64,
    /// Slots that were reserved and not published in time: (first, behind the last).
    gaps: Vec<(u8, u8)>,
    /// Ticks when the scan first met the unpublished slot that it stands at, 0 if it does not.
    stalled_ticks: u64,
    lost_told: bool,
    /// There is a slot that does not begin with the commit word of a record.
    pub(super) bodies: bool,
    /// All of it has been told; it waits for `give_back`.
    spent: bool,
}

// A bit for each slot has room in 64.
const _: () = assert!(CHUNK_SLOTS <= 64);

/// A run that grows while records follow one another, and is told when they do not.
struct Telling<'a> {
    owner: Owner,
    lost: u32,
    bytes: Vec<u8>,
    records: u64,
    sink: &'a mut dyn FnMut(Batch<'_>),
}

impl Telling<'_> {
    fn tell(&mut self) {
        let Owner { process, pid, tid, .. } = self.owner;
        if !self.bytes.is_empty() || self.lost != 0 {
            (self.sink)(Batch { process, pid, tid, lost: self.lost, slots: &self.bytes });
            self.lost = 0;
            self.bytes.clear();
        }
    }
}

impl Region {
    /// Tells what is new in a chunk. True if it stopped at something that is better told later.
    pub(super) fn drain_chunk(
        &mut self,
        owner: Owner,
        gone: bool,
        now: u64,
        sink: &mut dyn FnMut(Batch<'_>),
        drained: &mut Drained,
    ) -> bool {
        // The sink may take its time: the shim shall not take us for dead meanwhile.
        self.heartbeat(self.clock.now_ticks());
        let Some(state) = self.chunks.get_mut(owner.index as usize).filter(|state| !state.spent) else {
            return false;
        };
        let mut state = std::mem::take(state);
        if state.generation != owner.generation {
            state = ChunkState { generation: owner.generation, ..ChunkState::default() };
        }
        // The full bit before the records: when it is set, nothing more is written behind it.
        let full = gone || self.full_bit(owner.index);
        let lost = if state.lost_told { 0 } else { owner.lost };
        let mut telling = Telling { owner, lost, bytes: std::mem::take(&mut self.buffer), records: 0, sink };
        self.poll(&mut state, &mut telling);
        let waits = self.scan(&mut state, full, now, &mut telling);
        if full || !telling.bytes.is_empty() {
            telling.tell();
        }
        state.lost_told |= telling.lost == 0;
        drained.records += telling.records;
        self.buffer = telling.bytes;
        self.buffer.clear();
        if full {
            state.spent = true;
            self.spent.push(owner);
        }
        if let Some(place) = self.chunks.get_mut(owner.index as usize) {
            *place = state;
        }
        waits
    }

    /// Looks again at what was not finished in earlier passes.
    fn poll(&mut self, state: &mut ChunkState, telling: &mut Telling<'_>) {
        let chunk = self.chunk_offset(telling.owner.index);
        let mut entered = state.entered;
        while entered != 0 {
            let slot = entered.trailing_zeros();
            entered &= entered - 1;
            let (word, bytes) = self.load_slot(slot_offset(chunk, slot));
            let commit = Commit::from_word(word);
            if commit.generation == state.generation && is_pending(commit) {
                continue;
            }
            state.entered &= !(1 << slot);
            if commit.generation == state.generation {
                telling.bytes.extend_from_slice(&bytes);
                telling.records += 1;
                telling.tell();
            }
        }
        let mut gaps = std::mem::take(&mut state.gaps);
        gaps.retain(|&(first, end)| match self.record_at(chunk, first.into(), end.into(), state.generation) {
            Some(commit) => {
                if !is_pending(commit) {
                    self.take(chunk, first.into(), u32::from(first) + u32::from(commit.slots), telling);
                } else if is_pending(self.take_pending(chunk, first.into(), commit, telling)) {
                    state.entered |= 1 << first;
                }
                telling.tell();
                false
            }
            None => true,
        });
        state.gaps = gaps;
    }

    /// Tells what lies behind what has been told. True if it stopped short of the end.
    fn scan(&mut self, state: &mut ChunkState, full: bool, now: u64, telling: &mut Telling<'_>) -> bool {
        let chunk = self.chunk_offset(telling.owner.index);
        self.fetch(chunk, state.position);
        // Records from here on that nobody writes to any more are taken together.
        let mut from = state.position;
        let waits = loop {
            // Asked anew each time: behind a call that has become done meanwhile lie its extensions.
            let used = self.half(chunk + offset_of!(Chunk, used)).load(Acquire).min(CHUNK_SLOTS);
            let position = state.position;
            if position >= used {
                break false;
            }
            let Some(commit) = self.record_at(chunk, position, CHUNK_SLOTS, state.generation) else {
                // Reserved and not published: a thread that is about to, or a signal handler that
                // left the recorder by a jump and never will.
                self.take(chunk, from, position, telling);
                telling.tell();
                state.bodies = true;
                from = position;
                match self.beyond_gap(chunk, used, state, full, now) {
                    Some(next) => (state.position, from) = (next, next),
                    None => break self.is_young(state.stalled_ticks, now),
                }
                continue;
            };
            let pending = is_pending(commit);
            if pending && !full && self.may_wait(chunk, position, used, commit, now) {
                break true;
            }
            state.stalled_ticks = 0;
            state.position += u32::from(commit.slots);
            state.bodies |= commit.slots > 1;
            if pending {
                self.take(chunk, from, position, telling);
                from = state.position;
                if is_pending(self.take_pending(chunk, position, commit, telling)) {
                    state.entered |= 1 << position;
                }
            }
        };
        self.take(chunk, from, state.position, telling);
        waits
    }

    /// Has the processor begin to fetch what lies behind what has been told. The thread has written it on another
    /// core, perhaps, and slots that are looked at one after the other are waited for one after the other.
    fn fetch(&self, chunk: usize, position: u32) {
        let used = self.half(chunk + offset_of!(Chunk, used)).load(Relaxed).min(CHUNK_SLOTS);
        let first = |slot| self.word(slot_offset(chunk, slot)).load(Relaxed);
        std::hint::black_box((position..used).map(first).fold(0, |all, word| all | word));
    }

    /// The next slot to look at behind an unpublished one; `None` to wait for it.
    fn beyond_gap(&self, chunk: usize, used: u32, state: &mut ChunkState, full: bool, now: u64) -> Option<u32> {
        let position = state.position;
        if full {
            return Some(position + 1);
        }
        if state.stalled_ticks == 0 {
            state.stalled_ticks = now.max(1);
        }
        if self.is_young(state.stalled_ticks, now) {
            return None;
        }
        let next =
            (position + 1..used).find(|&slot| self.record_at(chunk, slot, CHUNK_SLOTS, state.generation).is_some())?;
        state.gaps.push((position as u8, next as u8));
        state.stalled_ticks = 0;
        Some(next)
    }

    /// Whether what began then may still wait to be told.
    fn is_young(&self, since_ticks: u64, now: u64) -> bool {
        self.clock.duration_ns(now.saturating_sub(since_ticks)) < self.announce_after_ns
    }

    /// The commit word of a record that is published at `slot` and ends before `end`.
    fn record_at(&self, chunk: usize, slot: u32, end: u32, generation: u32) -> Option<Commit> {
        let commit = Commit::from_word(self.word(slot_offset(chunk, slot)).load(Acquire));
        let fits = commit.slots != 0 && slot + u32::from(commit.slots) <= end;
        (commit.generation == generation && fits).then_some(commit)
    }

    /// Whether a call in progress is so young that it is better told when it is done. It is not
    /// when a later call stands behind it: a signal handler's, whose records must not wait, or that
    /// of a thread which left the call by a jump.
    fn may_wait(&self, chunk: usize, position: u32, used: u32, commit: Commit, now: u64) -> bool {
        let at = slot_offset(chunk, position);
        let start = self.word(at + offset_of!(Call, start_ticks)).load(Relaxed);
        let age_ns = if commit.flags & FLAG_COARSE != 0 {
            self.clock.mono_ns(now).saturating_sub(start)
        } else {
            self.clock.duration_ns(now.saturating_sub(start))
        };
        if age_ns >= self.announce_after_ns {
            return false;
        }
        let seq = self.half(at + offset_of!(Call, seq)).load(Relaxed);
        let mut slot = position + u32::from(commit.slots);
        while slot < used {
            let Some(next) = self.record_at(chunk, slot, CHUNK_SLOTS, commit.generation) else { break };
            let of = self.half(slot_offset(chunk, slot) + offset_of!(Extension, seq)).load(Relaxed);
            let marks = matches!(next.kind, KIND_PROCESS | KIND_MARK);
            if matches!(next.kind, KIND_CALL | KIND_COMPLETION) || (!marks && of != seq) {
                return false;
            }
            slot += u32::from(next.slots);
        }
        true
    }

    /// Adds records that are published, and done, to the run that is being told.
    fn take(&mut self, chunk: usize, from: u32, to: u32, telling: &mut Telling<'_>) {
        let mut at = telling.bytes.len();
        self.copy_slots(slot_offset(chunk, from), to.saturating_sub(from) as usize, &mut telling.bytes);
        while let Some(head) = telling.bytes.get(at..).and_then(Extension::read) {
            let commit = Commit::from_word(head.commit);
            let end = at + SLOT_BYTES * usize::from(commit.slots.max(1));
            if !matches!(commit.kind, KIND_CALL | KIND_COMPLETION) {
                let record = telling.bytes.get_mut(at..end).unwrap_or_default();
                clear_behind(record);
                if commit.kind == KIND_PROCESS
                    && let Some(process) = record.get(Extension::SIZE..).and_then(Process::read)
                {
                    self.processes.attached(&process);
                }
            }
            telling.records += 1;
            at = end;
        }
    }

    /// Adds a call in progress to the run that is being told, and says how it stands there: it may have become done
    /// since `commit` was read.
    fn take_pending(&mut self, chunk: usize, slot: u32, commit: Commit, telling: &mut Telling<'_>) -> Commit {
        let at = slot_offset(chunk, slot);
        let (word, first) = self.load_slot(at);
        telling.bytes.extend_from_slice(&first);
        self.copy_slots(at + SLOT_BYTES, usize::from(commit.slots) - 1, &mut telling.bytes);
        telling.records += 1;
        Commit::from_word(word)
    }

    fn full_bit(&self, index: u32) -> bool {
        self.bitmap(self.header.full_offset, index as usize / 64).load(Acquire) & (1 << (index % 64)) != 0
    }

    /// Gives a chunk back that nobody writes to any more.
    pub(super) fn recycle(&mut self, owner: Owner, bodies: bool) {
        let Owner { index, generation, .. } = owner;
        let chunk = self.chunk_offset(index);
        if bodies {
            self.erase_bodies(chunk, generation);
        }
        let (word, bit) = (index as usize / 64, 1u64 << (index % 64));
        self.bitmap(self.header.full_offset, word).fetch_and(!bit, AcqRel);
        self.word(chunk).store(chunk_status(generation, CHUNK_FREE), Release);
        self.bitmap(self.header.free_offset, word).fetch_or(bit, Release);
    }

    /// Leaves no word at the start of a slot but a commit word of an old generation. A later generation may
    /// reserve a slot where the body of a longer record lies now. Were that slot read before it is published, bytes
    /// that a peer chose could pass for a commit word.
    fn erase_bodies(&self, chunk: usize, generation: u32) {
        let used = self.half(chunk + offset_of!(Chunk, used)).load(Relaxed).min(CHUNK_SLOTS);
        let mut slot = 0;
        while slot < used {
            let slots = match self.record_at(chunk, slot, CHUNK_SLOTS, generation) {
                Some(commit) => u32::from(commit.slots),
                None => {
                    self.word(slot_offset(chunk, slot)).store(0, Relaxed);
                    1
                }
            };
            (1..slots).for_each(|i| self.word(slot_offset(chunk, slot + i)).store(0, Relaxed));
            slot += slots;
        }
    }
}

fn is_pending(commit: Commit) -> bool {
    commit.kind == KIND_CALL && commit.state == STATE_ENTERED
}

/// Where a slot lies. Slot 0 is the first behind the chunk's header.
fn slot_offset(chunk: usize, slot: u32) -> usize {
    chunk + SLOT_BYTES * (1 + slot as usize)
}
