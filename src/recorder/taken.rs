//! How much of what came through a TCP socket the program has taken: if that is all of it, the end of the socket need not ask
//! what is left unread, which is a system call.
//!
//! The count may be short: others read through a copy of the descriptor, two threads count at once, libc, splice(2) and
//! recvmmsg(2) are not counted. Then the kernel is asked. It is too long only where a stream ends unseen: a thread closes the
//! socket that another one is just reading from, or another process, or a call that passed around us, connects it anew.
//!
//! It is kept modulo 2^32. No socket holds so much that has not been read.

use super::descriptors;
use core::ffi::c_int;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// `fd` names another stream from now on.
pub fn begin(fd: c_int) {
    descriptors::taken(fd).into_iter().for_each(start_over);
}

/// A stream has ended, and may have been read by any number.
pub fn begin_all() {
    descriptors::all_taken().for_each(start_over);
}

/// Looks first: a page that nobody has counted in stays untouched.
fn start_over(count: &AtomicU32) {
    if count.load(Relaxed) != 0 {
        count.store(0, Relaxed);
    }
}

/// So many more bytes. Not a locked addition: a count that is lost makes the sum short.
#[inline(always)]
pub fn add(fd: c_int, bytes: usize) {
    if let Some(count) = descriptors::taken(fd) {
        count.store(count.load(Relaxed).wrapping_add(bytes as u32), Relaxed);
    }
}

/// Whether the program has taken all of `received` bytes, which the kernel counts since the stream began.
pub fn is_all_of(fd: c_int, received: u64) -> bool {
    descriptors::taken(fd).is_some_and(|count| count.load(Relaxed) == received as u32)
}
