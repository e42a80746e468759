//! The unsafe corner: the shared mapping, the tick counter, and the calls of the kernel that `std`
//! does not offer.
//!
//! # Safety
//!
//! The mapping is shared with processes that write to it at any moment, so nothing outside this
//! module ever holds a `&[u8]` into it: memory is reached only as atomics, at offsets that are
//! checked against the length of the mapping. The file is preallocated where it is read, and
//! nobody but its creator may truncate it (mode 0600).
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Wakes so many threads, of whichever process, that wait on `word` (futex(2)).
pub(crate) fn wake(word: &AtomicU32, count: u32) {
    let count = count.min(i32::MAX as u32);
    // SAFETY: the kernel looks the address up and does not touch what is there.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
}

/// Whether nobody else has the file for himself now (flock(2)); we have, from here on, until it is closed. Yes, too, where
/// the file system knows no locks.
pub(crate) fn have_alone(file: &File) -> bool {
    // SAFETY: a system call about a descriptor that is open.
    let locked = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0;
    locked || io::Error::last_os_error().kind() != io::ErrorKind::WouldBlock
}

/// Locks the whole file, by fcntl(2), for others to see who has it: as long as this process is there, and has not closed any
/// descriptor of the file.
pub(crate) fn lock_all(file: &File) {
    let lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    // SAFETY: the kernel reads one `struct flock`. Where it refuses, nobody sees a lock, and asks /proc.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const lock) };
}

/// A whole file, mapped shared and writable.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping belongs to the value until it is dropped, and hands out atomics only.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `bytes` of `file`.
    pub fn new(file: &File, bytes: usize) -> io::Result<Mapping> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: asks for a new mapping at an address of the kernel's choice, so that no memory
        // of ours is touched.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Mapping { start, bytes })
    }

    /// Bytes mapped.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// The eight bytes at `offset`, a multiple of 8; `None` beyond the end.
    pub fn word(&self, offset: usize) -> Option<&AtomicU64> {
        if !offset.is_multiple_of(8) || offset.checked_add(8)? > self.bytes {
            return None;
        }
        // SAFETY: in bounds and aligned by the check above (a mapping begins at a page); the memory
        // lives as long as `self`, and every bit pattern is an AtomicU64.
        Some(unsafe { &*self.start.as_ptr().add(offset).cast::<AtomicU64>() })
    }

    /// So many times eight bytes from `offset`, a multiple of 8, on; `None` beyond the end.
    pub fn words(&self, offset: usize, count: usize) -> Option<&[AtomicU64]> {
        if !offset.is_multiple_of(8) || offset.checked_add(count.checked_mul(8)?)? > self.bytes {
            return None;
        }
        // SAFETY: as in `word`, for all of them.
        Some(unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(offset).cast::<AtomicU64>(), count) })
    }

    /// The four bytes at `offset`, a multiple of 4; `None` beyond the end.
    pub fn half(&self, offset: usize) -> Option<&AtomicU32> {
        if !offset.is_multiple_of(4) || offset.checked_add(4)? > self.bytes {
            return None;
        }
        // SAFETY: as in `word`.
        Some(unsafe { &*self.start.as_ptr().add(offset).cast::<AtomicU32>() })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is the one that `new` mapped, and no reference outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// Gives `file` real room for the range, so that touching it can never raise SIGBUS. Filesystems
/// without `fallocate` get zeros written, which is the same by another way.
pub(crate) fn allocate(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    loop {
        // SAFETY: passes numbers only.
        if unsafe { libc::fallocate(file.as_raw_fd(), 0, offset as i64, bytes as i64) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            // The latter two are a sandbox's.
            Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EPERM | libc::EINVAL) => {
                return write_zeros(file, offset, bytes);
            }
            _ => return Err(error),
        }
    }
}

/// Whether the kernel gives a mapping its pages when it is asked to (MADV_POPULATE_WRITE, Linux 5.14). Of no bytes it does so
/// without having anything to do.
pub(crate) fn can_populate() -> bool {
    // SAFETY: no byte of memory is named.
    unsafe { libc::madvise(std::ptr::null_mut(), 0, libc::MADV_POPULATE_WRITE) == 0 }
}

