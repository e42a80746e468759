//! The table itself: what is kept of a descriptor, and where.

use crate::arch::OwnPage;
use core::ffi::c_int;
use core::sync::atomic::{AtomicU32, AtomicU64};

/// Descriptors that the table has room for: 1 MiB of zero pages, touched where it is used. Calls on
/// higher numbers are recorded as unclassified.
const CAPACITY: usize = 65_536;

/// What is kept of a descriptor. All zeros: nothing is known.
#[repr(align(16))]
pub struct Entry {
    /// State and flags.
    pub word: AtomicU32,
    /// See [`crate::recorder::taken`].
    pub taken: AtomicU32,
    /// The socket's identity.
    pub socket: AtomicU64,
}

/// Descriptors in a page of the table.
const IN_A_PAGE: usize = 256;
const _: () = assert!(size_of::<Entry>() * IN_A_PAGE == 4096);

/// In the order of [`place`].
#[unsafe(link_section = ".bss.table")]
static TABLE: OwnPage<[Entry; CAPACITY]> = OwnPage(
    [const { Entry { word: AtomicU32::new(0), taken: AtomicU32::new(0), socket: AtomicU64::new(0) } }; CAPACITY],
);

/// Where a descriptor's entry is. Four share a line of the processor's cache, and those are 64 apart: of neighbours each thread of a
/// server has one, and would take the line from the others whenever it counts what it has read. The last of a page stays in it.
#[inline(always)]
fn place(fd: u32) -> usize {
    (fd as usize & !(IN_A_PAGE - 1)) + usize::from((fd as u8).rotate_left(2))
}

/// The entry of a descriptor, if the table has room for it.
#[inline(always)]
pub fn entry(fd: c_int) -> Option<&'static Entry> {
    // What is negative is larger as well.
    let fd = fd as u32;
    // SAFETY: `fd` is inside the table, whose bytes fill whole pages, and its place is in the same page.
    (fd < CAPACITY as u32).then(|| unsafe { TABLE.0.get_unchecked(place(fd)) })
}

/// The entries of a range of descriptors, both ends included.
pub fn entries(first: u32, last: u32) -> impl Iterator<Item = (c_int, &'static Entry)> {
    let end = last.min(CAPACITY as u32 - 1);
    (first..=end).filter_map(|fd| Some((fd as c_int, entry(fd as c_int)?)))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn each_descriptor_has_a_place_of_its_own() {
        let mut taken = vec![false; CAPACITY];
        (0..CAPACITY).for_each(|fd| assert!(!core::mem::replace(&mut taken[place(fd as u32)], true), "{fd}"));
        let line = |fd| place(fd) * size_of::<Entry>() / 64;
        assert!((1..64).all(|fd| line(fd) != line(0)), "neighbours are in lines of their own");
        assert!(entry(-1).is_none() && entry(CAPACITY as c_int).is_none() && entry(CAPACITY as c_int - 1).is_some());
    }
}
