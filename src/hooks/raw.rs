//! `syscall()`: the socket calls among the system calls that programs make by number, as libuv, the
//! JVM and sandboxes do. Each goes to the hook of its own name, which delegates to libc's `syscall`
//! again. All others pass: the JVM makes ten thousand futex calls in a program of ten lines.

use super::{accept, communicate, connect, create, descriptor, disconnect, execute, message, process, transfer, wait};
use crate::arch::number::FORKS;
use crate::next::{Fn5, Fn6, Fn7};
use crate::recorder::call::{Call, Row};
use crate::recorder::verdict;
use crate::{filter, inject};
use core::ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use libc::*;
use sockshim_format::op::Op;
use sockshim_format::record::{FLAG_SYSCALL, ROLE_RECEIVED, ROLE_SENT};

type Raw = Fn7<c_long, usize, usize, usize, usize, usize, usize, c_long>;

/// The next `syscall`, for the adapters below: the same address at every call.
static NEXT: AtomicUsize = AtomicUsize::new(0);

fn next_syscall() -> unsafe extern "C-unwind" fn(c_long, ...) -> c_long {
    // SAFETY: `syscall` below has stored the address of libc's variadic `syscall`.
    unsafe { core::mem::transmute(NEXT.load(Relaxed)) }
}

/// For each system call: a function with the prototype of its libc wrapper, which makes it by
/// number, and the hook to run with it.
macro_rules! by_number {
    ($($(#[$here:meta])? $number:ident $op:ident $hook:path, ($($arg:ident: $type:ty),*) -> $ret:ty;)*) => {
        /// Runs the hook for a socket call by number; None for any other.
        unsafe fn dispatch(row: Row, number: c_long, args: [usize; 6]) -> Option<c_long> {
            $($(#[$here])? {
                if number == $number {
                    let mut args = args.into_iter();
                    $(let $arg = args.next().unwrap_or(0) as $type;)*
                    // SAFETY: the caller's own arguments, each as the prototype has it.
                    return Some(unsafe { $hook(numbered(row, Op::$op), adapters::$number, $($arg),*) } as c_long);
                }
            })*
            None
        }

        /// The same for calls that a plan is about, or that a filter leaves out: what stands for faults comes in between.
        #[cold]
        #[inline(never)]
        unsafe fn dispatch_chosen(row: Row, number: c_long, args: [usize; 6]) -> Option<c_long> {
            let [a, b, c, d, e, f] = args;
            let words = [a, b, c, d, e, f, 0, 0];
            $($(#[$here])? {
                unsafe extern "C-unwind" fn faulty(
                    a: usize, b: usize, c: usize, d: usize, e: usize, f: usize, g: usize, h: usize,
                ) -> usize {
                    // SAFETY: the hook's own arguments, for the adapter of this number.
                    unsafe {
                        inject::around(Op::$op, adapters::$number as *const () as usize, [a, b, c, d, e, f, g, h])
                    }
                }
                if number == $number && filter::leaves_out(Op::$op, &words) {
                    let mut args = args.into_iter();
                    $(let $arg = args.next().unwrap_or(0) as $type;)*
                    let row = Row { left_out: true, ..numbered(row, Op::$op) };
                    // SAFETY: as in `dispatch`.
                    return Some(unsafe { $hook(row, adapters::$number, $($arg),*) } as c_long);
                }
                if number == $number && inject::concerns(Op::$op) {
                    let next: unsafe extern "C-unwind" fn($($type),*) -> $ret =
                        // SAFETY: as in the rows of the table.
                        unsafe { core::mem::transmute(faulty as *const ()) };
                    let mut args = args.into_iter();
                    $(let $arg = args.next().unwrap_or(0) as $type;)*
                    // SAFETY: as in `dispatch`.
                    let ret = unsafe { verdict::expecting(|| $hook(numbered(row, Op::$op), next, $($arg),*)) };
                    return Some(ret as c_long);
                }
            })*
            None
        }

        /// By number, what libc's wrapper does by name.
        #[allow(non_snake_case)]
        mod adapters {
            use super::*;
            $($(#[$here])? pub unsafe extern "C-unwind" fn $number($($arg: $type),*) -> $ret {
                // SAFETY: the arguments of the system call of this number.
                unsafe { next_syscall()(super::$number, $($arg),*) as $ret }
            })*
        }
    };
}

/// The row that a number stands for, in the row of `syscall`.
fn numbered(row: Row, op: Op) -> Row {
    Row { op, flags: FLAG_SYSCALL, ..row }
}

by_number! {
    SYS_socket Socket create::socket, (a: c_int, b: c_int, c: c_int) -> c_int;
    SYS_socketpair Socketpair create::socketpair, (a: c_int, b: c_int, c: c_int, d: *mut c_int) -> c_int;
    SYS_connect Connect connect::connect, (a: c_int, b: *const sockaddr, c: socklen_t) -> c_int;
    SYS_bind Bind accept::bind, (a: c_int, b: *const sockaddr, c: socklen_t) -> c_int;
    SYS_listen Listen accept::listen, (a: c_int, b: c_int) -> c_int;
    SYS_accept Accept accept::accept, (a: c_int, b: *mut sockaddr, c: *mut socklen_t) -> c_int;
    SYS_accept4 Accept4 accept::accept4, (a: c_int, b: *mut sockaddr, c: *mut socklen_t, d: c_int) -> c_int;
    SYS_read Read communicate::read, (a: c_int, b: *mut c_void, c: size_t) -> ssize_t;
    SYS_write Write communicate::write, (a: c_int, b: *const c_void, c: size_t) -> ssize_t;
    SYS_readv Readv communicate::readv, (a: c_int, b: *const iovec, c: c_int) -> ssize_t;
    SYS_writev Writev communicate::writev, (a: c_int, b: *const iovec, c: c_int) -> ssize_t;
    SYS_sendto Sendto communicate::sendto,
        (a: c_int, b: *const c_void, c: size_t, d: c_int, e: *const sockaddr, f: socklen_t) -> ssize_t;
    SYS_recvfrom Recvfrom communicate::recvfrom,
        (a: c_int, b: *mut c_void, c: size_t, d: c_int, e: *mut sockaddr, f: *mut socklen_t) -> ssize_t;
    SYS_sendmsg Sendmsg message::sendmsg, (a: c_int, b: *const msghdr, c: c_int) -> ssize_t;
    SYS_recvmsg Recvmsg message::recvmsg, (a: c_int, b: *mut msghdr, c: c_int) -> ssize_t;
    SYS_sendmmsg Sendmmsg message::sendmmsg, (a: c_int, b: *mut mmsghdr, c: c_uint, d: c_int) -> c_int;
    SYS_recvmmsg Recvmmsg message::recvmmsg,
        (a: c_int, b: *mut mmsghdr, c: c_uint, d: c_int, e: *mut timespec) -> c_int;
    SYS_sendfile Sendfile transfer::sendfile, (a: c_int, b: c_int, c: *mut off_t, d: size_t) -> ssize_t;
    SYS_splice Splice transfer::splice,
        (a: c_int, b: *mut loff_t, c: c_int, d: *mut loff_t, e: size_t, f: c_uint) -> ssize_t;
    SYS_tee Tee transfer::tee, (a: c_int, b: c_int, c: size_t, d: c_uint) -> ssize_t;
    SYS_vmsplice Vmsplice transfer::vmsplice, (a: c_int, b: *const iovec, c: size_t, d: c_uint) -> ssize_t;
    SYS_copy_file_range CopyFileRange transfer::copy_file_range,
        (a: c_int, b: *mut loff_t, c: c_int, d: *mut loff_t, e: size_t, f: c_uint) -> ssize_t;
    SYS_preadv2 Preadv2 preadv2,
        (a: c_int, b: *const iovec, c: c_int, d: c_ulong, e: c_ulong, f: c_int) -> ssize_t;
    SYS_pwritev2 Pwritev2 pwritev2,
        (a: c_int, b: *const iovec, c: c_int, d: c_ulong, e: c_ulong, f: c_int) -> ssize_t;
    SYS_shutdown Shutdown disconnect::shutdown, (a: c_int, b: c_int) -> c_int;
    SYS_close Close disconnect::close, (a: c_int) -> c_int;
    SYS_close_range CloseRange disconnect::close_range, (a: c_uint, b: c_uint, c: c_int) -> c_int;
    SYS_dup Dup descriptor::dup, (a: c_int) -> c_int;
    #[cfg(target_arch = "x86_64")]
    SYS_dup2 Dup2 descriptor::dup2, (a: c_int, b: c_int) -> c_int;
    SYS_dup3 Dup3 descriptor::dup3, (a: c_int, b: c_int, c: c_int) -> c_int;
    SYS_fcntl Fcntl descriptor::fcntl, (a: c_int, b: c_int, c: usize) -> c_int;
    SYS_ioctl Ioctl descriptor::ioctl, (a: c_int, b: c_ulong, c: usize) -> c_int;
    SYS_pidfd_getfd PidfdGetfd descriptor::pidfd_getfd, (a: c_int, b: c_int, c: c_uint) -> c_int;
    SYS_getsockopt Getsockopt descriptor::getsockopt,
        (a: c_int, b: c_int, c: c_int, d: *mut c_void, e: *mut socklen_t) -> c_int;
    SYS_setsockopt Setsockopt descriptor::setsockopt,
        (a: c_int, b: c_int, c: c_int, d: *const c_void, e: socklen_t) -> c_int;
    SYS_getsockname Getsockname descriptor::getname, (a: c_int, b: *mut sockaddr, c: *mut socklen_t) -> c_int;
    SYS_getpeername Getpeername descriptor::getname, (a: c_int, b: *mut sockaddr, c: *mut socklen_t) -> c_int;
    #[cfg(target_arch = "x86_64")]
    SYS_poll Poll wait::poll, (a: *mut pollfd, b: nfds_t, c: c_int) -> c_int;
    #[cfg(target_arch = "x86_64")]
    SYS_select Select wait::select,
        (a: c_int, b: *mut fd_set, c: *mut fd_set, d: *mut fd_set, e: *mut timeval) -> c_int;
    #[cfg(target_arch = "x86_64")]
    SYS_epoll_wait EpollWait wait::epoll_wait, (a: c_int, b: *mut epoll_event, c: c_int, d: c_int) -> c_int;
    SYS_ppoll Ppoll ppoll,
        (a: *mut pollfd, b: nfds_t, c: *mut timespec, d: *const sigset_t, e: size_t) -> c_int;
    SYS_pselect6 Pselect pselect6,
        (a: c_int, b: *mut fd_set, c: *mut fd_set, d: *mut fd_set, e: *mut timespec, f: *const c_void) -> c_int;
    #[cfg(target_arch = "x86_64")]
    SYS_epoll_create EpollCreate wait::epoll_create, (a: c_int) -> c_int;
    SYS_epoll_create1 EpollCreate1 wait::epoll_create, (a: c_int) -> c_int;
    SYS_epoll_pwait EpollPwait epoll_pwait,
        (a: c_int, b: *mut epoll_event, c: c_int, d: c_int, e: *const sigset_t, f: size_t) -> c_int;
    SYS_epoll_pwait2 EpollPwait2 epoll_pwait2,
        (a: c_int, b: *mut epoll_event, c: c_int, d: *const timespec, e: *const sigset_t, f: size_t) -> c_int;
    SYS_epoll_ctl EpollCtl wait::epoll_ctl, (a: c_int, b: c_int, c: c_int, d: *mut epoll_event) -> c_int;
    SYS_execve Execve execute::execve,
        (a: *const c_char, b: *const *const c_char, c: *const *const c_char) -> c_int;
    SYS_execveat Execveat execute::execveat,
        (a: c_int, b: *const c_char, c: *const *const c_char, d: *const *const c_char, e: c_int) -> c_int;
    SYS_seccomp Prctl process::seccomp, (a: c_uint, b: c_uint, c: *mut c_void) -> c_int;
    SYS_prctl Prctl process::prctl, (a: c_int, b: c_ulong, c: c_ulong, d: c_ulong, e: c_ulong) -> c_int;
}

/// libc's `syscall`, variadic in C: the number and six registers.
pub unsafe fn syscall(
    row: Row,
    next: Raw,
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    NEXT.store(next as *const () as usize, Relaxed);
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let args = [a, b, c, d, e, f];
        if (inject::is_there() || filter::is_there())
            && let Some(ret) = dispatch_chosen(row, number, args)
        {
            return ret;
        }
        // Called in one place, so that it is part of this function, and the registers stay where they are.
        if let Some(ret) = dispatch(row, number, args) {
            return ret;
        }
        // What passes through an io_uring is nowhere to be seen; that there is one is.
        if number == SYS_io_uring_setup {
            let call = Call::enter(row, number as u32, a as u64);
            return call.leave(next(number, a, b, c, d, e, f));
        }
        if FORKS.contains(&number) {
            return process::cloned(number, a, || next(number, a, b, c, d, e, f));
        }
        next(number, a, b, c, d, e, f)
    }
}

/// The system calls behind `ppoll`, `pselect` and `select` store the time that was left, so what was asked is
/// not known: 0 stands for a timeout, -1 for none.
fn timed<T>(timeout: *mut T) -> u32 {
    if timeout.is_null() { u32::MAX } else { 0 }
}

unsafe fn ppoll(
    row: Row,
    next: Fn5<*mut pollfd, nfds_t, *mut timespec, *const sigset_t, size_t, c_int>,
    fds: *mut pollfd,
    count: nfds_t,
    timeout: *mut timespec,
    mask: *const sigset_t,
    mask_bytes: size_t,
) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let call = Call::enter(row, timed(timeout), count);
        call.announce(|| true);
        let ret = next(fds, count, timeout, mask, mask_bytes);
        wait::polled(&call, fds, count, ret);
        call.leave(ret)
    }
}

