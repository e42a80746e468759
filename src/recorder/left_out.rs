//! Calls that are left out because the program has set a filter, and the sockets that are on record all the same.
//!
//! A call that is left out goes through its hook as every other does, so that what is known of descriptors stays
//! true. Only its record goes nowhere: its thread's state is one that belongs to no process, and nothing is ever
//! written for such a thread. The usual way pays one comparison for that.

use super::{call::Call, descriptors, region, thread::Thread};
use crate::sys;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering::*};

/// Whether there is a filter: then no call takes the fast way.
pub(super) static FILTERED: AtomicBool = AtomicBool::new(false);

struct Nowhere(UnsafeCell<Thread>);
// SAFETY: nobody writes to it: what fills chunks asks first whether the state is this process's own.
unsafe impl Sync for Nowhere {}
static NOWHERE: Nowhere = Nowhere(UnsafeCell::new(Thread::OF_NOBODY));

/// The state of the thread that calls which are left out belong to.
pub fn nowhere() -> *mut Thread {
    NOWHERE.0.get()
}

impl Call {
    /// Whether nothing is told of it.
    pub fn is_left_out(&self) -> bool {
        core::ptr::eq(self.thread, nowhere())
    }
}

/// Sockets that are known at a time. Further ones take the place of others, which then count as not on record.
const SOCKETS: usize = 4096;
/// Places where a socket may be found.
const TRIES: usize = 8;

/// A socket that a filter has been asked about.
pub struct Known {
    socket: AtomicU64,
    /// The rules that mean it, a bit each.
    pub meant: AtomicU32,
    /// Whether its peer was known when that was found out, so that it stays so.
    pub settled: AtomicBool,
    /// Whether it is on record: then its end has to be, too.
    told: AtomicBool,
}

/// Mapped with the first filter, and kept: programs that lock their memory pay for what is mapped.
static TABLE: AtomicPtr<[Known; SOCKETS]> = AtomicPtr::new(core::ptr::null_mut());

/// Nothing before the first filter.
fn table() -> &'static [Known] {
    // SAFETY: null, or a table that `room` has mapped and that stays mapped.
    unsafe { TABLE.load(Acquire).as_ref() }.map_or(&[], |table| table)
}

/// Makes room for the table, if it is not there yet; false if there is no memory.
fn room() -> bool {
    if !TABLE.load(Acquire).is_null() {
        return true;
    }
    let size = size_of::<[Known; SOCKETS]>();
    // Pages of zeros are a table of sockets that are free.
    let place: *mut [Known; SOCKETS] = sys::mmap(size, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1).cast();
    // Of two filters that begin at the same time one table stays unused.
    if !place.is_null() {
        let _ = TABLE.compare_exchange(core::ptr::null_mut(), place, AcqRel, Acquire);
    }
    !place.is_null()
}

impl Known {
    fn places(socket: u64) -> impl Iterator<Item = &'static Known> {
        let start = (socket.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize;
        (start..start + TRIES).filter_map(|place| table().get(place % SOCKETS))
    }

    fn find(socket: u64) -> Option<&'static Known> {
        Known::places(socket).find(|known| socket != 0 && known.socket.load(Relaxed) == socket)
    }

    /// What is known of a socket; `None` if it is not known which one it is.
    pub fn of(socket: u64) -> Option<&'static Known> {
        if let Some(known) = Known::find(socket) {
            return Some(known);
        }
        let free = |known: &&Known| known.socket.compare_exchange(0, socket, Relaxed, Relaxed).is_ok();
        let places = || Known::places(socket).filter(|_| socket != 0);
        let known = places().find(free).or_else(|| places().next())?;
        known.begin(socket);
        Some(known)
    }

    fn begin(&self, socket: u64) {
        self.meant.store(0, Relaxed);
        self.settled.store(false, Relaxed);
        self.told.store(false, Relaxed);
        self.socket.store(socket, Relaxed);
    }

    /// Whether it is on record.
    pub fn is_told(&self) -> bool {
        self.told.load(Relaxed)
    }

    /// It is about to be closed.
    pub fn forget(&self) {
        self.socket.store(0, Relaxed);
    }
}

/// A socket is on record.
#[inline(always)]
pub fn told(socket: u64) {
    if FILTERED.load(Relaxed) {
        note(socket);
    }
}

#[cold]
#[inline(never)]
fn note(socket: u64) {
    if let Some(known) = Known::of(socket) {
        known.told.store(true, Relaxed);
    }
}

/// Whether a socket may be named in lists: one that nothing else was told of would be news to the reader.
#[inline(always)]
pub fn is_told(socket: u64) -> bool {
    !FILTERED.load(Relaxed) || is_noted(socket)
}

#[cold]
#[inline(never)]
fn is_noted(socket: u64) -> bool {
    Known::find(socket).is_some_and(Known::is_told)
}

/// A filter begins, or another takes its place. What was recorded so far stays on record, to its end. False if there is
/// no memory for it.
pub fn begin() -> bool {
    if !room() {
        return false;
    }
    if !FILTERED.load(Relaxed) {
        table().iter().for_each(Known::forget);
        FILTERED.store(true, Relaxed);
        descriptors::sockets_between(0, u32::MAX).for_each(|(_, socket)| told(socket));
    }
    for known in table() {
        known.meant.store(0, Relaxed);
        known.settled.store(false, Relaxed);
    }
    true
}

/// There is no filter any more: what it has left out is met for the first time when it is used.
pub fn end() {
    let strangers = descriptors::sockets_between(0, u32::MAX).filter(|(_, socket)| !is_told(*socket));
    strangers.for_each(|(fd, _)| descriptors::forget(fd));
    FILTERED.store(false, Relaxed);
}

/// Counts a call that is left out.
pub fn count() {
    region::count_left_out();
}