// Not a part of its caller, whose frame would have this buffer, and touch each of its pages, for nothing.
#[inline(never)]
fn write_zeros(file: &File, mut offset: u64, mut bytes: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let zeros = [0u8; 65536];
    while bytes > 0 {
        let part = bytes.min(zeros.len() as u64);
        file.write_all_at(&zeros[..part as usize], offset)?;
        (offset, bytes) = (offset + part, bytes - part);
    }
    Ok(())
}

fn clock_ns(id: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is ours and as large as the kernel's timespec.
    unsafe { libc::clock_gettime(id, &mut now) };
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}

/// CLOCK_MONOTONIC in nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// CLOCK_REALTIME in nanoseconds.
pub(crate) fn realtime_ns() -> u64 {
    clock_ns(libc::CLOCK_REALTIME)
}

/// The processor's time-stamp counter, 0 where there is none.
pub(crate) fn time_stamp() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has the instruction, and the tool sets no PR_SET_TSC.
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    0
}

/// Whether the time-stamp counter ticks at one rate in every power state and on every processor:
/// the processor says the first, the kernel's choice of it as a clock the second.
pub(crate) fn time_stamp_is_invariant() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        std::fs::read_to_string(source).is_ok_and(|name| name.trim() == "tsc") && is_even()
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// CPUID 0x80000007, edx bit 8. To ask is a question to the hypervisor on a virtual machine, which takes 8 µs and leaves caches
/// cold; so it is asked where glibc does not say yes.
#[cfg(target_arch = "x86_64")]
fn is_even() -> bool {
    even_by_glibc() || even_by_processor()
}

#[cfg(target_arch = "x86_64")]
const EVEN: u32 = 1 << 8;

/// As the dynamic linker was told (sys/platform/x86.h, since glibc 2.33). Of makers that it does not know it has not asked.
#[cfg(target_arch = "x86_64")]
fn even_by_glibc() -> bool {
    /// CPUID_INDEX_80000007, and what is there: four registers as the processor filled them, four as glibc uses them.
    const LEAF: u32 = 4;
    type Answers = extern "C" fn(u32) -> Option<&'static [u32; 8]>;
    let name = c"__x86_get_cpuid_feature_leaf";
    // SAFETY: a name that ends in a zero byte.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    // SAFETY: null, or the function of that name, which is part of glibc's interface: it returns a constant of glibc's.
    let answers = unsafe { std::mem::transmute::<*mut libc::c_void, Option<Answers>>(address) };
    answers.and_then(|answers| answers(LEAF)).is_some_and(|registers| registers[3] & EVEN != 0)
}

/// Every processor with 64 bits knows the leaf after this one.
#[cfg(target_arch = "x86_64")]
fn even_by_processor() -> bool {
    // SAFETY: every x86-64 processor has the instruction. (Older compilers want to be told.)
    #[allow(unused_unsafe)]
    unsafe {
        core::arch::x86_64::__cpuid(0x8000_0007).edx & EVEN != 0
    }
}

/// A random number from the kernel; when it has none to give, what is hardly ever the same twice.
pub(crate) fn random() -> u64 {
    let mut out = [0u8; 8];
    // SAFETY: `out` is ours and as long as said. A short answer is impossible below 256 bytes.
    let got = unsafe { libc::getrandom(out.as_mut_ptr().cast(), out.len(), 0) };
    if got == out.len() as isize {
        u64::from_ne_bytes(out)
    } else {
        realtime_ns() ^ u64::from(std::process::id()) << 40
    }
}

/// Whether a thread exists, be it as a zombie (tgkill(2) with no signal). That of another user does.
pub(crate) fn thread_exists(pid: u32, tid: u32) -> bool {
    // SAFETY: passes numbers only, and sends nothing.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, pid as libc::pid_t, tid as libc::pid_t, 0) };
    sent == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn what_glibc_was_told_is_what_the_processor_says() {
        assert!(!even_by_glibc() || even_by_processor());
    }
}
