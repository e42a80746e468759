//! A pass over the region, as a trace has it.

use crate::records::Batch;
use sockshim_format::record::{KIND_PROCESS, Process};
use sockshim_format::region::SLOT_BYTES;
use sockshim_format::trace::*;
use std::collections::{HashMap, HashSet};

/// What one pass of the tool over the region found, or a part of that.
pub struct Pass {
    pub(super) bytes: Vec<u8>,
    pub(super) complete_ticks: Option<u64>,
    pub(super) carried: bool,
    /// The pids of processes that are known, by number: a thread's records may lie in front of those with
    /// which its process introduces itself.
    pub(super) pids: HashMap<u32, u32>,
}

impl Pass {
    /// What a block holds. `introduced` are the processes that need not be looked for in it.
    pub(super) fn of_block(bytes: Vec<u8>, block: &Block, introduced: &mut HashSet<u32>) -> Pass {
        let carried = block.kind == BLOCK_CARRIED;
        let mut pass = Pass { bytes, complete_ticks: Some(block.complete_ticks), carried, pids: HashMap::new() };
        if pass.batches().all(|batch| introduced.contains(&batch.process)) {
            return pass;
        }
        let records = pass.batches().flat_map(|batch| batch.records());
        let introductions = records.filter(|record| record.commit.kind == KIND_PROCESS);
        pass.pids = introductions
            .filter_map(|record| Process::read(record.extension()?.1))
            .map(|process| (process.process, process.pid))
            .collect();
        introduced.extend(pass.pids.keys());
        pass
    }

    /// The runs of records. A pid that an earlier pass told is not known here, but to the
    /// [`crate::Assembler`].
    pub fn batches(&self) -> impl Iterator<Item = Batch<'_>> {
        let pid = |process| self.pids.get(&process).copied().unwrap_or(0);
        batches(&self.bytes).map(move |batch| Batch { pid: pid(batch.process), ..batch })
    }

    /// Whether these records are of earlier files, told again because this one would be hard to understand
    /// without them.
    pub fn is_carried(&self) -> bool {
        self.carried
    }

    /// Every call that ended before this is in this pass or an earlier one. `None` in a region file.
    pub fn complete_ticks(&self) -> Option<u64> {
        self.complete_ticks
    }

    pub(super) fn add(&mut self, batch: &Batch<'_>) {
        let slots = (batch.slots.len() / SLOT_BYTES) as u32;
        if batch.pid != 0 {
            self.pids.insert(batch.process, batch.pid);
        }
        let run = Run { process: batch.process, tid: batch.tid, slots, lost: batch.lost };
        self.bytes.extend_from_slice(&run.to_bytes());
        self.bytes.extend_from_slice(batch.slots);
    }
}

/// The runs in the payload of a block.
pub(super) fn batches(payload: &[u8]) -> impl Iterator<Item = Batch<'_>> {
    let mut left = payload;
    std::iter::from_fn(move || {
        let run = Run::read(left)?;
        let slots = left.get(Run::SIZE..)?;
        let (slots, rest) = slots.split_at_checked((run.slots as usize).checked_mul(SLOT_BYTES)?)?;
        left = rest;
        Some(Batch { process: run.process, pid: 0, tid: run.tid, lost: run.lost, slots })
    })
}
