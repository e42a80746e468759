//! Processes begin, change and end: what keeps the trace whole.

use crate::next::{Fn0, Fn2, Fn3, Fn4, Fn5};
use crate::recorder::call::{Call, Row};
use crate::recorder::thread;
use crate::recorder::{self, clock, descriptors, region};
use crate::sys;
use core::ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void};
use core::sync::atomic::Ordering::Relaxed;
use libc::pid_t;
use sockshim_format::record::ROLE_PATH;

/// `fork`, `_Fork`: twice back. The child has a copy of our state and becomes a process of its own
/// at once; the record of the call is its parent's.
pub unsafe fn fork(row: Row, next: Fn0<pid_t>) -> pid_t {
    // SAFETY: see the module's parent.
    unsafe {
        let call = Call::enter(row, 0, 0);
        let ret = next();
        if ret == 0 {
            recorder::forked(true);
            recorder::gate();
            return ret;
        }
        call.leave(ret)
    }
}

/// `fork`, `clone` and `clone3` by number. They are not recorded; but where the kernel does not tell a child
/// that it is one, this does, unless it lives in its parent's memory.
pub unsafe fn cloned(number: c_long, first: usize, next: impl FnOnce() -> c_long) -> c_long {
    let ret = next();
    if ret == 0 {
        let flags = match number {
            libc::SYS_clone => first,
            // SAFETY: the kernel has read the arguments from there; the flags are the first word.
            libc::SYS_clone3 => unsafe { (first as *const usize).read() },
            _ => 0,
        };
        if flags & libc::CLONE_VM as usize == 0 {
            // SAFETY: the gate has let this call of `syscall` through.
            unsafe { recorder::forked(true) };
        }
    }
    ret
}

/// Back in the grandchild only; its parents have exited inside, so their record stays entered, and
/// the grandchild's says how it went on.
pub unsafe fn daemon(row: Row, next: Fn2<c_int, c_int, c_int>, nochdir: c_int, noclose: c_int) -> c_int {
    // SAFETY: see the module's parent.
    unsafe {
        let call = Call::enter(row, nochdir as u32, noclose as u32 as u64);
        let ret = next(nochdir, noclose);
        if recorder::forked(ret == 0) && recorder::gate() {
            return Call::enter(row, nochdir as u32, noclose as u32 as u64).leave(ret);
        }
        call.leave(ret)
    }
}

pub unsafe fn forkpty(
    row: Row,
    next: Fn4<*mut c_int, *mut c_char, *const c_void, *const c_void, pid_t>,
    master: *mut c_int,
    name: *mut c_char,
    terminal: *const c_void,
    window: *const c_void,
) -> pid_t {
    // SAFETY: see the module's parent; as in `fork`.
    unsafe {
        let call = Call::enter(row, 0, 0);
        let ret = next(master, name, terminal, window);
        if ret == 0 {
            recorder::forked(true);
            recorder::gate();
            return ret;
        }
        call.leave(ret)
    }
}

/// Before `vfork`, which is passed on by a jump: the child runs on the caller's stack frame, in the
/// caller's memory, and returns twice from there. Marks the thread, so that the child changes
/// nothing of ours, and the parent finds out when it is back.
pub unsafe fn before_vfork(row: Row) {
    // SAFETY: see the module's parent; the state is ours.
    unsafe {
        let thread = thread::current();
        Call::enter(row, 0, 0).jump();
        // Behind a seccomp filter the pid cannot be asked: the child's few calls count as its parent's.
        if !recorder::may_ask() {
            return;
        }
        (*thread).vfork_process = (*thread).process;
        (*thread).vfork_pid = sys::getpid();
        (*thread).process = 0; // sends the next call, in either process, to `settle`
    }
}

/// Before `dlopen`, which is passed on by a jump: libc looks at who has called it. What is opened with
/// RTLD_DEEPBIND finds libc's functions before ours, and passes around us.
pub unsafe fn before_dlopen(row: Row, path: *const c_char, flags: c_int) {
    if flags & libc::RTLD_DEEPBIND != 0 {
        // SAFETY: see the module's parent; the path is read checked.
        unsafe { opened(row, path, flags) };
    }
}

/// Before `dlmopen`, likewise: what is opened into a namespace of its own finds a libc of its own.
pub unsafe fn before_dlmopen(row: Row, namespace: c_long, path: *const c_char, flags: c_int) {
    const LM_ID_BASE: c_long = 0;
    if namespace != LM_ID_BASE {
        // SAFETY: as in `before_dlopen`.
        unsafe { opened(row, path, flags) };
    }
}

