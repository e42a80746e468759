//! A program is replaced by another, or starts one. The call is recorded, and the next program followed
//! (`follow`): the only place where a caller's argument, its environment, may be another on its way on.
//!
//! A function here that takes no row is for calls that are not recorded by whoever makes them: a vfork
//! child has no state of its own, and yet what it executes is followed, and told as a call of its parent's.

use crate::follow::{self, Strings};
use crate::next::{Behind, Fn1, Fn2, Fn3, Fn5, Fn6, Slot};
use crate::recorder::call::{Call, Row};
use crate::recorder::{self, descriptors};
use core::ffi::{c_char, c_int, c_void};
use libc::{FILE, pid_t};
use sockshim_format::op::Op;
use sockshim_format::record::{EXEC_IN_VFORK, ROLE_PATH};

/// `execve`.
pub type Execve = Fn3<*const c_char, Strings, Strings, c_int>;
/// `execv` and `execvp`.
pub type Execv = Fn2<*const c_char, Strings, c_int>;

/// What `execv` and `execvp` go on to when the environment is not the program's own.
static EXECVE: Slot = Slot::helper(Op::Execve, c"execve");
static EXECVPE: Slot = Slot::helper(Op::Execvpe, c"execvpe");
#[cfg(test)]
pub const SLOTS: &[&Slot] = &[&EXECVE, &EXECVPE];

/// Looks the names up that only this file calls.
pub fn resolve_all(behind: &Behind) {
    EXECVE.resolve_in(behind);
    EXECVPE.resolve_in(behind);
}

/// An `int` through a `usize` and back.
fn word(ret: c_int) -> usize {
    ret as usize
}

/// The recorded form of a function that replaces the program, and returns only if it fails.
macro_rules! recorded {
    ($name:ident, $next:ty, ($($arg:ident: $type:ty),*), path = $path:expr, arg = $number:expr) => {
        pub unsafe fn $name(row: Row, next: $next, $($arg: $type),*) -> c_int {
            // SAFETY: see the module's parent; the path is read checked.
            unsafe {
                let call = Call::enter(row, $number, 0);
                call.text_checked(ROLE_PATH, $path);
                call.announce(|| true);
                let ret = followed::$name(next, $($arg),*);
                call.leave(ret)
            }
        }
    };
}
recorded!(execve, Execve, (path: *const c_char, argv: Strings, envp: Strings), path = path, arg = 0);
recorded!(execv, Execv, (path: *const c_char, argv: Strings), path = path, arg = 0);
recorded!(execvp, Execv, (file: *const c_char, argv: Strings), path = file, arg = 0);
recorded!(
    execveat,
    Fn5<c_int, *const c_char, Strings, Strings, c_int, c_int>,
    (at: c_int, path: *const c_char, argv: Strings, envp: Strings, flags: c_int),
    path = path, arg = 0
);
recorded!(
    fexecve,
    Fn3<c_int, Strings, Strings, c_int>,
    (fd: c_int, argv: Strings, envp: Strings),
    path = core::ptr::null(), arg = fd as u32
);

/// `posix_spawn` and `posix_spawnp`: the child never comes through our functions before it executes
/// its program. They return an error number.
pub unsafe fn spawn(
    row: Row,
    next: Spawn,
    pid: *mut pid_t,
    path: *const c_char,
    actions: *const c_void,
    attributes: *const c_void,
    argv: Strings,
    envp: Strings,
) -> c_int {
    // SAFETY: see the module's parent; on success libc has stored the pid if it was asked to.
    unsafe {
        let mut call = Call::enter(row, 0, 0);
        call.text_checked(ROLE_PATH, path);
        let ret = followed::spawn(next, pid, path, actions, attributes, argv, envp);
        if ret == 0 && !pid.is_null() {
            call.set_size(*pid as u64);
        }
        call.finish(ret as i64, ret.max(0) as u16);
        ret
    }
}
type Spawn = Fn6<*mut pid_t, *const c_char, *const c_void, *const c_void, Strings, Strings, c_int>;

pub unsafe fn popen(
    row: Row,
    next: Fn2<*const c_char, *const c_char, *mut FILE>,
    command: *const c_char,
    mode: *const c_char,
) -> *mut FILE {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let call = Call::enter(row, 0, 0);
        call.text_checked(ROLE_PATH, command);
        let ret = follow::command(command, &|command| next(command, mode) as usize) as *mut FILE;
        descriptors::forget(crate::next::fileno(ret));
        call.leave_pointer(ret.cast());
        ret
    }
}

pub unsafe fn system(row: Row, next: Fn1<*const c_char, c_int>, command: *const c_char) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let call = Call::enter(row, 0, 0);
        call.text_checked(ROLE_PATH, command);
        call.announce(|| true);
        let ret = follow::command(command, &|command| word(next(command))) as c_int;
        call.leave(ret)
    }
}