unsafe fn pselect6(
    row: Row,
    next: Fn6<c_int, *mut fd_set, *mut fd_set, *mut fd_set, *mut timespec, *const c_void, c_int>,
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *mut timespec,
    mask: *const c_void,
) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let call = Call::enter(row, timed(timeout), count as u32 as u64);
        call.announce(|| true);
        let ret = next(count, read, write, except, timeout, mask);
        wait::selected(&call, count, read, write, except, ret);
        call.leave(ret)
    }
}

/// `epoll_pwait` and `epoll_pwait2` by number have the size of the mask at their end.
macro_rules! epoll {
    ($name:ident, $time:ty, |$timeout:ident| $arg:expr) => {
        unsafe fn $name(
            row: Row,
            next: Fn6<c_int, *mut epoll_event, c_int, $time, *const sigset_t, size_t, c_int>,
            epoll: c_int,
            events: *mut epoll_event,
            most: c_int,
            $timeout: $time,
            mask: *const sigset_t,
            mask_bytes: size_t,
        ) -> c_int {
            // SAFETY: see the module's parent; the caller's own arguments.
            unsafe {
                let mut call = Call::at(row, epoll, u32::MAX, most as u32 as u64);
                call.announce(|| true);
                let ret = next(epoll, events, most, $timeout, mask, mask_bytes);
                if ret >= 0 {
                    call.set_arg($arg);
                }
                wait::waited(&call, events, ret);
                call.leave(ret)
            }
        }
    };
}
epoll!(epoll_pwait, c_int, |timeout| timeout as u32);
epoll!(epoll_pwait2, *const timespec, |timeout| wait::of_timespec(timeout));

/// `preadv2` and `pwritev2` by number have their offset in two halves.
macro_rules! positioned {
    ($name:ident, $events:ident, $role:ident) => {
        unsafe fn $name(
            row: Row,
            next: Fn6<c_int, *const iovec, c_int, c_ulong, c_ulong, c_int, ssize_t>,
            fd: c_int,
            iov: *const iovec,
            count: c_int,
            low: c_ulong,
            high: c_ulong,
            flags: c_int,
        ) -> ssize_t {
            // SAFETY: see the module's parent; on success the kernel has read the iovec.
            unsafe {
                let Some(mut call) = Call::on(row, fd, count as u32, 0) else {
                    return next(fd, iov, count, low, high, flags);
                };
                call.announce_transfer($events, 0);
                let ret = next(fd, iov, count, low, high, flags);
                if ret > 0 {
                    if $role == ROLE_RECEIVED {
                        call.took(ret);
                    }
                    call.payload_iov($role, iov, count as usize, ret as usize);
                }
                call.leave_bytes(ret)
            }
        }
    };
}
positioned!(preadv2, POLLIN, ROLE_RECEIVED);
positioned!(pwritev2, POLLOUT, ROLE_SENT);
