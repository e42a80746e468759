//! x86-64, by the System V ABI.

mod naked;

use core::arch::asm;
use core::ffi::CStr;

/// Variable arguments of a function with one named argument that are passed in registers.
pub const VARIABLE_REGISTERS: usize = 5;

/// One system call. Returns what the kernel returned: a negative errno on failure.
///
/// # Safety
/// The arguments are what system call `number` asks for.
#[inline(always)]
pub unsafe fn syscall(number: i64, args: [usize; 6]) -> isize {
    let ret: isize;
    // SAFETY: the kernel's calling convention (syscall(2)): rcx and r11 are lost, the stack is not used.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => ret,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            out("rcx") _, out("r11") _,
            options(nostack),
        );
    }
    ret
}

/// A system call, by a number of libc's or of [`number`]'s.
///
/// # Safety
/// As [`syscall`].
#[inline(always)]
pub unsafe fn any_syscall(number: i64, args: [usize; 6]) -> isize {
    // SAFETY: the caller's promise.
    unsafe { syscall(number, args) }
}

/// Calls that not every processor has, each as the number and the arguments to make it with.
pub mod number {
    use core::ffi::c_int;
    pub use libc::*;

    /// The calls that make a process.
    pub const FORKS: &[i64] = &[SYS_fork, SYS_clone, SYS_clone3];

    pub fn open(path: usize, flags: c_int, mode: u32) -> (i64, [usize; 6]) {
        (libc::SYS_open, [path, flags as usize, mode as usize, 0, 0, 0])
    }

    pub fn unlink(path: usize) -> (i64, [usize; 6]) {
        (libc::SYS_unlink, [path, 0, 0, 0, 0, 0])
    }

    pub fn stat(path: usize, out: usize) -> (i64, [usize; 6]) {
        (libc::SYS_stat, [path, out, 0, 0, 0, 0])
    }

    pub fn readlink(path: usize, out: usize, bytes: usize) -> (i64, [usize; 6]) {
        (libc::SYS_readlink, [path, out, bytes, 0, 0, 0])
    }

    /// `time` is where the milliseconds may be laid out as a timespec.
    pub fn poll(fds: usize, count: usize, milliseconds: c_int, _time: &mut libc::timespec) -> (i64, [usize; 6]) {
        (libc::SYS_poll, [fds, count, milliseconds as usize, 0, 0, 0])
    }
}

/// Whether this thread has thread-local storage at all. Sandboxes clone children whose block is all
/// zeros (Chromium's ChrootToSafeEmptyDir): there neither our state nor errno may be touched.
#[inline(always)]
pub fn has_storage() -> bool {
    let own: usize;
    // SAFETY: with glibc, fs:0 holds the address of the thread control block; reading it is always possible
    // because fs:0 is inside that block.
    unsafe { asm!("mov {0}, qword ptr fs:[0]", out(reg) own, options(pure, readonly, nostack)) };
    own != 0
}

/// Something that has its pages to itself, whose size is 4,096 bytes here.
#[repr(C, align(4096))]
pub struct OwnPage<T>(pub T);

/// Where the calling thread's `sockshim_thread` is.
///
/// # Safety
/// `has_storage()` was true.
#[inline(always)]
pub unsafe fn storage() -> *mut u8 {
    let thread: *mut u8;
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

/// Has the processor fetch the line of memory at an address, to be written to, while it goes on. An address where there is
/// no memory does no harm, and neither does a processor that does not know the instruction (before Broadwell).
#[inline(always)]
pub fn fetch_to_write(address: usize) {
    // SAFETY: a hint.
    unsafe { asm!("prefetchw [{}]", in(reg) address, options(nomem, nostack, preserves_flags)) };
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

/// The thread's id where glibc keeps it: offset 0x2d0 of the thread control block since glibc 2.3. The
/// caller has seen that it is so here.
#[inline(always)]
pub fn tid_of_libc() -> u32 {
    let tid: u32;
    // SAFETY: inside the thread control block of every glibc thread.
    unsafe { asm!("mov {0:e}, dword ptr fs:[0x2d0]", out(reg) tid, options(nostack, readonly)) };
    tid
}

/// The time-stamp counter.
#[inline(always)]
pub fn ticks() -> u64 {
    // SAFETY: reads a register; a program that forbids it to itself goes by another clock from then on.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Whether the counter runs at one rate in every state of the processor: CPUID 0x80000007, edx bit 8. `find` looks up a function
/// behind us, 0 without it: glibc's, for one, hands out what the dynamic linker has asked the processor (sys/platform/x86.h, since
/// 2.33). To ask again is a question to the hypervisor on a virtual machine, 8 to 16 us, and is done where glibc does not say yes: it
/// leaves the answer of makers that it does not know at zeros. Every processor with 64 bits knows the leaf after this one.
pub fn ticks_are_even(find: impl FnOnce(&CStr) -> usize) -> bool {
    const EVEN: u32 = 1 << 8;
    /// CPUID_INDEX_80000007, and what is there: four registers as the processor filled them, four as glibc uses them.
    const LEAF: u32 = 4;
    type Answers = extern "C" fn(u32) -> Option<&'static [u32; 8]>;
    let told = match find(c"__x86_get_cpuid_feature_leaf") {
        0 => None,
        // SAFETY: the function of that name, which is part of glibc's interface: it returns a constant of glibc's.
        address => unsafe { core::mem::transmute::<usize, Answers>(address)(LEAF) },
    };
    // SAFETY: every x86-64 processor has the instruction. (Older compilers want to be told.)
    #[allow(unused_unsafe)]
    let asked = || unsafe { core::arch::x86_64::__cpuid(0x8000_0007).edx & EVEN != 0 };
    told.is_some_and(|registers| registers[3] & EVEN != 0) || asked()
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
            "mov {}, qword ptr [rip + __libc_stack_end@GOTPCREL]",
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
    // SAFETY: the caller's promise; the direction flag is clear (System V ABI, 3.2.1).
    unsafe {
        asm!("rep movsb", inout("rcx") bytes => _, inout("rsi") from => _, inout("rdi") to => _,
            options(nostack, preserves_flags));
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
            core::arch::asm!("lea {}, [rip + {}]", out(reg) address, sym $symbol, options(nomem, nostack))
        };
        address
    }};
}

pub(crate) use address;
pub(crate) use naked::*;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_glibc_was_told_is_what_the_processor_says() {
        // SAFETY: a name that ends in a zero byte.
        let find = |name: &CStr| unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) } as usize;
        assert_eq!(ticks_are_even(find), ticks_are_even(|_| 0));
    }
}
