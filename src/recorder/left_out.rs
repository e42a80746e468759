//! Calls that are left out because the program has set a filter.
//!
//! A call that is left out goes through its hook as every other does, so that what is known of descriptors stays
//! true. Only its record goes nowhere: its thread's state is one that belongs to no process, and nothing is ever
//! written for such a thread. A plain call pays nothing for that. Which sockets are on record all the same,
//! each descriptor tells.

use super::{call::Call, region, thread::Thread};
use core::cell::UnsafeCell;
use core::sync::atomic::AtomicBool;

/// Whether there is a filter: then no call takes the fast way.
pub static FILTERED: AtomicBool = AtomicBool::new(false);

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

/// Counts a call that is left out.
pub fn count() {
    region::count_left_out();
}
