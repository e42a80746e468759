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
use crate::arch::{VARIABLE_REGISTERS, collect_pointers, collect_variable, jump_after, jump_after_with_arguments};
use crate::follow::Strings;
use crate::hooks::communicate::{self, VaList};
use crate::hooks::execute::{self, Execv, Execve};
use crate::hooks::process;
use crate::next::{Behind, Slot};
use crate::recorder::call::Row;
use crate::stack;
use core::ffi::{c_char, c_int, c_long, c_void};
use sockshim_format::op::Op;

static VFORK: Slot = Slot::new(Op::Vfork, c"vfork");
static UNDER_VFORK: Slot = Slot::new(Op::UnderVfork, c"__vfork");
static DLOPEN: Slot = Slot::new(Op::Dlopen, c"dlopen");
static DLMOPEN: Slot = Slot::new(Op::Dlmopen, c"dlmopen");

#[cfg(test)]
pub const SLOTS: &[&Slot] = &[&VFORK, &UNDER_VFORK, &DLOPEN, &DLMOPEN];

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
pub fn resolve_all(behind: &Behind) {
    for slot in [&VFORK, &UNDER_VFORK, &DLOPEN, &DLMOPEN] {
        slot.resolve_in(behind);
    }
    execute::resolve_all(behind);
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

/// Records, then jumps: `vfork` has no argument.
macro_rules! vfork {
    ($name:ident, $before:ident) => {
        #[doc = concat!("Stands in front of `", stringify!($name), "`.")]
        #[unsafe(naked)]
        #[cfg_attr(not(test), unsafe(no_mangle))]
        pub unsafe extern "C-unwind" fn $name() -> c_int {
            jump_after!($before)
        }
    };
}
vfork!(vfork, before_vfork);
vfork!(__vfork, before_under_vfork);

/// Records, then jumps with the arguments as they were.
macro_rules! passed_on {
    ($name:ident, $before:ident, ($($arg:ident: $type:ty),*)) => {
        #[doc = concat!("Stands in front of `", stringify!($name), "`.")]
        #[unsafe(naked)]
        #[cfg_attr(not(test), unsafe(no_mangle))]
        pub unsafe extern "C-unwind" fn $name($($arg: $type),*) -> *mut c_void {
            jump_after_with_arguments!($before)
        }
    };
}
passed_on!(dlopen, before_dlopen, (path: *const c_char, flags: c_int));
passed_on!(dlmopen, before_dlmopen, (namespace: c_long, path: *const c_char, flags: c_int));

/// The arguments of a function of the kind of `execl` behind the path: the first in registers, the others on
/// the caller's stack. Ended by a null; behind that, `execle` has the environment.
#[derive(Clone, Copy)]
struct Arguments {
    registers: *const Strings,
    stack: *const Strings,
}

impl Arguments {
    unsafe fn get(self, at: usize) -> Strings {
        // SAFETY: the caller has passed so many arguments.
        unsafe {
            if at < VARIABLE_REGISTERS { *self.registers.add(at) } else { *self.stack.add(at - VARIABLE_REGISTERS) }
        }
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
            collect_pointers!($collect)
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

/// Collects the variable arguments behind so many named ones.
macro_rules! dprintf {
    ($name:ident, $collected:ident, $named:tt) => {
        #[doc = concat!("Stands in front of `", stringify!($name), "`, which is variadic in C.")]
        #[unsafe(naked)]
        #[cfg_attr(not(test), unsafe(no_mangle))]
        pub unsafe extern "C-unwind" fn $name() -> c_int {
            collect_variable!($collected, $named)
        }
    };
}
dprintf!(dprintf, collected, 2);
dprintf!(__dprintf_chk, collected_chk, 3);
