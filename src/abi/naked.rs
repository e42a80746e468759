//! The rows that are assembly.
//!
//! `vfork` returns twice on its caller's stack frame, so a function with a frame of its own cannot
//! stand in front of it: it is recorded and passed on by a jump. `execl` and its kind have their
//! arguments on the caller's stack, and are passed on the same way. `dprintf` collects its variable
//! arguments as a C compiler would (System V ABI, 3.5.7) and goes on as `vdprintf`.
//!
//! # Safety
//! Each function leaves the registers and the stack as the one that it stands in front of expects
//! them. The call frame information lets a cancelled thread be unwound through `dprintf`.
#![allow(clippy::missing_safety_doc)]

use super::interpose::recording;
use super::table::{__vdprintf_chk as vdprintf_chk, slots as table_slots, vdprintf};
use crate::hooks::communicate::{self, VaList};
use crate::hooks::process;
use crate::next::Slot;
use crate::recorder::call::Row;
use core::arch::naked_asm;
use core::ffi::{c_char, c_int};
use sockshim_format::op::Op;

static VFORK: Slot = Slot::new(Op::Vfork, c"vfork");
static UNDER_VFORK: Slot = Slot::new(Op::UnderVfork, c"__vfork");
static EXECL: Slot = Slot::new(Op::Execl, c"execl");
static EXECLP: Slot = Slot::new(Op::Execlp, c"execlp");
static EXECLE: Slot = Slot::new(Op::Execle, c"execle");

/// The operations that have a row here.
#[cfg(test)]
pub const ROWS: &[Op] =
    &[Op::Vfork, Op::UnderVfork, Op::Execl, Op::Execlp, Op::Execle, Op::Dprintf, Op::UnderDprintfChk];

/// Looks every name up.
pub fn resolve_all() {
    for slot in [&VFORK, &UNDER_VFORK, &EXECL, &EXECLP, &EXECLE] {
        slot.get();
    }
}

macro_rules! before {
    ($name:ident, $slot:ident, $op:ident, ($($arg:ident: $type:ty)?) => $hook:path) => {
        unsafe extern "C-unwind" fn $name($($arg: $type)?) -> usize {
            if recording() {
                // SAFETY: `recording` has settled the thread's state; the caller's own argument.
                unsafe { $hook(Row::of(Op::$op) $(, $arg)?) };
            }
            $slot.get()
        }
    };
}
before!(before_vfork, VFORK, Vfork, () => process::before_vfork);
before!(before_under_vfork, UNDER_VFORK, UnderVfork, () => process::before_vfork);
before!(before_execl, EXECL, Execl, (path: *const c_char) => process::before_exec);
before!(before_execlp, EXECLP, Execlp, (path: *const c_char) => process::before_exec);
before!(before_execle, EXECLE, Execle, (path: *const c_char) => process::before_exec);

/// Records, then jumps: `vfork` has no argument, so only the stack's alignment matters.
macro_rules! vfork {
    ($name:ident, $before:ident) => {
        #[doc = concat!("Stands in front of `", stringify!($name), "`.")]
        #[unsafe(naked)]
        #[cfg_attr(not(test), unsafe(no_mangle))]
        pub unsafe extern "C-unwind" fn $name() -> c_int {
            naked_asm!(
                ".cfi_startproc",
                "sub rsp, 8",
                ".cfi_adjust_cfa_offset 8",
                "call {before}",
                "add rsp, 8",
                ".cfi_adjust_cfa_offset -8",
                "jmp rax",
                ".cfi_endproc",
                before = sym $before,
            )
        }
    };
}
vfork!(vfork, before_vfork);
vfork!(__vfork, before_under_vfork);

