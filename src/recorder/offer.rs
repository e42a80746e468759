//! Chunks are offered when they have pages, or the room for them at least: a few when the region is made, and more by whoever
//! finds none free.

use super::region::{bitmap, chunk_at, header, installed};
use super::{attach, clock};
use crate::sys;
use crate::sys::room::{Pages, populate};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};
use sockshim_format::region::*;

/// How long a thread is taken to be giving chunks pages, in ticks: about two milliseconds.
const OFFERING_TICKS: u64 = 5_000_000;
/// How long others sleep meanwhile before they look again.
const OFFERING_NS: u64 = 100_000;
/// The most chunks that a thread gives pages when it finds none free, about 0.1 ms of work: three times as many as there are
/// already, up to this.
const STEP_CHUNKS: u32 = 64;
/// How long after there was no room it is asked for again, in ticks: about a tenth of a second.
const AGAIN_TICKS: u64 = 250_000_000;

/// When there was no room last, in ticks; 0 if there always was.
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// Whether there was no room, and it is long enough ago that there may be some by now.
pub fn is_worth_another_try() -> bool {
    let refused = REFUSED.load(Relaxed);
    refused != 0 && clock::now().wrapping_sub(refused) > AGAIN_TICKS
}

/// Offers more chunks, and gives them their pages: the tool does so ahead of us, but may not have come to it yet, or be dead.
/// Returns false when there are no more, or there is no room for them, or, where the file has none yet, the kernel cannot be asked.
#[cold]
pub fn more() -> bool {
    let offered = header!(offered: AtomicU32);
    let (from, count) = (offered.load(Acquire), header!(chunk_count: AtomicU32).load(Relaxed));
    if from == 0 || from >= count {
        return false;
    }
    let mut to = from.saturating_add(from.saturating_mul(3).min(STEP_CHUNKS)).min(count);
    // One thread at a time: those that give the same chunks their pages wait for one another in the kernel. But not for long:
    // a handler may have left from in here by a jump.
    static SINCE: AtomicU64 = AtomicU64::new(0);
    let (since, now) = (SINCE.load(Relaxed), clock::now());
    if now.wrapping_sub(since) < OFFERING_TICKS || SINCE.compare_exchange(since, now, Relaxed, Relaxed).is_err() {
        if super::may_ask() {
            let given = header!(given: AtomicU32);
            sys::wait_while(given, given.load(Relaxed), OFFERING_NS);
        }
        return true;
    }
    let has_all_room = header!(flags: AtomicU32).load(Relaxed) & (REGION_DRAINED | REGION_SPARSE) == 0;
    loop {
        let bytes = (to - from) as usize * CHUNK_BYTES;
        let pages = if super::may_ask() { populate(chunk_at(from as usize).cast(), bytes) } else { Pages::Unknown };
        match pages {
            Pages::There => break,
            Pages::Unknown if has_all_room => break,
            // Touching a page that a full disk cannot give would be SIGBUS. What is left may still do for some.
            Pages::NoRoom if to - from > 1 => to = from + (to - from) / 2,
            _ => {
                REFUSED.store(now, Relaxed);
                SINCE.store(0, Relaxed);
                return false;
            }
        }
    }
    // If not, somebody else has offered them.
    if offered.compare_exchange(from, to, AcqRel, Relaxed).is_ok() {
        let free = header!(free_offset: AtomicU32).load(Relaxed);
        for index in from..to {
            // SAFETY: the word is below chunk_count / 64, rounded up.
            unsafe { bitmap(free, index as usize / 64) }.fetch_or(1 << (index % 64), Release);
        }
    }
    SINCE.store(0, Relaxed);
    true
}

/// Offers more chunks before our threads may no longer ask for them: all, where nobody else does; what they use until the tool
/// comes, where it does.
pub fn ahead() {
    if !installed() {
        return;
    }
    let enough = match header!(flags: AtomicU32).load(Relaxed) & (REGION_DRAINED | REGION_SPARSE) {
        REGION_DRAINED => STEP_CHUNKS,
        // Without the room it has to be the pages, of which each takes some microseconds.
        REGION_SPARSE if !attach::take_all_room() => u32::MAX,
        _ => 0,
    };
    while header!(offered: AtomicU32).load(Relaxed) < enough && more() {}
}