/// The same functions for the child of a vfork.
pub mod unrecorded {
    pub use super::followed::spawn;
    use super::*;

    macro_rules! as_parent {
        ($name:ident $op:ident, $next:ty, ($($arg:ident: $type:ty),*), path = $path:expr) => {
            pub unsafe fn $name(next: $next, $($arg: $type),*) -> c_int {
                // SAFETY: see the module's parent; the caller's own arguments.
                unsafe { told_as_parent(Op::$op, $path, &|| followed::$name(next, $($arg),*)) }
            }
        };
    }
    as_parent!(execve Execve, Execve, (path: *const c_char, argv: Strings, envp: Strings), path = path);
    as_parent!(execv Execv, Execv, (path: *const c_char, argv: Strings), path = path);
    as_parent!(execvp Execvp, Execv, (file: *const c_char, argv: Strings), path = file);
    as_parent!(
        execveat Execveat,
        Fn5<c_int, *const c_char, Strings, Strings, c_int, c_int>,
        (at: c_int, path: *const c_char, argv: Strings, envp: Strings, flags: c_int),
        path = path
    );
    as_parent!(
        fexecve Fexecve,
        Fn3<c_int, Strings, Strings, c_int>,
        (fd: c_int, argv: Strings, envp: Strings),
        path = core::ptr::null()
    );

    /// The parent waits for its child, on whose stack and in whose memory it is back afterwards, so the
    /// record is as good as its own. A call that succeeds never ends, as a fork child's does not.
    unsafe fn told_as_parent(op: Op, path: *const c_char, run: &dyn Fn() -> c_int) -> c_int {
        // SAFETY: see the module's parent; the path is read checked.
        unsafe {
            let call = recorder::as_vfork_parent(|| {
                let call = Call::enter(Row::of(op), 0, EXEC_IN_VFORK);
                call.text_checked(ROLE_PATH, path);
                call
            });
            let ret = run();
            if let Some(call) = call {
                recorder::as_vfork_parent(|| call.leave(ret));
            }
            ret
        }
    }
}

/// The same functions, only followed.
mod followed {
    use super::*;

    pub unsafe fn execve(next: Execve, path: *const c_char, argv: Strings, envp: Strings) -> c_int {
        // SAFETY: see the module's parent; the caller's own arguments.
        unsafe { follow::restored(envp, &|envp| word(next(path, argv, envp))) as c_int }
    }

    pub unsafe fn execv(next: Execv, path: *const c_char, argv: Strings) -> c_int {
        // SAFETY: as in `own_environment`.
        unsafe { own_environment(next, &EXECVE, path, argv) }
    }

    pub unsafe fn execvp(next: Execv, file: *const c_char, argv: Strings) -> c_int {
        // SAFETY: as in `own_environment`.
        unsafe { own_environment(next, &EXECVPE, file, argv) }
    }

    /// Functions without an `envp`, and the one of the same kind with one.
    unsafe fn own_environment(next: Execv, with: &Slot, path: *const c_char, argv: Strings) -> c_int {
        let own = follow::own();
        // SAFETY: see the module's parent; the slot holds a function of this prototype.
        unsafe {
            let with = core::mem::transmute::<usize, Execve>(with.get());
            let run = |envp| word(if envp == own { next(path, argv) } else { with(path, argv, envp) });
            follow::restored(own, &run) as c_int
        }
    }

    pub unsafe fn execveat(
        next: Fn5<c_int, *const c_char, Strings, Strings, c_int, c_int>,
        at: c_int,
        path: *const c_char,
        argv: Strings,
        envp: Strings,
        flags: c_int,
    ) -> c_int {
        // SAFETY: see the module's parent; the caller's own arguments.
        unsafe { follow::restored(envp, &|envp| word(next(at, path, argv, envp, flags))) as c_int }
    }

    pub unsafe fn fexecve(next: Fn3<c_int, Strings, Strings, c_int>, fd: c_int, argv: Strings, envp: Strings) -> c_int {
        // Here libc refuses a null, which the kernel takes for an empty environment.
        if envp.is_null() {
            // SAFETY: see the module's parent; the caller's own arguments.
            return unsafe { next(fd, argv, envp) };
        }
        // SAFETY: see the module's parent; the caller's own arguments.
        unsafe { follow::restored(envp, &|envp| word(next(fd, argv, envp))) as c_int }
    }

    pub unsafe fn spawn(
        next: Spawn,
        pid: *mut pid_t,
        path: *const c_char,
        actions: *const c_void,
        attributes: *const c_void,
        argv: Strings,
        envp: Strings,
    ) -> c_int {
        // SAFETY: see the module's parent; the caller's own arguments.
        unsafe { follow::restored(envp, &|envp| word(next(pid, path, actions, attributes, argv, envp))) as c_int }
    }
}
