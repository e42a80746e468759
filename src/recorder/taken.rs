//! How much of what came through a TCP socket the program has taken: if that is all of it, the end of the socket need not ask
//! what is left unread, which is a system call.
//!
//! The count may be short: others read through a copy of the descriptor, two threads count at once, libc, splice(2) and
//! recvmmsg(2) are not counted. Then the kernel is asked. It is too long only where a stream ends unseen: a thread closes the
//! socket that another one is just reading from, or another process, or a call that passed around us, connects it anew.

use core::ffi::c_int;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Descriptors that are counted for; of the others the kernel is asked. A program that locks its memory (mlockall(2)) pays for
/// all of them.
const CAPACITY: usize = 4_096;

/// By descriptor.
#[unsafe(link_section = ".bss.table")]
static BYTES: [AtomicU64; CAPACITY] = [const { AtomicU64::new(0) }; CAPACITY];

/// `fd` names another stream from now on.
pub fn begin(fd: c_int) {
    if let Some(count) = BYTES.get(fd as usize) {
        start_over(count);
    }
}

/// A stream has ended, and may have been read by any number.
pub fn begin_all() {
    BYTES.iter().for_each(start_over);
}

/// Looks first: a page that nobody has counted in stays untouched.
fn start_over(count: &AtomicU64) {
    if count.load(Relaxed) != 0 {
        count.store(0, Relaxed);
    }
}

/// So many more bytes. Not a locked addition: a count that is lost makes the sum short.
#[inline(always)]
pub fn add(fd: c_int, bytes: usize) {
    if let Some(count) = BYTES.get(fd as usize) {
        count.store(count.load(Relaxed).wrapping_add(bytes as u64), Relaxed);
    }
}

/// Whether the program has taken all of `received` bytes, which the kernel counts since the stream began.
pub fn is_all_of(fd: c_int, received: u64) -> bool {
    BYTES.get(fd as usize).is_some_and(|count| count.load(Relaxed) == received)
}
