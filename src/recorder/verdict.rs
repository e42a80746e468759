//! Which call it is that a fault is about to be put into.
//!
//! Only where there is a plan, off the usual way: the row says before the hook what number the hook's call will
//! get, and who stands between hook and next definition asks whether exactly that call was entered meanwhile.
//! A signal handler that made calls in between makes the answer no, and then the kernel answers.
//!
//! # Safety
//! `recorder::gate` has said yes, so the thread's state is there and settled.

use super::{chunk, thread};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use sockshim_format::record::{Injected, KIND_INJECTED};

/// Whether there is a plan: then no call takes the fast way.
pub(super) static PLANNED: AtomicBool = AtomicBool::new(false);

/// There is a plan from now on, or none any more. [`super::mode_on`] tells the mode that goes with it.
pub fn planned(planned: bool) {
    PLANNED.store(planned, Relaxed);
}

/// Runs a hook whose call may get a fault. Handlers that interrupt it do the same, and leave what they found.
///
/// # Safety
/// See the module.
#[inline(always)]
pub unsafe fn expecting<T>(hook: impl FnOnce() -> T) -> T {
    // SAFETY: the caller's promise; no destructor is alive across the hook.
    unsafe {
        let thread = thread::current();
        let before = (*thread).expected;
        (*thread).expected = (*thread).seq.wrapping_add(1);
        let ret = hook();
        (*thread).expected = before;
        ret
    }
}

/// The number of the call that was entered and has not asked the next definition yet. `None` if none was: its
/// descriptor is no socket.
///
/// # Safety
/// See the module.
pub unsafe fn entered() -> Option<u32> {
    // SAFETY: the caller's promise.
    unsafe {
        let thread = thread::current();
        let (expected, seq) = ((*thread).expected, (*thread).seq);
        (expected != 0 && expected == seq && chunk::still_own(thread)).then(|| seq.wrapping_sub(1))
    }
}

/// Records what a rule did to a call.
///
/// # Safety
/// See the module.
pub unsafe fn tell(seq: u32, injected: &Injected) {
    // SAFETY: the caller's promise.
    unsafe { chunk::extension(thread::current(), KIND_INJECTED, seq, 0, &injected.to_bytes()) }
}