/// Records, then jumps with the six argument registers as they were. r11 is nobody's.
macro_rules! execl {
    ($name:ident, $before:ident) => {
        #[doc = concat!("Stands in front of `", stringify!($name), "`, which is variadic in C.")]
        #[unsafe(naked)]
        #[cfg_attr(not(test), unsafe(no_mangle))]
        pub unsafe extern "C-unwind" fn $name() -> c_int {
            naked_asm!(
                ".cfi_startproc",
                "push rdi", "push rsi", "push rdx", "push rcx", "push r8", "push r9", "push rax",
                ".cfi_adjust_cfa_offset 56",
                "call {before}",
                "mov r11, rax",
                "pop rax", "pop r9", "pop r8", "pop rcx", "pop rdx", "pop rsi", "pop rdi",
                ".cfi_adjust_cfa_offset -56",
                "jmp r11",
                ".cfi_endproc",
                before = sym $before,
            )
        }
    };
}
execl!(execl, before_execl);
execl!(execlp, before_execlp);
execl!(execle, before_execle);

/// `dprintf`, with its arguments collected.
unsafe extern "C-unwind" fn collected(fd: c_int, format: *const c_char, arguments: VaList) -> c_int {
    // SAFETY: the next `vdprintf`, which takes what `dprintf` has collected.
    unsafe {
        if !recording() {
            return vdprintf(fd, format, arguments);
        }
        let next = core::mem::transmute::<usize, crate::next::Fn3<c_int, *const c_char, VaList, c_int>>(
            table_slots::Vdprintf.get(),
        );
        communicate::vdprintf(Row::of(Op::Dprintf), next, fd, format, arguments)
    }
}

/// `__dprintf_chk`, with its arguments collected.
unsafe extern "C-unwind" fn collected_chk(fd: c_int, flag: c_int, format: *const c_char, arguments: VaList) -> c_int {
    // SAFETY: the next `__vdprintf_chk`, which takes what `__dprintf_chk` has collected.
    unsafe {
        if !recording() {
            return vdprintf_chk(fd, flag, format, arguments);
        }
        let next = core::mem::transmute::<usize, crate::next::Fn4<c_int, c_int, *const c_char, VaList, c_int>>(
            table_slots::UnderVdprintfChk.get(),
        );
        communicate::vdprintf_chk(Row::of(Op::UnderDprintfChk), next, fd, flag, format, arguments)
    }
}

/// Collects the variable arguments: 24 bytes of va_list at rsp, then the register save area of 176
/// bytes at rsp + 32. `$gp` is the offset in it of the first register that is a variable argument,
/// `$into` the register that passes the va_list on.
macro_rules! dprintf {
    ($name:ident, $collected:ident, $gp:literal, $into:literal) => {
        #[doc = concat!("Stands in front of `", stringify!($name), "`, which is variadic in C.")]
        #[unsafe(naked)]
        #[cfg_attr(not(test), unsafe(no_mangle))]
        pub unsafe extern "C-unwind" fn $name() -> c_int {
            naked_asm!(
                ".cfi_startproc",
                "sub rsp, 216",
                ".cfi_adjust_cfa_offset 216",
                "mov [rsp + 48], rdx", "mov [rsp + 56], rcx", "mov [rsp + 64], r8", "mov [rsp + 72], r9",
                "test al, al",
                "je 2f",
                "movaps [rsp + 80], xmm0", "movaps [rsp + 96], xmm1", "movaps [rsp + 112], xmm2",
                "movaps [rsp + 128], xmm3", "movaps [rsp + 144], xmm4", "movaps [rsp + 160], xmm5",
                "movaps [rsp + 176], xmm6", "movaps [rsp + 192], xmm7",
                "2:",
                concat!("mov dword ptr [rsp], ", $gp),
                "mov dword ptr [rsp + 4], 48",
                "lea rax, [rsp + 224]",
                "mov [rsp + 8], rax",
                "lea rax, [rsp + 32]",
                "mov [rsp + 16], rax",
                concat!("mov ", $into, ", rsp"),
                "call {collected}",
                "add rsp, 216",
                ".cfi_adjust_cfa_offset -216",
                "ret",
                ".cfi_endproc",
                collected = sym $collected,
            )
        }
    };
}
dprintf!(dprintf, collected, "16", "rdx");
dprintf!(__dprintf_chk, collected_chk, "24", "rcx");
