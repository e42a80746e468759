//! One pass over the chunks.

use super::Region;
use super::owners::Owner;
use crate::records::Batch;
use crate::sys;
use sockshim_format::region::Header;
use std::mem::offset_of;
use std::sync::atomic::Ordering::SeqCst;

/// What one pass found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Every call that ended before this has been told.
    pub complete_ticks: u64,
    /// Records told.
    pub records: u64,
}

/// A pass that is under way.
pub struct Pass {
    /// Who owned chunks when it began.
    owners: Vec<Owner>,
    next: usize,
    now: u64,
    /// The thread that has made us wait. What it recorded later may belong to a call that we wait for.
    waiting: Option<(u32, u32)>,
    drained: Drained,
}

impl Region {
    /// Tells everything that was recorded since the last pass, thread by thread in the order in
    /// which each recorded it. A call in progress is told as entered once it has taken
    /// `announce_after_ns`, and again when it is done. Full chunks wait for [`Region::give_back`].
    pub fn drain(&mut self, sink: &mut dyn FnMut(Batch<'_>)) -> Drained {
        let mut pass = self.begin();
        while self.part(&mut pass, u64::MAX, sink) {}
        self.end(pass)
    }

    /// Begins to do the same in parts, so that chunks can be given back between them: threads that have filled all of the
    /// region wait for the first, and not for the last.
    pub fn begin(&mut self) -> Pass {
        let now = self.clock.now_ticks();
        self.heartbeat(now);
        if let Some(point) = self.clock.recalibrate() {
            self.keep(point);
        }
        self.extend();
        let drained = Drained { complete_ticks: now, ..Drained::default() };
        Pass { owners: self.owners(), next: 0, now, waiting: None, drained }
    }

    /// Tells so many records, and the rest of the chunk that the last of them is in. Returns whether there may be more.
    pub fn part(&mut self, pass: &mut Pass, records: u64, sink: &mut dyn FnMut(Batch<'_>)) -> bool {
        let enough = pass.drained.records.saturating_add(records);
        while let Some(&owner) = pass.owners.get(pass.next) {
            if pass.drained.records >= enough {
                return true;
            }
            pass.next += 1;
            let thread = Some((owner.process, owner.tid));
            if pass.waiting != thread && self.drain_chunk(owner, false, pass.now, sink, &mut pass.drained) {
                pass.waiting = thread;
            }
        }
        false
    }

    /// Ends it.
    pub fn end(&mut self, pass: Pass) -> Drained {
        self.owners = pass.owners;
        pass.drained
    }

    /// Tells what threads that are gone left behind; their chunks wait for [`Region::give_back`]. To
    /// be called a few times a second: it asks /proc about every thread that owns a chunk.
    pub fn reclaim(&mut self, sink: &mut dyn FnMut(Batch<'_>)) -> Drained {
        let now = self.clock.now_ticks();
        self.heartbeat(now);
        let mut drained = Drained { complete_ticks: now, ..Drained::default() };
        let mut last = None;
        let owners = self.owners();
        for &owner in &owners {
            let thread = (owner.process, owner.pid, owner.tid);
            let gone = match last {
                Some((same, gone)) if same == thread => gone,
                _ => self.processes.thread_is_gone(owner.process, owner.pid, owner.tid),
            };
            last = Some((thread, gone));
            if gone {
                self.drain_chunk(owner, true, now, sink, &mut drained);
            }
        }
        self.owners = owners;
        drained
    }

    /// Gives the chunks back that have been told to their end, and says how many. To be called once
    /// what was told is in a file: were it only in our memory, it would be gone when we are killed.
    pub fn give_back(&mut self) -> u32 {
        let mut spent = std::mem::take(&mut self.spent);
        for &owner in &spent {
            let state = self.chunks.get_mut(owner.index as usize).map(std::mem::take).unwrap_or_default();
            self.recycle(owner, state.bodies);
        }
        let given = spent.len() as u32;
        if given > 0 {
            // Raised whether or not somebody waits: who is about to would not see it else.
            let word = self.half(offset_of!(Header, given));
            word.fetch_add(1, SeqCst);
            if self.half(offset_of!(Header, waiting)).load(SeqCst) > 0 {
                sys::wake(word, given);
            }
        }
        spent.clear();
        self.spent = spent;
        given
    }

    /// The processes that have attached and are not gone: (number, pid).
    pub fn alive(&mut self) -> Vec<(u32, u32)> {
        self.processes.alive()
    }
}
