//! What the shim keeps for a thread: 64 bytes of initial-exec thread-local storage.
//!
//! Not `thread_local!`, which goes through `__tls_get_addr` in a shared library: that one may
//! allocate, also in a signal handler. No destructor: libc's own order of ending a thread is not
//! ours to join.
//!
//! # Safety
//! The block is zero when a thread starts and belongs to its thread alone. Only signal handlers and
//! vfork children of that thread see it in an intermediate state.

use core::arch::{asm, global_asm};
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

const _: () = assert!(size_of::<Thread>() == 64);

global_asm!(
    ".section .tbss.sockshim_thread,\"awT\",@nobits",
    ".balign 64",
    ".globl sockshim_thread",
    ".hidden sockshim_thread",
    ".type sockshim_thread,@object",
    ".size sockshim_thread,64",
    "sockshim_thread: .zero 64",
    ".text",
);

/// Whether this thread has thread-local storage at all. Sandboxes clone children whose block is all
/// zeros (Chromium's ChrootToSafeEmptyDir): there neither our state nor errno may be touched.
#[inline(always)]
pub fn has_storage() -> bool {
    let own: usize;
    // SAFETY: on x86-64 glibc, fs:0 holds the address of the thread control block; reading it is
    // always possible because fs:0 is inside that block.
    unsafe { asm!("mov {0}, qword ptr fs:[0]", out(reg) own, options(pure, readonly, nostack)) };
    own != 0
}

/// The calling thread's state.
///
/// # Safety
/// `has_storage()` was true.
#[inline(always)]
pub unsafe fn current() -> *mut Thread {
    let thread: *mut Thread;
    // SAFETY: the linker makes the symbol's offset from the thread pointer (R_X86_64_TPOFF64).
    unsafe {
        asm!(
            "mov {0}, qword ptr [rip + sockshim_thread@GOTTPOFF]",
            "add {0}, qword ptr fs:[0]",
            out(reg) thread,
            options(pure, readonly, nostack),
        );
    }
    thread
}

/// Adds to a counter of the thread and returns what it was before: one instruction, so that a
/// signal handler sees it either before or after, without the price of a locked one.
///
/// # Safety
/// `counter` is valid and only this thread writes to it.
#[inline(always)]
pub unsafe fn fetch_add(counter: *mut u32, amount: u32) -> u32 {
    let mut value = amount;
    // SAFETY: the caller's promise; the instruction writes the counter and nothing else.
    unsafe {
        asm!("xadd dword ptr [{0}], {1:e}", in(reg) counter, inout(reg) value, options(nostack));
    }
    value
}
