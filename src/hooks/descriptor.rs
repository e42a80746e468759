//! Descriptors are copied, named and configured.

use crate::next::{Fn1, Fn2, Fn3, Fn5};
use crate::recorder::call::{Call, Row};
use crate::recorder::{asks_edges, descriptors};
use crate::sys::End;
use core::ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void};
use libc::{FILE, sockaddr, socklen_t};
use sockshim_format::op::Op;
use sockshim_format::record::{KIND_OPTION, ROLE_CLOSED, ROLE_MADE, ROLE_RETURNED};

/// Tells of a copy that a call has made.
unsafe fn copied(call: &Call, from: c_int, to: c_int) {
    descriptors::copied(from, to);
    // SAFETY: see the module's parent.
    unsafe { call.descriptor(ROLE_MADE, to, call.identity.socket) };
}

pub unsafe fn dup(row: Row, next: Fn1<c_int, c_int>, fd: c_int) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let Some(call) = Call::on(row, fd, 0, 0) else {
            let ret = next(fd);
            descriptors::forget(ret);
            return ret;
        };
        let ret = next(fd);
        if ret >= 0 {
            copied(&call, fd, ret);
        }
        call.leave(ret)
    }
}

/// What `dup2` and `dup3` share: the new number may name a socket, which then ends here.
unsafe fn replace(row: Row, from: c_int, to: c_int, flags: c_int, next: impl FnOnce() -> c_int) -> c_int {
    // SAFETY: see the module's parent.
    unsafe {
        descriptors::replacing(to);
        // A number that is free, or was closed, is nobody's end.
        let ends = from != to && !descriptors::is_stranger(to);
        let old = if ends { row.lookup(to).filter(|_| descriptors::is_on_record(to)) } else { None };
        let Some(call) = Call::on(row, from, to as u32, flags as u32 as u64) else {
            if old.is_none() {
                let ret = next();
                descriptors::forget(ret);
                return ret;
            }
            // A file takes the place of a socket: that is the end of the socket.
            let call = Call::at(row, from, to as u32, flags as u32 as u64);
            return ended(call, old, from, to, next);
        };
        if from == to {
            let ret = next();
            return call.leave(ret);
        }
        ended(call, old, from, to, next)
    }
}

unsafe fn ended(
    call: Call,
    old: Option<descriptors::Identity>,
    from: c_int,
    to: c_int,
    next: impl FnOnce() -> c_int,
) -> c_int {
    // SAFETY: see the module's parent.
    unsafe {
        if let Some(old) = old {
            call.tcp_info(to, old);
        }
        let ret = next();
        if ret >= 0 {
            if let Some(old) = old {
                call.descriptor(ROLE_CLOSED, to, old.socket);
            }
            copied(&call, from, to);
        }
        call.leave(ret)
    }
}

pub unsafe fn dup2(row: Row, next: Fn2<c_int, c_int, c_int>, from: c_int, to: c_int) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe { replace(row, from, to, 0, || next(from, to)) }
}

pub unsafe fn dup3(row: Row, next: Fn3<c_int, c_int, c_int, c_int>, from: c_int, to: c_int, flags: c_int) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe { replace(row, from, to, flags, || next(from, to, flags)) }
}

/// Variadic in C. The third argument is passed on as the register that it came in.
pub unsafe fn fcntl(
    row: Row,
    next: Fn3<c_int, c_int, usize, c_int>,
    fd: c_int,
    command: c_int,
    argument: usize,
) -> c_int {
    // SAFETY: see the module's parent; a variadic int or pointer travels in the third register
    // either way (System V ABI).
    unsafe {
        let next: unsafe extern "C-unwind" fn(c_int, c_int, ...) -> c_int = core::mem::transmute(next);
        let copies = matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC);
        let Some(call) = Call::on(row, fd, command as u32, argument as u64) else {
            let ret = next(fd, command, argument);
            if copies {
                descriptors::forget(ret);
            }
            return ret;
        };
        let ret = next(fd, command, argument);
        if copies && ret >= 0 {
            copied(&call, fd, ret);
        }
        call.leave(ret)
    }
}

