//! What faults ask of the kernel, by system calls of our own, as in [`crate::sys`].

use crate::recorder::taken;
use crate::sys::{getpid, gettid, syscall};
use core::ffi::c_int;

/// A system call whose arguments are numbers, or memory of ours that it only reads.
fn checked(number: i64, args: [usize; 6]) -> isize {
    // SAFETY: the callers below pass no pointer that the kernel would write through.
    unsafe { syscall(number, args) }
}

/// Sleeps so long, whatever handlers run meanwhile.
pub fn sleep(ns: u64) {
    let mut time = [ns / 1_000_000_000, ns % 1_000_000_000];
    loop {
        let at = time.as_mut_ptr() as usize;
        // SAFETY: the kernel reads a `struct timespec`, and stores what is left in its place.
        if unsafe { syscall(libc::SYS_nanosleep, [at, at, 0, 0, 0, 0]) } != -(libc::EINTR as isize) {
            return;
        }
    }
}

/// Sends a signal to the calling thread.
pub fn raise(signal: u8) {
    checked(libc::SYS_tgkill, [getpid() as usize, gettid() as usize, signal as usize, 0, 0, 0]);
}

/// Resets a TCP connection, as its peer sees too: connect(2) to no address.
pub fn reset(fd: c_int) {
    let nowhere = [0u64; 2];
    checked(libc::SYS_connect, [fd as usize, nowhere.as_ptr() as usize, 16, 0, 0, 0]);
    // Its stream has ended, and another may begin on it.
    taken::begin_all();
}

/// shutdown(2).
pub fn shutdown(fd: c_int, how: c_int) {
    checked(libc::SYS_shutdown, [fd as usize, how as usize, 0, 0, 0, 0]);
}

/// From now on the kernel throws away what arrives for a socket, before TCP sees it: a filter that keeps nothing
/// (socket(7), SO_ATTACH_FILTER). Whether it could be done.
pub fn silence(fd: c_int) -> bool {
    let keep_nothing = [libc::sock_filter { code: 6, jt: 0, jf: 0, k: 0 }]; // BPF_RET | BPF_K
    let program = libc::sock_fprog { len: 1, filter: keep_nothing.as_ptr().cast_mut() };
    let (level, name) = (libc::SOL_SOCKET as usize, libc::SO_ATTACH_FILTER as usize);
    let args = [fd as usize, level, name, (&raw const program) as usize, size_of_val(&program), 0];
    checked(libc::SYS_setsockopt, args) == 0
}

/// sendto(2) of our own bytes.
pub fn send_to(fd: c_int, bytes: &[u8], flags: c_int, address: &[u8]) {
    let to = if address.is_empty() { 0 } else { address.as_ptr() as usize };
    checked(libc::SYS_sendto, [fd as usize, bytes.as_ptr() as usize, bytes.len(), flags as usize, to, address.len()]);
}

/// recvfrom(2) of what is there, into memory of our own: how long it is, and its address. `None` if nothing is.
pub fn receive(fd: c_int, bytes: &mut [u8], address: &mut [u8]) -> Option<(usize, usize)> {
    let mut address_len = address.len() as libc::socklen_t;
    let (to, from) = (bytes.as_mut_ptr() as usize, address.as_mut_ptr() as usize);
    let args = [fd as usize, to, bytes.len(), libc::MSG_DONTWAIT as usize, from, (&raw mut address_len) as usize];
    // SAFETY: our own memory, with its lengths.
    let got = unsafe { syscall(libc::SYS_recvfrom, args) };
    Some((usize::try_from(got).ok()?, address_len as usize))
}

/// Stores into memory of the program that may not exist, piece by piece (process_vm_writev(2)): how many bytes.
pub fn scatter(bytes: &[u8], to: *const libc::iovec, count: usize) -> Option<usize> {
    let from = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let args = [getpid() as usize, (&raw const from) as usize, 1, to as usize, count, 0];
    // SAFETY: the kernel reads our own memory, and stores where the program asked for bytes to be stored.
    usize::try_from(unsafe { syscall(libc::SYS_process_vm_writev, args) }).ok()
}

/// Stores so many bytes in one place of the program's memory.
pub fn store(bytes: &[u8], to: *mut core::ffi::c_void) -> Option<()> {
    let place = [libc::iovec { iov_base: to, iov_len: bytes.len() }];
    (bytes.is_empty() || scatter(bytes, place.as_ptr(), 1) == Some(bytes.len())).then_some(())
}

/// Whether `scatter` may be called here: a sandbox may refuse it.
pub fn may_store() -> bool {
    let mut byte = [0u8];
    store(&[1], byte.as_mut_ptr().cast()).is_some()
}
