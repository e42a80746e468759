//! What the shim keeps for a thread: 64 bytes of initial-exec thread-local storage.
//!
//! Not `thread_local!`, which goes through `__tls_get_addr` in a shared library: that one may
//! allocate, also in a signal handler. No destructor: libc's own order of ending a thread is not
//! ours to join.
//!
//! # Safety
//! The block is zero when a thread starts and belongs to its thread alone. Only signal handlers and
//! vfork children of that thread see it in an intermediate state.

use crate::arch;
pub use crate::arch::{fetch_add, has_storage};
use sockshim_format::region::Chunk;

/// A thread's state. Every field is plain: a signal handler is the only other user, and it runs to
/// its end, or for ever, between two instructions of ours.
#[repr(C)]
pub struct Thread {
    /// The chunk that is being filled; null before the first record and when there was none free.
    pub chunk: *mut Chunk,
    /// The number of the process that this state belongs to; 0 sends the next call to `settle`.
    pub process: u32,
    /// Calls so far.
    pub seq: u32,
    /// The kernel's id of the thread.
    pub tid: u32,
    /// The chunk that an unfinished write goes to: see `chunk::Window`.
    pub pinned: *mut Chunk,
    /// Chunks claimed so far.
    pub chunks: u64,
    /// Who called vfork and may not have come back: pid, and the process number to return to.
    pub vfork_pid: u32,
    pub vfork_process: u32,
    /// Calls lost since the last chunk was claimed.
    pub lost: u32,
    /// Whether the last search for a free chunk waited in vain: the next one does not wait.
    pub starved: u32,
    /// One more than the call that a fault may be put into: see `verdict`.
    pub expected: u32,
}

impl Thread {
    /// The state of a thread that belongs to no process: no number of one is as high.
    pub const OF_NOBODY: Thread = Thread {
        chunk: core::ptr::null_mut(),
        process: u32::MAX,
        seq: 0,
        tid: 0,
        pinned: core::ptr::null_mut(),
        chunks: 0,
        vfork_pid: 0,
        vfork_process: 0,
        lost: 0,
        starved: 0,
        expected: 0,
    };
}

const _: () = assert!(size_of::<Thread>() == 64);

/// The calling thread's state.
///
/// # Safety
/// `has_storage()` was true.
#[inline(always)]
pub unsafe fn current() -> *mut Thread {
    // SAFETY: the caller's promise; 64 bytes, aligned to them.
    unsafe { arch::storage().cast() }
}