/// Variadic in C, as `fcntl`.
pub unsafe fn ioctl(
    row: Row,
    next: Fn3<c_int, c_ulong, usize, c_int>,
    fd: c_int,
    request: c_ulong,
    argument: usize,
) -> c_int {
    // SAFETY: as in `fcntl`.
    unsafe {
        let next: unsafe extern "C-unwind" fn(c_int, c_ulong, ...) -> c_int = core::mem::transmute(next);
        let Some(call) = Call::on(row, fd, argument as u32, request) else { return next(fd, request, argument) };
        let ret = next(fd, request, argument);
        call.leave(ret)
    }
}

/// Level and name in one number, as FORMAT.md says.
fn option(level: c_int, name: c_int) -> u32 {
    (level as u32) << 16 | (name as u32 & 0xffff)
}

pub unsafe fn getsockopt(
    row: Row,
    next: Fn5<c_int, c_int, c_int, *mut c_void, *mut socklen_t, c_int>,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: see the module's parent; on success the kernel has stored value and length.
    unsafe {
        let mut call = Call::on_socket(row, fd, option(level, name), 0);
        let ret = next(fd, level, name, value, len);
        if ret == 0 && !len.is_null() {
            call.set_size(*len as u64);
            // Some options report a longer value than they have stored.
            call.bytes_checked(KIND_OPTION, value, *len as usize);
        }
        call.leave(ret)
    }
}

pub unsafe fn setsockopt(
    row: Row,
    next: Fn5<c_int, c_int, c_int, *const c_void, socklen_t, c_int>,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    // SAFETY: see the module's parent. The kernel reads an int where an option is one, whatever
    // length was given, so the value is copied checked.
    unsafe {
        let call = Call::on_socket(row, fd, option(level, name), len as u64);
        let ret = next(fd, level, name, value, len);
        if ret == 0 {
            call.bytes_checked(KIND_OPTION, value, len as usize);
        }
        call.leave(ret)
    }
}

/// `getsockname` and `getpeername`.
pub unsafe fn getname(
    row: Row,
    next: Fn3<c_int, *mut sockaddr, *mut socklen_t, c_int>,
    fd: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: see the module's parent; on success the kernel has stored address and length.
    unsafe {
        let call = Call::on_socket(row, fd, 0, 0);
        let ret = next(fd, address, len);
        if ret == 0 && asks_edges() {
            // Asked again rather than read from the program's buffer, which may have been too short.
            let end = if row.op.base() == Op::Getpeername { End::Peer } else { End::Local };
            call.address_of(ROLE_RETURNED, fd, end);
        }
        call.leave(ret)
    }
}

/// From here on bytes may pass through stdio, which calls its own `read` and `write`.
pub unsafe fn fdopen(
    row: Row,
    next: Fn2<c_int, *const c_char, *mut FILE>,
    fd: c_int,
    mode: *const c_char,
) -> *mut FILE {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let Some(call) = Call::on(row, fd, 0, 0) else { return next(fd, mode) };
        let ret = next(fd, mode);
        call.leave_pointer(ret.cast());
        ret
    }
}

/// A copy of another process's descriptor.
pub unsafe fn pidfd_getfd(
    row: Row,
    next: Fn3<c_int, c_int, c_uint, c_int>,
    pidfd: c_int,
    target: c_int,
    flags: c_uint,
) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let call = Call::at(row, pidfd, target as u32, flags as u64);
        let ret = next(pidfd, target, flags);
        if ret >= 0 {
            descriptors::forget(ret);
            if let Some(identity) = call.lookup(ret) {
                call.names(ROLE_MADE, ret, identity);
            }
        }
        call.leave(ret)
    }
}

/// `isfdtype`: whether a descriptor is a socket.
pub unsafe fn isfdtype(row: Row, next: Fn2<c_int, c_int, c_int>, fd: c_int, kind: c_int) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let Some(call) = Call::on(row, fd, kind as u32, 0) else { return next(fd, kind) };
        let ret = next(fd, kind);
        call.leave(ret)
    }
}

/// `sockatmark`.
pub unsafe fn sockatmark(row: Row, next: Fn1<c_int, c_int>, fd: c_int) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let Some(call) = Call::on(row, fd, 0, 0) else { return next(fd) };
        let ret = next(fd);
        call.leave(ret)
    }
}

/// What the compiler checks about the fixed form of variadic functions.
const _: () = assert!(size_of::<c_long>() == size_of::<usize>());