unsafe fn opened(row: Row, path: *const c_char, flags: c_int) {
    // SAFETY: see the module's parent; the path is read checked.
    unsafe {
        let call = Call::enter(row, flags as u32, 0);
        call.text_checked(ROLE_PATH, path);
        call.jump();
    }
}

/// `_exit`, `_Exit`, `quick_exit`: never back.
pub unsafe fn exit(row: Row, next: unsafe extern "C-unwind" fn(c_int) -> !, status: c_int) -> ! {
    // SAFETY: see the module's parent; the caller's own argument.
    unsafe {
        recorder::tcp::left();
        Call::enter(row, status as u32, 0).jump();
        if !region::private() {
            region::calibrate_again();
        }
        next(status)
    }
}

/// prctl(2): a strict seccomp mode and PR_SET_TSC also take the time-stamp counter away, and any
/// seccomp filter may kill for a system call that the program itself does not make.
pub unsafe fn prctl(
    row: Row,
    next: Fn5<c_int, c_ulong, c_ulong, c_ulong, c_ulong, c_int>,
    option: c_int,
    a: c_ulong,
    b: c_ulong,
    c: c_ulong,
    d: c_ulong,
) -> c_int {
    const PR_SET_TSC: c_int = 26;
    const PR_TSC_SIGSEGV: c_ulong = 2;
    // SAFETY: see the module's parent; variadic integers travel in the same registers.
    unsafe {
        let next: unsafe extern "C-unwind" fn(c_int, ...) -> c_int = core::mem::transmute(next);
        if !matches!(option, PR_SET_SECCOMP | PR_SET_TSC) {
            return next(option, a, b, c, d);
        }
        let call = Call::enter(row, option as u32, a);
        if option == PR_SET_SECCOMP {
            call.announce(|| true);
            let ret =
                restricting(&call, a == SECCOMP_MODE_STRICT, b != 0, || next(option, a, b, c, d) as c_long) as c_int;
            return call.leave(ret);
        }
        let ret = next(option, a, b, c, d);
        if ret == 0 && a == PR_TSC_SIGSEGV {
            clock::forbid_fine();
        }
        call.leave(ret)
    }
}

const PR_SET_SECCOMP: c_int = 22;
const SECCOMP_MODE_STRICT: c_ulong = 1;

/// seccomp(2) by number: the same as PR_SET_SECCOMP, and recorded as that. Its modes count from 0.
pub unsafe fn seccomp(
    row: Row,
    next: Fn3<c_uint, c_uint, *mut c_void, c_int>,
    operation: c_uint,
    flags: c_uint,
    arguments: *mut c_void,
) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        // SECCOMP_SET_MODE_STRICT, SECCOMP_SET_MODE_FILTER; the others only ask.
        if operation > 1 {
            return next(operation, flags, arguments);
        }
        let call = Call::enter(row, PR_SET_SECCOMP as u32, operation as u64 + SECCOMP_MODE_STRICT);
        call.announce(|| true);
        let ret =
            restricting(&call, operation == 0, !arguments.is_null(), || next(operation, flags, arguments) as c_long)
                as c_int;
        call.leave(ret)
    }
}

/// Makes a call that begins a seccomp mode. From then on the shim asks nothing of the kernel, and the
/// text log is silent: a system call that the program does not make itself may kill it. So what can be
/// known of its descriptors is asked now.
unsafe fn restricting(call: &Call, strict: bool, filter: bool, next: impl FnOnce() -> c_long) -> c_long {
    // Without a filter to install it is only asked whether the kernel knows any.
    if recorder::may_ask() && (strict || filter) {
        for (fd, identity) in descriptors::unknown_sockets() {
            // SAFETY: the call was entered by this thread.
            unsafe { call.tell(fd, identity, None) };
        }
        recorder::ask_ahead();
    }
    // Before, because the filter may hold for other threads too from the moment of the call.
    let sink = recorder::log::off();
    let asked = recorder::MAY_ASK.swap(false, Relaxed);
    let ret = next();
    if ret < 0 {
        recorder::MAY_ASK.store(asked, Relaxed);
        recorder::log::resume(sink);
        return ret;
    }
    if strict {
        clock::forbid_fine();
    }
    ret
}
