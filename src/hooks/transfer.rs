//! Communicate: bytes pass from one descriptor to another inside the kernel.

use crate::next::{Fn4, Fn6};
use crate::recorder::call::{Call, Row};
use core::ffi::{c_int, c_uint};
use libc::{POLLOUT, iovec, loff_t, off_t, size_t, ssize_t};

pub unsafe fn sendfile(
    row: Row,
    next: Fn4<c_int, c_int, *mut off_t, size_t, ssize_t>,
    output: c_int,
    input: c_int,
    offset: *mut off_t,
    count: size_t,
) -> ssize_t {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let Some(call) = Call::on_either(row, input, output, output, count as u64) else {
            return next(output, input, offset, count);
        };
        call.announce_transfer(POLLOUT, 0);
        let ret = next(output, input, offset, count);
        call.leave_bytes(ret)
    }
}

pub unsafe fn splice(
    row: Row,
    next: Fn6<c_int, *mut loff_t, c_int, *mut loff_t, size_t, c_uint, ssize_t>,
    input: c_int,
    input_offset: *mut loff_t,
    output: c_int,
    output_offset: *mut loff_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let Some(call) = Call::on_either(row, input, output, input, len as u64) else {
            return next(input, input_offset, output, output_offset, len, flags);
        };
        let ret = next(input, input_offset, output, output_offset, len, flags);
        call.leave_bytes(ret)
    }
}

pub unsafe fn tee(
    row: Row,
    next: Fn4<c_int, c_int, size_t, c_uint, ssize_t>,
    input: c_int,
    output: c_int,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let Some(call) = Call::on_either(row, input, output, input, len as u64) else {
            return next(input, output, len, flags);
        };
        let ret = next(input, output, len, flags);
        call.leave_bytes(ret)
    }
}

pub unsafe fn vmsplice(
    row: Row,
    next: Fn4<c_int, *const iovec, size_t, c_uint, ssize_t>,
    fd: c_int,
    iov: *const iovec,
    count: size_t,
    flags: c_uint,
) -> ssize_t {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let Some(call) = Call::on(row, fd, count as u32, 0) else { return next(fd, iov, count, flags) };
        let ret = next(fd, iov, count, flags);
        call.leave_bytes(ret)
    }
}

pub unsafe fn copy_file_range(
    row: Row,
    next: Fn6<c_int, *mut loff_t, c_int, *mut loff_t, size_t, c_uint, ssize_t>,
    input: c_int,
    input_offset: *mut loff_t,
    output: c_int,
    output_offset: *mut loff_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    // SAFETY: as in `splice`, whose prototype this is.
    unsafe { splice(row, next, input, input_offset, output, output_offset, len, flags) }
}
