//! What a call looks at first: one line of memory, with all that a plain call has to know of the process.
//!
//! Calls are plain while they are recorded and nothing else has to be asked for each. The line lies in a page that the kernel
//! clears in a forked child (MADV_WIPEONFORK), so that no call of the child takes itself for one of the parent's. All zeros says:
//! not plain, look elsewhere.

use super::{MODE, MODE_ON};
use crate::{arch::OwnPage, sys};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};

#[repr(C)]
struct Line {
    /// The number of this process while its calls are plain.
    plain: AtomicU32,
    /// The number of this process, once it has taken one.
    process: AtomicU32,
    /// A copy of the bytes of payload to keep.
    snaplen: AtomicU32,
    /// Whether ticks are those of the time-stamp counter.
    counter: AtomicBool,
}

#[unsafe(link_section = ".bss.table")]
static PAGE: OwnPage<Line> = OwnPage(Line {
    plain: AtomicU32::new(0),
    process: AtomicU32::new(0),
    snaplen: AtomicU32::new(0),
    counter: AtomicBool::new(false),
});

/// The number of this process if its calls are plain, else 0.
#[inline(always)]
pub fn number() -> u32 {
    PAGE.0.plain.load(Relaxed)
}

/// Where the number of this process is kept; 0 in a child that has not taken one.
#[inline(always)]
pub fn process() -> &'static AtomicU32 {
    &PAGE.0.process
}

/// Bytes of payload to keep of each call, of a process that has taken a number.
#[inline(always)]
pub fn snaplen() -> usize {
    PAGE.0.snaplen.load(Relaxed) as usize
}

/// Whether it is known that ticks are those of the time-stamp counter.
#[inline(always)]
pub fn by_counter() -> bool {
    PAGE.0.counter.load(Relaxed)
}

/// Has the kernel clear the page in children. Before Linux 4.14 it does not, and a sandbox may refuse it: then this is false.
pub fn wipe_in_children() -> bool {
    let page = (&raw const PAGE).cast_mut().cast();
    sys::madvise(page, size_of_val(&PAGE), libc::MADV_WIPEONFORK) == 0
}

/// No process has a number any more.
pub fn begin_anew() {
    PAGE.0.process.store(0, SeqCst);
    reconsider();
}

/// Copies what is kept elsewhere.
pub fn copy(snaplen: u32, counter: bool) {
    PAGE.0.snaplen.store(snaplen, Relaxed);
    PAGE.0.counter.store(counter, Relaxed);
}

/// The mode, or the number of the process, has changed.
pub fn reconsider() {
    loop {
        let now = (MODE.load(SeqCst), PAGE.0.process.load(SeqCst));
        PAGE.0.plain.store(if now.0 == MODE_ON { now.1 } else { 0 }, SeqCst);
        // Another thread may have changed either in between, and been overtaken.
        if (MODE.load(SeqCst), PAGE.0.process.load(SeqCst)) == now {
            return;
        }
    }
}
