//! The file in which lines wait for the tool (`sockshim_format::keys`), mapped by every program of the run.
//!
//! A mapping needs no descriptor and asks no permission when a line is written: a worker that has changed
//! its user, its root or its system calls since it was forked writes as its parent did.

use core::arch::asm;
use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering::*};
use sockshim_format::keys::*;

/// Where it is mapped; null when nothing is collected.
static RING: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());

/// A system call, because the names of libc are the shim's: it would record them.
///
/// # Safety
/// The arguments are what system call `number` asks for.
unsafe fn syscall(number: i64, args: [usize; 6]) -> isize {
    let ret: isize;
    // SAFETY: the kernel's calling convention on x86-64 (syscall(2)): rcx and r11 are lost, the stack is not used.
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

/// Maps the file, if it is one of ours. What goes wrong means that nothing is collected.
pub fn map(path: &CStr) {
    let flags = (libc::O_RDWR | libc::O_CLOEXEC) as usize;
    // SAFETY: `path` is a string, and the kernel writes through no pointer of these. The mapping is of a file
    // that is as long as the mapping: the tool has made it so, and shortens it never.
    unsafe {
        let fd = syscall(libc::SYS_open, [path.as_ptr() as usize, flags, 0, 0, 0, 0]);
        if fd < 0 {
            return;
        }
        let fd = fd as usize;
        if syscall(libc::SYS_lseek, [fd, 0, libc::SEEK_END as usize, 0, 0, 0]) == KEYS_BYTES as isize {
            let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
            let args = [0, KEYS_BYTES, protection, libc::MAP_SHARED as usize, fd, 0];
            let address = syscall(libc::SYS_mmap, args);
            let is_error = (-4095..0).contains(&address);
            if !is_error && (address as *const u64).read() == KEYS_MAGIC {
                RING.store(address as *mut u8, Release);
            }
        }
        syscall(libc::SYS_close, [fd, 0, 0, 0, 0, 0]);
    }
}

/// Whether lines are collected.
pub fn is_mapped() -> bool {
    !RING.load(Acquire).is_null()
}

/// Hands a line to the tool, or counts that it could not.
///
/// # Safety
/// `line` is a zero-terminated string.
pub unsafe fn write(line: *const c_char) {
    let ring = RING.load(Acquire);
    if ring.is_null() || line.is_null() {
        return;
    }
    // SAFETY: the caller's promise; all offsets lie within the mapping, which stays for ever, and are multiples of
    // four, as the beginning of a mapping is.
    unsafe {
        let number = |offset: usize| &*ring.add(offset).cast::<AtomicU32>();
        let bytes = CStr::from_ptr(line).to_bytes();
        if bytes.len() <= SLOT_BYTES - LINE_OFFSET {
            for _ in 0..SLOTS {
                let place = number(NEXT_OFFSET).fetch_add(1, Relaxed) as usize % SLOTS;
                let slot = SLOTS_OFFSET + place * SLOT_BYTES;
                if number(slot).compare_exchange(SLOT_FREE, SLOT_TAKEN, Acquire, Relaxed).is_err() {
                    continue;
                }
                ring.add(slot + LINE_OFFSET).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                number(slot + 4).store(bytes.len() as u32, Relaxed);
                number(slot).store(SLOT_THERE, Release);
                return;
            }
        }
        number(LOST_OFFSET).fetch_add(1, Relaxed);
    }
}
