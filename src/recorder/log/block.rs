//! Lines that are collected, to be written as many together: SOCKSHIM_LOG_BUFFER=block.
//!
//! What a line costs is mostly its write(2). Here a line waits for others in a page of our own memory, as long as they come
//! quickly: it is written with the first that comes later than [`PATIENCE_NS`], before the program begins to wait in a call that we
//! see, before it makes another process, closes where the lines go, or ends, and when the page is full. A program that is killed takes along what it has told
//! since then.
//!
//! Threads share the pages, and a signal handler may come at any place and never come back. So nobody waits for anybody: a page
//! counts the bytes that were given out and those that are filled, and whoever fills the last of a page that was closed writes it.

use crate::recorder::plain;
use crate::sys;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering::*};

/// How long a line waits for the next.
const PATIENCE_NS: u64 = 1_000_000;
/// Enough for the writes, and the opening of a file for each, to count for little: a line of a larger page takes no less.
const PAGE_BYTES: u64 = 16 << 10;
/// More than one, because others go on while one is written.
const PAGES: usize = 4;

/// In [`Page::count`]: the bytes that were given out are in the low half, those that are filled in the high one.
const FILLED: u64 = 1 << 32;
/// No more bytes are given out: the page waits to be written, or is.
const CLOSED: u64 = 1 << 31;

struct Page {
    count: AtomicU64,
    text: UnsafeCell<[u8; PAGE_BYTES as usize]>,
}

// SAFETY: each byte is written by whoever it was given out to, and read by the one who has seen in `count` that all are filled.
unsafe impl Sync for Page {}

/// Where the pages are; null while lines are not collected. They are mapped for a program that wants that, and stay.
static PLACE: AtomicPtr<Page> = AtomicPtr::new(core::ptr::null_mut());
/// The page that bytes are given out from.
static CURRENT: AtomicUsize = AtomicUsize::new(0);
/// When a line was last told that might not wait.
static WRITTEN_NS: AtomicU64 = AtomicU64::new(0);
/// The process that the pages belong to, by its number: what a child finds in them is its parent's, and so is their writing.
static PROCESS: AtomicU32 = AtomicU32::new(0);
/// No process has this number.
const BEING_MADE: u32 = u32::MAX;

/// The pages; none while lines are not collected.
fn pages() -> &'static [Page] {
    let place = PLACE.load(Acquire);
    if place.is_null() {
        return &[];
    }
    // SAFETY: so many are mapped there, for good, and were zeros at first: empty pages.
    unsafe { core::slice::from_raw_parts(place, PAGES) }
}

fn given_out(count: u64) -> u64 {
    count & (CLOSED - 1)
}

/// Whether it was closed and nobody still writes to it.
fn is_ready(count: u64) -> bool {
    count & CLOSED != 0 && given_out(count) == count >> 32
}

/// Lines are collected from now on, if there is memory.
pub fn begin() {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    PLACE.store(sys::mmap(PAGES * size_of::<Page>(), flags, -1).cast(), Release);
}

/// No more are: each is written at once.
pub fn end(write: fn(&[u8])) {
    let pages = pages();
    // First: what is added behind the last write, nobody would write.
    PLACE.store(core::ptr::null_mut(), Release);
    write_all(pages, write);
}

/// Whether a line may wait that is told at this time, in nanoseconds since whenever. It may not if that has run backwards.
pub fn may_wait(now_ns: u64) -> bool {
    let before = WRITTEN_NS.load(Relaxed);
    let soon = now_ns.checked_sub(before).is_some_and(|age| age < PATIENCE_NS);
    if !soon {
        WRITTEN_NS.store(now_ns, Relaxed);
    }
    soon
}

/// Takes a line in; false if there is no room. `write` is called with what is to be written.
pub fn add(line: &[u8], write: fn(&[u8])) -> bool {
    let pages = pages();
    if pages.is_empty() || !own(pages) {
        return false;
    }
    let bytes = line.len() as u64;
    // Each turn closes a page or finds one closed. Other threads may do the same, and signal handlers: no more turns than that.
    for _ in 0..2 * PAGES {
        let at = CURRENT.load(Acquire) % PAGES;
        let Some(page) = pages.get(at) else { return false };
        let count = page.count.load(Acquire);
        if count & CLOSED != 0 {
            let _ = CURRENT.compare_exchange(at, (at + 1) % PAGES, AcqRel, Relaxed);
            continue;
        }
        let from = given_out(count);
        if from + bytes > PAGE_BYTES {
            close(page, write);
            continue;
        }
        if page.count.compare_exchange(count, count + bytes, AcqRel, Relaxed).is_err() {
            continue;
        }
        // SAFETY: the bytes lie inside the page, as was just compared, and were given out to us.
        unsafe { page.text.get().cast::<u8>().add(from as usize).copy_from(line.as_ptr(), line.len()) };
        let before = page.count.fetch_add(bytes * FILLED, AcqRel);
        if is_ready(before + bytes * FILLED) {
            put(page, write);
        }
        return true;
    }
    false
}

/// Writes all that waits, but what somebody is still about to add: who does writes it then.
pub fn flush(write: fn(&[u8])) {
    write_all(pages(), write);
}

fn write_all(pages: &[Page], write: fn(&[u8])) {
    if PROCESS.load(Relaxed) == plain::process().load(Relaxed) {
        pages.iter().for_each(|page| close(page, write));
    }
}

fn close(page: &Page, write: fn(&[u8])) {
    let mut count = page.count.load(Acquire);
    while count & CLOSED == 0 && given_out(count) > 0 {
        match page.count.compare_exchange_weak(count, count | CLOSED, AcqRel, Acquire) {
            Ok(_) if is_ready(count | CLOSED) => return put(page, write),
            Ok(_) => return,
            Err(now) => count = now,
        }
    }
}

/// Writes a page that is ready, which one caller alone has found it to be.
#[cold]
#[inline(never)]
fn put(page: &Page, write: fn(&[u8])) {
    let bytes = given_out(page.count.load(Relaxed)) as usize;
    // SAFETY: all of it was given out and is filled, and nobody writes to it until the count is zero again.
    let text = unsafe { &*page.text.get() };
    write(text.get(..bytes).unwrap_or(text));
    page.count.store(0, Release);
}

/// Makes the pages this process's own, if they were a parent's. False while somebody else does.
fn own(pages: &[Page]) -> bool {
    let (before, process) = (PROCESS.load(Acquire), plain::process().load(Relaxed));
    if before == process {
        return true;
    }
    if before == BEING_MADE || PROCESS.compare_exchange(before, BEING_MADE, AcqRel, Relaxed).is_err() {
        return false;
    }
    pages.iter().for_each(|page| page.count.store(0, Relaxed));
    PROCESS.store(process, Release);
    true
}
