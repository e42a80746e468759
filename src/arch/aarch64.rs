//! aarch64, by the Procedure Call Standard for the Arm 64-bit Architecture (AAPCS64).

mod naked;

use core::arch::asm;
use core::ffi::CStr;

/// Variable arguments of a function with one named argument that are passed in registers.
pub const VARIABLE_REGISTERS: usize = 7;

/// One system call. Returns what the kernel returned: a negative errno on failure.
///
/// # Safety
/// The arguments are what system call `number` asks for.
#[inline(always)]
pub unsafe fn syscall(number: i64, args: [usize; 6]) -> isize {
    let ret: isize;
    // SAFETY: the kernel's calling convention (syscall(2)): all registers but x0 are kept, the stack is not used.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") args[0] => ret,
            in("x1") args[1], in("x2") args[2], in("x3") args[3], in("x4") args[4], in("x5") args[5],
            options(nostack),
        );
    }
    ret
}

/// A system call, by a number of libc's or of [`number`]'s.
///
/// # Safety
/// As [`syscall`]; the arguments are those of the call that the number is named after.
#[inline(always)]
pub unsafe fn any_syscall(number: i64, args: [usize; 6]) -> isize {
    let [a, b, c, d, e, _] = args;
    // SAFETY: the caller's promise. What stands in for each call is what glibc makes of it here.
    unsafe {
        match number {
            number::SYS_dup2 if a == b => match syscall(libc::SYS_fcntl, [a, libc::F_GETFD as usize, 0, 0, 0, 0]) {
                0.. => a as isize,
                error => error,
            },
            number::SYS_dup2 => syscall(libc::SYS_dup3, [a, b, 0, 0, 0, 0]),
            number::SYS_epoll_create if (a as i32) <= 0 => -(libc::EINVAL as isize),
            number::SYS_epoll_create => syscall(libc::SYS_epoll_create1, [0; 6]),
            number::SYS_epoll_wait => syscall(libc::SYS_epoll_pwait, [a, b, c, d, 0, 0]),
            number::SYS_fork => syscall(libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0, 0, 0, 0]),
            number::SYS_poll => {
                let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
                let (number, args) = number::poll(a, b, c as i32, &mut time);
                syscall(number, args)
            }
            number::SYS_select if e == 0 => syscall(libc::SYS_pselect6, [a, b, c, d, 0, 0]),
            number::SYS_select => {
                let left = e as *mut libc::timeval;
                let mut time = libc::timespec { tv_sec: (*left).tv_sec, tv_nsec: (*left).tv_usec.wrapping_mul(1000) };
                let ret = syscall(libc::SYS_pselect6, [a, b, c, d, &raw mut time as usize, 0]);
                *left = libc::timeval { tv_sec: time.tv_sec, tv_usec: time.tv_nsec / 1000 };
                ret
            }
            _ => syscall(number, args),
        }
    }
}

/// Calls that this processor's kernel does not have, made by what has taken their place: those that only we
/// make as the number and the arguments to make them with, the others as numbers for [`any_syscall`] that
/// are no call's.
#[allow(non_upper_case_globals)] // named as libc names them
pub mod number {
    use core::ffi::c_int;
    pub use libc::*;

    /// The calls that make a process.
    pub const FORKS: &[i64] = &[SYS_clone, SYS_clone3];

    pub const SYS_dup2: i64 = -2;
    pub const SYS_epoll_create: i64 = -3;
    pub const SYS_epoll_wait: i64 = -4;
    pub const SYS_fork: i64 = -5;
    pub const SYS_poll: i64 = -6;
    pub const SYS_select: i64 = -7;

    /// Relative paths are relative to the working directory, as they are without the -at.
    const HERE: usize = libc::AT_FDCWD as usize;

    pub fn open(path: usize, flags: c_int, mode: u32) -> (i64, [usize; 6]) {
        (libc::SYS_openat, [HERE, path, flags as usize, mode as usize, 0, 0])
    }

    pub fn unlink(path: usize) -> (i64, [usize; 6]) {
        (libc::SYS_unlinkat, [HERE, path, 0, 0, 0, 0])
    }

    pub fn stat(path: usize, out: usize) -> (i64, [usize; 6]) {
        (libc::SYS_newfstatat, [HERE, path, out, 0, 0, 0])
    }

    pub fn readlink(path: usize, out: usize, bytes: usize) -> (i64, [usize; 6]) {
        (libc::SYS_readlinkat, [HERE, path, out, bytes, 0, 0])
    }

    /// `time` is where the milliseconds are laid out as a timespec; negative ones wait for ever.
    pub fn poll(fds: usize, count: usize, milliseconds: c_int, time: &mut libc::timespec) -> (i64, [usize; 6]) {
        time.tv_sec = (milliseconds / 1000).into();
        time.tv_nsec = (milliseconds % 1000 * 1_000_000).into();
        let time = if milliseconds < 0 { 0 } else { &raw mut *time as usize };
        (libc::SYS_ppoll, [fds, count, time, 0, 0, 0])
    }
}

