//! The rows that are assembly.
//!
//! `vfork` returns twice on its caller's stack frame, so a function with a frame of its own cannot
//! stand in front of it: it is recorded and passed on by a jump. So are `dlopen` and `dlmopen`, because
//! libc looks at the address that they return to, to know whose search path counts. `execl` and its
//! kind and `dprintf` collect their variable arguments as a C compiler would (System V ABI, 3.5.7) and
//! go on as `execv` and `vdprintf`.
//!
//! # Safety
//! Each function leaves the registers and the stack as the one that it stands in front of expects
//! them. The call frame information lets a thread be unwound through them.
#![allow(clippy::missing_safety_doc)]

use super::interpose::recording;
use super::table::{__vdprintf_chk as vdprintf_chk, slots as table_slots, vdprintf};
use crate::follow::Strings;
use crate::hooks::communicate::{self, VaList};
use crate::hooks::execute::{self, Execv, Execve};
use crate::hooks::process;
use crate::next::Slot;
use crate::recorder::call::Row;
use crate::stack;
use core::arch::naked_asm;
use core::ffi::{c_char, c_int, c_long, c_void};
use sockshim_format::op::Op;

static VFORK: Slot = Slot::new(Op::Vfork, c"vfork");
static UNDER_VFORK: Slot = Slot::new(Op::UnderVfork, c"__vfork");
static DLOPEN: Slot = Slot::new(Op::Dlopen, c"dlopen");
static DLMOPEN: Slot = Slot::new(Op::Dlmopen, c"dlmopen");

/// The operations that have a row here.
#[cfg(test)]
pub const ROWS: &[Op] = &[
    Op::Vfork,
    Op::UnderVfork,
    Op::Dlopen,
    Op::Dlmopen,
    Op::Execl,
    Op::Execlp,
    Op::Execle,
    Op::Dprintf,
    Op::UnderDprintfChk,
];

/// Looks every name up.
pub fn resolve_all() {
    for slot in [&VFORK, &UNDER_VFORK, &DLOPEN, &DLMOPEN] {
        slot.get();
    }
    execute::resolve_all();
}

macro_rules! before {
    ($name:ident, $slot:ident, $op:ident, ($($arg:ident: $type:ty),*) => $hook:path) => {
        unsafe extern "C-unwind" fn $name($($arg: $type),*) -> usize {
            if recording() {
                // SAFETY: `recording` has settled the thread's state; the caller's own arguments.
                unsafe { $hook(Row::of(Op::$op) $(, $arg)*) };
            }
            $slot.get()
        }
    };
}
before!(before_vfork, VFORK, Vfork, () => process::before_vfork);
before!(before_under_vfork, UNDER_VFORK, UnderVfork, () => process::before_vfork);
before!(before_dlopen, DLOPEN, Dlopen, (path: *const c_char, flags: c_int) => process::before_dlopen);
before!(
    before_dlmopen, DLMOPEN, Dlmopen,
    (namespace: c_long, path: *const c_char, flags: c_int) => process::before_dlmopen
);

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

/// Records, then jumps with the three argument registers as they were. r11 is nobody's.
macro_rules! passed_on {
    ($name:ident, $before:ident, ($($arg:ident: $type:ty),*)) => {
        #[doc = concat!("Stands in front of `", stringify!($name), "`.")]
        #[unsafe(naked)]
        #[cfg_attr(not(test), unsafe(no_mangle))]
        pub unsafe extern "C-unwind" fn $name($($arg: $type),*) -> *mut c_void {
            naked_asm!(
                ".cfi_startproc",
                "push rdi", "push rsi", "push rdx",
                ".cfi_adjust_cfa_offset 24",
                "call {before}",
                "mov r11, rax",
                "pop rdx", "pop rsi", "pop rdi",
                ".cfi_adjust_cfa_offset -24",
                "jmp r11",
                ".cfi_endproc",
                before = sym $before,
            )
        }
    };
}
passed_on!(dlopen, before_dlopen, (path: *const c_char, flags: c_int));
passed_on!(dlmopen, before_dlmopen, (namespace: c_long, path: *const c_char, flags: c_int));

/// The arguments of a function of the kind of `execl` behind the path: five in registers, the others on
/// the caller's stack. Ended by a null; behind that, `execle` has the environment.
#[derive(Clone, Copy)]
struct Arguments {
    registers: *const Strings,
    stack: *const Strings,
}

impl Arguments {
    unsafe fn get(self, at: usize) -> Strings {
        // SAFETY: the caller has passed so many arguments.
        unsafe { if at < 5 { *self.registers.add(at) } else { *self.stack.add(at - 5) } }
    }

    /// Runs `execute` on an argv, and on what stands behind the null.
    unsafe fn collected(self, execute: &impl Fn(Strings, Strings) -> c_int) -> c_int {
        let mut count = 0;
        // SAFETY: the caller has ended its arguments with a null; the memory has room for them and it.
        unsafe {
            while !self.get(count).is_null() {
                count += 1;
            }
            stack::with((count + 1) * size_of::<Strings>(), &|memory| {
                for at in 0..=count {
                    memory.cast::<Strings>().add(at).write(self.get(at));
                }
                execute(memory.cast(), self.get(count + 1)) as usize
            }) as c_int
        }
    }
}

/// Goes on as the function that has its arguments in an array.
macro_rules! execl {
    ($name:ident, $op:ident, $collect:ident => $slot:ident: $next:ty, $hook:ident |$argv:ident, $envp:ident| ($($arg:ident),*)) => {
        unsafe extern "C-unwind" fn $collect(
            path: *const c_char,
            registers: *const Strings,
            stack: *const Strings,
        ) -> c_int {
            // SAFETY: the next definition of that function, with the caller's arguments.
            unsafe {
                let next = core::mem::transmute::<usize, $next>(table_slots::$slot.get());
                Arguments { registers, stack }.collected(&|$argv, $envp| {
                    if recording() {
                        execute::$hook(Row::of(Op::$op), next, path, $($arg),*)
                    } else {
                        execute::unrecorded::$hook(next, path, $($arg),*)
                    }
                })
            }
        }

        #[doc = concat!("Stands in front of `", stringify!($name), "`, which is variadic in C.")]
        #[unsafe(naked)]
        #[cfg_attr(not(test), unsafe(no_mangle))]
        pub unsafe extern "C-unwind" fn $name() -> c_int {
            naked_asm!(
                ".cfi_startproc",
                "sub rsp, 40",
                ".cfi_adjust_cfa_offset 40",
                "mov [rsp], rsi", "mov [rsp + 8], rdx", "mov [rsp + 16], rcx",
                "mov [rsp + 24], r8", "mov [rsp + 32], r9",
                "mov rsi, rsp",
                "lea rdx, [rsp + 48]",
                "call {collect}",
                "add rsp, 40",
                ".cfi_adjust_cfa_offset -40",
                "ret",
                ".cfi_endproc",
                collect = sym $collect,
            )
        }
    };
}
execl!(execl, Execl, collect_execl => Execv: Execv, execv |argv, _envp| (argv));
execl!(execlp, Execlp, collect_execlp => Execvp: Execv, execvp |argv, _envp| (argv));
execl!(execle, Execle, collect_execle => Execve: Execve, execve |argv, envp| (argv, envp));

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
