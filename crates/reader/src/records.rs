//! Slots to records: the one walk over recorded bytes that everything else uses.

use sockshim_format::record::{Commit, Extension};
use sockshim_format::region::SLOT_BYTES;

/// Contiguous records of one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch<'a> {
    /// The process, by its number in the region.
    pub process: u32,
    /// Its pid, 0 if unknown.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// Calls of the thread that were lost before these.
    pub lost: u32,
    /// Whole slots, as they lay in the region.
    pub slots: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The records, in order.
    pub fn records(&self) -> Records<'a> {
        Records::of(self.slots)
    }
}

/// One record of any kind.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its commit word.
    pub commit: Commit,
    /// Its slots, the first eight bytes being the commit word.
    pub bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record that slots begin with, and the slots behind it.
    #[inline(always)]
    pub fn first(slots: &'a [u8]) -> Option<(Record<'a>, &'a [u8])> {
        let commit = Commit::from_word(u64::from_le_bytes(*slots.first_chunk()?));
        let (bytes, rest) = slots.split_at_checked(usize::from(commit.slots.max(1)) * SLOT_BYTES)?;
        Some((Record { commit, bytes }, rest))
    }

    /// The head and body of an extension record. The body is cut to what is there.
    pub fn extension(&self) -> Option<(Extension, &'a [u8])> {
        let head = Extension::read(self.bytes)?;
        let body = self.bytes.get(Extension::SIZE..)?;
        Some((head, &body[..body.len().min(usize::from(head.len))]))
    }
}

/// Iterates over the records of a run of slots. A record that claims more slots than there are ends
/// the iteration; one that claims none is taken as one slot.
pub struct Records<'a> {
    left: &'a [u8],
}

impl<'a> Records<'a> {
    pub(crate) fn of(slots: &'a [u8]) -> Records<'a> {
        Records { left: slots }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let (record, left) = Record::first(self.left)?;
        self.left = left;
        Some(record)
    }
}