/// Whether this thread has thread-local storage at all. Sandboxes clone children whose block is all
/// zeros (Chromium's ChrootToSafeEmptyDir): there neither our state nor errno may be touched.
#[inline(always)]
pub fn has_storage() -> bool {
    let pointer: *const usize;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {0}, tpidr_el0", out(reg) pointer, options(pure, readonly, nostack)) };
    // SAFETY: the thread pointer, where it is set, is the address of the thread control block, whose first
    // word is the address of the dynamic thread vector (AAELF64, 7.1).
    !pointer.is_null() && unsafe { *pointer } != 0
}

/// Something that has its pages to itself, whose size the kernel was built with: 65,536 bytes at most.
#[repr(C, align(65536))]
pub struct OwnPage<T>(pub T);

/// Where the calling thread's `sockshim_thread` is.
///
/// # Safety
/// `has_storage()` was true.
#[inline(always)]
pub unsafe fn storage() -> *mut u8 {
    let thread: *mut u8;
    // SAFETY: the linker makes the symbol's offset from the thread pointer (R_AARCH64_TLS_TPREL64).
    unsafe {
        asm!(
            "adrp {1}, :gottprel:sockshim_thread",
            "ldr {1}, [{1}, :gottprel_lo12:sockshim_thread]",
            "mrs {0}, tpidr_el0",
            "add {0}, {0}, {1}",
            out(reg) thread, out(reg) _,
            options(pure, readonly, nostack),
        );
    }
    thread
}

/// Has the processor fetch the line of memory at an address, to be written to, while it goes on. An address where there is
/// no memory does no harm.
#[inline(always)]
pub fn fetch_to_write(address: usize) {
    // SAFETY: a hint.
    unsafe { asm!("prfm pstl1keep, [{}]", in(reg) address, options(nomem, nostack, preserves_flags)) };
}

/// Adds to a counter of the thread and returns what it was before. A signal handler that comes between takes
/// the monitor away, and the addition begins again: it sees the counter either before or after.
///
/// # Safety
/// `counter` is valid and only this thread writes to it.
#[inline(always)]
pub unsafe fn fetch_add(counter: *mut u32, amount: u32) -> u32 {
    let before: u32;
    // SAFETY: the caller's promise; writes the counter and nothing else. Not by an atomic of the compiler's,
    // which may call a function that asks libc what this processor can do.
    unsafe {
        asm!(
            "2:",
            "ldxr {before:w}, [{counter}]",
            "add {after:w}, {before:w}, {amount:w}",
            "stxr {failed:w}, {after:w}, [{counter}]",
            "cbnz {failed:w}, 2b",
            counter = in(reg) counter, amount = in(reg) amount,
            before = out(reg) before, after = out(reg) _, failed = out(reg) _,
            options(nostack),
        );
    }
    before
}

/// glibc keeps a thread's id at a place before the thread control block that changes from one release to
/// the next: not known, 0.
#[inline(always)]
pub fn tid_of_libc() -> u32 {
    0
}

/// The virtual count.
#[inline(always)]
pub fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: reads a register that Linux lets programs read.
    unsafe { asm!("mrs {0}, cntvct_el0", out(reg) ticks, options(nomem, nostack)) };
    ticks
}

/// The virtual count is even, but on many machines it steps by 40 ns or more, where CLOCK_MONOTONIC is no
/// coarser and costs little: the shim does not choose it.
pub fn ticks_are_even(_find: impl FnOnce(&CStr) -> usize) -> bool {
    false
}

/// `__libc_stack_end`, null where there is none: ld.so's, argc, then argv, envp and the auxiliary vector (glibc,
/// sysdeps/generic/ldsodefs.h). Weak, so that a program for musl, which has no such thing, starts with us in
/// LD_PRELOAD as it does without.
pub fn stack_end() -> *const usize {
    let place: *const *const usize;
    // SAFETY: reads an address out of the global offset table, and through it, where there is one, a
    // pointer that ld.so has set before it runs any code of ours.
    unsafe {
        asm!(
            ".weak __libc_stack_end",
            "adrp {0}, :got:__libc_stack_end",
            "ldr {0}, [{0}, :got_lo12:__libc_stack_end]",
            out(reg) place, options(pure, readonly, nostack),
        );
        if place.is_null() { core::ptr::null() } else { *place }
    }
}

/// Copies memory by instructions of our own: memcpy may be AddressSanitizer's.
///
/// # Safety
/// As `core::ptr::copy_nonoverlapping`.
#[inline(always)]
pub unsafe fn copy(from: *const u8, to: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "cbz {n}, 3f",
            "2:",
            "ldrb {byte:w}, [{from}], #1",
            "strb {byte:w}, [{to}], #1",
            "subs {n}, {n}, #1",
            "b.ne 2b",
            "3:",
            n = inout(reg) bytes => _, from = inout(reg) from => _, to = inout(reg) to => _, byte = out(reg) _,
            options(nostack),
        );
    }
}

/// The address of something of ours, reckoned from here. A table of addresses would be of no use before
/// we are relocated: the compiler makes one of a `match` where it can, and calls through one.
macro_rules! address {
    ($symbol:expr) => {{
        let address: usize;
        #[allow(unused_unsafe)] // it may stand in a block of its user's
        // SAFETY: reckons an address and touches nothing.
        unsafe {
            core::arch::asm!(
                "adrp {0}, {1}",
                "add {0}, {0}, :lo12:{1}",
                out(reg) address, sym $symbol, options(nomem, nostack),
            )
        };
        address
    }};
}

pub(crate) use address;
pub(crate) use naked::*;
