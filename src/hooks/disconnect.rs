//! Disconnect: the socket, or one direction of it, ends.
//!
//! What the descriptor names is looked up before the call: the number may be somebody else's before
//! `close` returns.

use crate::next::{self, Fn0, Fn1, Fn2, Fn3};
use crate::recorder::call::{Call, Row};
use crate::recorder::descriptors;
use core::ffi::{c_char, c_int, c_uint};
use libc::FILE;
use sockshim_format::record::{Fd, KIND_FDS, ROLE_CLOSED};

pub unsafe fn shutdown(row: Row, next: Fn2<c_int, c_int, c_int>, fd: c_int, how: c_int) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let call = Call::on_socket(row, fd, how as u32, 0);
        call.tcp_info(fd, call.identity);
        let ret = next(fd, how);
        call.leave(ret)
    }
}

pub unsafe fn close(row: Row, next: Fn1<c_int, c_int>, fd: c_int) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let Some(call) = Call::on(row, fd, 0, 0) else {
            descriptors::closing(fd);
            return next(fd);
        };
        call.tcp_info(fd, call.identity);
        descriptors::closing(fd);
        let ret = next(fd);
        call.leave(ret)
    }
}

/// Tells of the sockets that a range of descriptors names, and forgets the range.
unsafe fn closing_range(call: &Call, first: c_uint, last: c_uint) {
    let mut batch = [0u8; 24 * Fd::SIZE];
    let mut filled = 0;
    let flush = |bytes: &[u8]| {
        if !bytes.is_empty() {
            // SAFETY: our own bytes.
            unsafe { call.extend(KIND_FDS, ROLE_CLOSED, bytes) };
        }
    };
    for (fd, socket) in descriptors::sockets_between(first, last) {
        if let Some(place) = batch.get_mut(filled..filled + Fd::SIZE) {
            place.copy_from_slice(&Fd { fd, reserved: 0, socket }.to_bytes());
            filled += Fd::SIZE;
        }
        if filled == batch.len() {
            flush(&batch);
            filled = 0;
        }
    }
    flush(batch.get(..filled).unwrap_or(&[]));
    descriptors::closed_between(first, last);
}

pub unsafe fn close_range(
    row: Row,
    next: Fn3<c_uint, c_uint, c_int, c_int>,
    first: c_uint,
    last: c_uint,
    flags: c_int,
) -> c_int {
    const CLOSE_RANGE_UNSHARE: c_int = 2;
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let call = Call::at(row, first as c_int, flags as u32, last as u64);
        // With any other flag (CLOSE_RANGE_CLOEXEC, or one that the kernel refuses) nothing is closed.
        if flags & !CLOSE_RANGE_UNSHARE == 0 && first <= last {
            closing_range(&call, first, last);
        }
        let ret = next(first, last, flags);
        call.leave(ret)
    }
}

pub unsafe fn closefrom(row: Row, next: Fn1<c_int, ()>, first: c_int) {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let call = Call::at(row, first, 0, u32::MAX as u64);
        closing_range(&call, first.max(0) as c_uint, c_uint::MAX);
        next(first);
        call.finish(0, 0);
    }
}

pub unsafe fn fclose(row: Row, next: Fn1<*mut FILE, c_int>, stream: *mut FILE) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let fd = next::fileno(stream);
        // What the stream still holds goes out inside, behind the state of the socket that we ask for.
        let Some(call) = Call::on(row, fd, 0, next::pending(stream)) else {
            descriptors::closing(fd);
            return next(stream);
        };
        call.tcp_info(fd, call.identity);
        descriptors::closing(fd);
        let ret = next(stream);
        call.leave(ret)
    }
}

/// Flushes every stream; the descriptors stay open (glibc).
pub unsafe fn fcloseall(row: Row, next: Fn0<c_int>) -> c_int {
    // SAFETY: see the module's parent.
    unsafe {
        let call = Call::enter(row, 0, 0);
        let ret = next();
        call.leave(ret)
    }
}

/// Ends a `popen`: its descriptor is a pipe, its child's status is what it returns.
pub unsafe fn pclose(row: Row, next: Fn1<*mut FILE, c_int>, stream: *mut FILE) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let fd = next::fileno(stream);
        let call = Call::at(row, fd, 0, 0);
        descriptors::closing(fd);
        let ret = next(stream);
        call.leave(ret)
    }
}

/// Closes what the stream's descriptor named, and puts a file in its place.
pub unsafe fn freopen(
    row: Row,
    next: Fn3<*const c_char, *const c_char, *mut FILE, *mut FILE>,
    path: *const c_char,
    mode: *const c_char,
    stream: *mut FILE,
) -> *mut FILE {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let fd = next::fileno(stream);
        let call = Call::on(row, fd, 0, next::pending(stream));
        if let Some(call) = &call {
            call.tcp_info(fd, call.identity);
        }
        descriptors::closing(fd);
        let ret = next(path, mode, stream);
        descriptors::forget(fd);
        descriptors::forget(next::fileno(ret));
        if let Some(call) = call {
            call.leave_pointer(ret.cast());
        }
        ret
    }
}
