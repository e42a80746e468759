//! Memory of the traced program that may not exist: read without a fault.

use super::checked;
use crate::arch;
use core::ffi::c_void;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The smallest page that there is: memory that can be read at one place of it can be read at all.
const PAGE: usize = 4096;

/// What the stack of `main` had in use when we began: the page that we were in, and its end. It stays for as long as the program
/// does. Zeros where we did not begin there.
static STACK: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// Called in the beginning, on whatever stack that is.
pub fn remember_stack() {
    // As far as the kernel has given the program a stack before it ran (setup_arg_pages in fs/exec.c). Other stacks are further away,
    // and so may we be on that of `main`, if we come late: then it is not used.
    const FIRST_BYTES: usize = 128 << 10;
    let frame = 0u8;
    let (begin, end) = (&raw const frame as usize / PAGE * PAGE, arch::stack_end() as usize);
    if begin < end && end - begin <= FIRST_BYTES {
        STACK[0].store(begin, Relaxed);
        STACK[1].store(end, Relaxed);
    }
}

/// Whether `bytes` bytes, one at least, lie in the page of our own frame, or on the stack of `main` where it was in use when we
/// began, and so can be read.
#[inline(always)]
pub fn is_near(address: usize, bytes: usize) -> bool {
    let frame = 0u8;
    let page = (&raw const frame as usize) / PAGE;
    let last = address.wrapping_add(bytes - 1);
    let [begin, end] = [STACK[0].load(Relaxed), STACK[1].load(Relaxed)];
    address / PAGE == page && last / PAGE == page || address >= begin && address <= last && last < end
}

/// Whether the eight aligned bytes around an address can be read: rt_sigprocmask(2) reads its set
/// before it refuses a `how` that does not exist, and changes nothing. It is a call that every program
/// and every sandbox knows, where process_vm_readv(2) gets services with a filter killed. The first
/// eight it takes for the null pointer, "no set", and reads nothing.
///
/// What is near needs no question. An address or an option that the caller has just put together mostly is.
pub fn readable(address: usize) -> bool {
    if is_near(address, 1) {
        return true;
    }
    let args = [usize::MAX, address & !7, 0, 8, 0, 0];
    address > 7 && checked(libc::SYS_rt_sigprocmask, args) != -(libc::EFAULT as isize)
}

/// Copies memory of the traced program that may not exist, without a fault. Returns the bytes that
/// could be copied.
pub fn copy_checked(from: *const c_void, to: &mut [u8]) -> usize {
    let mut copied = 0;
    while copied < to.len() {
        let at = (from as usize).wrapping_add(copied);
        let n = (PAGE - at % PAGE).min(to.len() - copied);
        if !readable(at) {
            break;
        }
        // SAFETY: the page has just been read by the kernel, and `to` has room for `n` bytes. (A
        // program that unmaps its argument while the call is being made has a race of its own.)
        // Not by memcpy: that may be AddressSanitizer's, which knows that the object ends sooner.
        unsafe { arch::copy(at as *const u8, to.as_mut_ptr().add(copied), n) };
        copied += n;
    }
    copied
}
