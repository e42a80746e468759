//! Who owns which chunk, as a pass finds it while threads claim more.

use super::Region;
use sockshim_format::region::*;
use std::collections::HashMap;
use std::mem::offset_of;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// Who owns a chunk. Sorts by thread, then by the order in which the thread claimed its chunks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    pub process: u32,
    pub tid: u32,
    pub number: u64,
    pub index: u32,
    pub generation: u32,
    pub pid: u32,
    pub lost: u32,
}

impl Region {
    /// The chunks that belong to somebody, in the order in which they are told.
    ///
    /// A thread that claims two chunks while we look may take one that we have passed already and one
    /// that we have not: the later would be told before the earlier. So we look twice, and what is
    /// found in the second look only is taken if its thread was known, by the first, to be beyond it.
    pub(super) fn owners(&self) -> Vec<Owner> {
        let mut owners = Vec::new();
        let mut known = vec![0; (self.published as usize).div_ceil(64)];
        self.look(&mut known, &mut owners);
        let first = owners.len();
        self.look(&mut known, &mut owners);
        if owners.len() > first {
            let late = owners.split_off(first);
            let mut newest: HashMap<(u32, u32), u64> = HashMap::new();
            for owner in &owners {
                let number = newest.entry((owner.process, owner.tid)).or_default();
                *number = owner.number.max(*number);
            }
            let passed = |o: &Owner| newest.get(&(o.process, o.tid)).is_some_and(|number| o.number < *number);
            owners.extend(late.into_iter().filter(passed));
        }
        owners.sort_unstable();
        owners
    }

    /// Adds the owners of the chunks that are not known yet.
    fn look(&self, known: &mut [u64], owners: &mut Vec<Owner>) {
        for (word, known) in known.iter_mut().enumerate() {
            let mut owned = !self.bitmap(self.header.free_offset, word).load(Acquire) & !*known;
            while owned != 0 {
                let bit = owned & owned.wrapping_neg();
                let index = word as u32 * 64 + owned.trailing_zeros();
                owned &= !bit;
                if index < self.published
                    && let Some(owner) = self.owner(index)
                {
                    owners.push(owner);
                    *known |= bit;
                }
            }
        }
    }

    /// Who owns the chunk; `None` while it is free or being claimed.
    fn owner(&self, index: u32) -> Option<Owner> {
        let at = self.chunk_offset(index);
        let half = |offset| self.half(at + offset).load(Relaxed);
        let status = self.word(at).load(Acquire);
        let generation = (status >> 32) as u32;
        let identity = self.half(at + offset_of!(Chunk, identity_generation)).load(Acquire);
        if status as u32 != CHUNK_OWNED || identity != generation {
            return None;
        }
        Some(Owner {
            process: half(offset_of!(Chunk, process)),
            tid: half(offset_of!(Chunk, tid)),
            number: self.word(at + offset_of!(Chunk, number)).load(Relaxed),
            index,
            generation,
            pid: half(offset_of!(Chunk, pid)),
            lost: half(offset_of!(Chunk, lost)),
        })
    }
}
