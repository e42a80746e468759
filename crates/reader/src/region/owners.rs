//! Who owns which chunk, as a pass finds it while threads claim more.

use super::Region;
use sockshim_format::region::*;
use std::collections::{HashMap, HashSet};
use std::mem::offset_of;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// Who owns a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// The chunks that belong to somebody, in the order in which they are told. Threads claim some while we look, so
    /// we look twice. The list is the last one's memory, and to be given back for the next.
    pub(super) fn owners(&mut self) -> Vec<Owner> {
        let mut owners = std::mem::take(&mut self.owners);
        owners.clear();
        let mut known = vec![0; (self.published as usize).div_ceil(64)];
        self.look(&mut known, &mut owners);
        let first = owners.len();
        self.look(&mut known, &mut owners);
        if owners.len() > first {
            let late = owners.split_off(first);
            settle(&mut owners, &late);
        }
        // The main thread first: what it has begun with introduces the process.
        owners.sort_unstable_by_key(|owner| {
            let Owner { process, pid, tid, number, index, .. } = *owner;
            (process, tid != pid, tid, number, index)
        });
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

/// Takes of what was found in the second look only what is older than something that was found in the first.
///
/// A thread that claims two chunks while we look may take one that we have passed already and one that we have not:
/// the later would be told before the earlier. And of a process that has just begun we may have passed its main
/// thread's first chunk, in which it introduces itself, and not those of threads that it made then.
fn settle(owners: &mut Vec<Owner>, late: &[Owner]) {
    let mut newest: HashMap<(u32, u32), u64> = HashMap::new();
    for owner in owners.iter() {
        let number = newest.entry((owner.process, owner.tid)).or_default();
        *number = owner.number.max(*number);
    }
    let processes: HashSet<u32> = owners.iter().map(|owner| owner.process).collect();
    let passed = |o: &Owner| match newest.get(&(o.process, o.tid)) {
        Some(number) => o.number < *number,
        None => {
            let of_thread = late.iter().filter(|other| (other.process, other.tid) == (o.process, o.tid));
            o.tid == o.pid
                && processes.contains(&o.process)
                && of_thread.map(|other| other.number).min() == Some(o.number)
        }
    };
    owners.extend(late.iter().filter(|owner| passed(owner)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(pid: u32, tid: u32, number: u64) -> Owner {
        Owner { process: pid / 100, tid, number, index: 0, generation: 1, pid, lost: 0 }
    }

    #[test]
    fn what_was_passed_is_taken_and_nothing_that_may_be_later() {
        // A thread's second chunk was found and its first was not; of a new process a thread was found, and not the main one.
        let mut owners = vec![owner(100, 101, 2), owner(200, 201, 1)];
        let late = [
            owner(100, 101, 1),
            owner(100, 101, 3),
            owner(100, 102, 1),
            owner(200, 200, 1),
            owner(200, 200, 2),
            owner(300, 300, 1),
        ];
        settle(&mut owners, &late);
        assert_eq!(owners[2..], [owner(100, 101, 1), owner(200, 200, 1)]);
    }
}
