//! Communicate: bytes pass through one buffer or an iovec.

use crate::next::{Fn3, Fn4, Fn5, Fn6};
use crate::recorder::call::{Call, Row};
use core::ffi::{c_char, c_int, c_void};
use libc::{MSG_ERRQUEUE, MSG_OOB, MSG_PEEK, POLLIN, POLLOUT, iovec, off_t, size_t, sockaddr, socklen_t, ssize_t};
use sockshim_format::record::{ROLE_GIVEN, ROLE_RECEIVED, ROLE_RETURNED, ROLE_SENT};

pub unsafe fn read(
    row: Row,
    next: Fn3<c_int, *mut c_void, size_t, ssize_t>,
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
) -> ssize_t {
    // SAFETY: see the module's parent; `ret` bytes of the buffer were written by the kernel.
    unsafe {
        let Some(mut call) = Call::on(row, fd, 0, len as u64) else { return next(fd, buffer, len) };
        call.announce_transfer(POLLIN, 0);
        let ret = next(fd, buffer, len);
        if ret > 0 {
            call.took(ret);
            call.payload(ROLE_RECEIVED, buffer, ret as usize);
        }
        call.leave_bytes(ret)
    }
}

/// `__read_chk`: what gcc makes of `read` with _FORTIFY_SOURCE.
pub unsafe fn read_chk(
    row: Row,
    next: Fn4<c_int, *mut c_void, size_t, size_t, ssize_t>,
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    capacity: size_t,
) -> ssize_t {
    // SAFETY: as in `read`.
    unsafe {
        let Some(mut call) = Call::on(row, fd, 0, len as u64) else { return next(fd, buffer, len, capacity) };
        call.announce_transfer(POLLIN, 0);
        let ret = next(fd, buffer, len, capacity);
        if ret > 0 {
            call.took(ret);
            call.payload(ROLE_RECEIVED, buffer, ret as usize);
        }
        call.leave_bytes(ret)
    }
}

pub unsafe fn write(
    row: Row,
    next: Fn3<c_int, *const c_void, size_t, ssize_t>,
    fd: c_int,
    buffer: *const c_void,
    len: size_t,
) -> ssize_t {
    // SAFETY: see the module's parent; `ret` bytes of the buffer were read by the kernel.
    unsafe {
        let Some(mut call) = Call::on(row, fd, 0, len as u64) else { return next(fd, buffer, len) };
        call.announce_transfer(POLLOUT, 0);
        let ret = next(fd, buffer, len);
        if ret > 0 {
            call.payload(ROLE_SENT, buffer, ret as usize);
        }
        call.leave_bytes(ret)
    }
}

pub unsafe fn readv(
    row: Row,
    next: Fn3<c_int, *const iovec, c_int, ssize_t>,
    fd: c_int,
    iov: *const iovec,
    count: c_int,
) -> ssize_t {
    // SAFETY: see the module's parent; on success the kernel has read the iovec.
    unsafe {
        let Some(mut call) = Call::on(row, fd, count as u32, 0) else { return next(fd, iov, count) };
        call.announce_transfer(POLLIN, 0);
        let ret = next(fd, iov, count);
        if ret > 0 {
            call.took(ret);
            call.payload_iov(ROLE_RECEIVED, iov, count as usize, ret as usize);
        }
        call.leave_bytes(ret)
    }
}

pub unsafe fn writev(
    row: Row,
    next: Fn3<c_int, *const iovec, c_int, ssize_t>,
    fd: c_int,
    iov: *const iovec,
    count: c_int,
) -> ssize_t {
    // SAFETY: as in `readv`.
    unsafe {
        let Some(mut call) = Call::on(row, fd, count as u32, 0) else { return next(fd, iov, count) };
        call.announce_transfer(POLLOUT, 0);
        let ret = next(fd, iov, count);
        if ret > 0 {
            call.payload_iov(ROLE_SENT, iov, count as usize, ret as usize);
        }
        call.leave_bytes(ret)
    }
}

/// On a socket only with offset -1, where it is `readv` with flags.
pub unsafe fn preadv2(
    row: Row,
    next: Fn5<c_int, *const iovec, c_int, off_t, c_int, ssize_t>,
    fd: c_int,
    iov: *const iovec,
    count: c_int,
    offset: off_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: as in `readv`.
    unsafe {
        let Some(mut call) = Call::on(row, fd, count as u32, 0) else {
            return next(fd, iov, count, offset, flags);
        };
        call.announce_transfer(POLLIN, 0);
        let ret = next(fd, iov, count, offset, flags);
        if ret > 0 {
            call.took(ret);
            call.payload_iov(ROLE_RECEIVED, iov, count as usize, ret as usize);
        }
        call.leave_bytes(ret)
    }
}

/// On a socket only with offset -1, where it is `writev` with flags.
pub unsafe fn pwritev2(
    row: Row,
    next: Fn5<c_int, *const iovec, c_int, off_t, c_int, ssize_t>,
    fd: c_int,
    iov: *const iovec,
    count: c_int,
    offset: off_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: as in `readv`.
    unsafe {
        let Some(mut call) = Call::on(row, fd, count as u32, 0) else {
            return next(fd, iov, count, offset, flags);
        };
        call.announce_transfer(POLLOUT, 0);
        let ret = next(fd, iov, count, offset, flags);
        if ret > 0 {
            call.payload_iov(ROLE_SENT, iov, count as usize, ret as usize);
        }
        call.leave_bytes(ret)
    }
}

pub unsafe fn send(
    row: Row,
    next: Fn4<c_int, *const c_void, size_t, c_int, ssize_t>,
    fd: c_int,
    buffer: *const c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: as in `write`.
    unsafe {
        let mut call = Call::on_socket(row, fd, flags as u32, len as u64);
        call.announce_transfer(POLLOUT, flags);
        let ret = next(fd, buffer, len, flags);
        if ret > 0 {
            call.payload(ROLE_SENT, buffer, ret as usize);
        }
        call.leave_bytes(ret)
    }
}

pub unsafe fn sendto(
    row: Row,
    next: Fn6<c_int, *const c_void, size_t, c_int, *const sockaddr, socklen_t, ssize_t>,
    fd: c_int,
    buffer: *const c_void,
    len: size_t,
    flags: c_int,
    address: *const sockaddr,
    address_len: socklen_t,
) -> ssize_t {
    // SAFETY: as in `write`; on success the kernel has read the address.
    unsafe {
        let mut call = Call::on_socket(row, fd, flags as u32, len as u64);
        call.announce_transfer(POLLOUT, flags);
        let ret = next(fd, buffer, len, flags, address, address_len);
        if ret >= 0 {
            call.payload(ROLE_SENT, buffer, ret as usize);
            call.tell_preview_before(!address.is_null());
            call.address(ROLE_GIVEN, address, address_len);
            call.sender();
        }
        call.leave_bytes(ret)
    }
}

/// What is received with one of these is not counted as taken: the bytes stay, are none of the stream, or came beside it.
pub(super) const NOT_OF_THE_STREAM: c_int = MSG_PEEK | MSG_OOB | MSG_ERRQUEUE;

/// With MSG_TRUNC more bytes may be reported than the buffer holds; with MSG_PEEK they stay.
unsafe fn received(call: &mut Call, buffer: *const c_void, len: size_t, flags: c_int, ret: ssize_t) {
    if flags & MSG_PEEK != 0 {
        call.peeked();
    }
    if ret > 0 {
        if flags & NOT_OF_THE_STREAM == 0 {
            call.took(ret);
        }
        if !call.discards(flags) {
            // SAFETY: the kernel has written so many bytes of the buffer.
            unsafe { call.payload(ROLE_RECEIVED, buffer, (ret as usize).min(len)) };
        }
    }
}

pub unsafe fn recv(
    row: Row,
    next: Fn4<c_int, *mut c_void, size_t, c_int, ssize_t>,
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: as in `read`.
    unsafe {
        let mut call = Call::on_socket(row, fd, flags as u32, len as u64);
        call.announce_transfer(POLLIN, flags);
        let ret = next(fd, buffer, len, flags);
        received(&mut call, buffer, len, flags, ret);
        call.leave_bytes(ret)
    }
}

/// `__recv_chk`: what gcc makes of `recv` with _FORTIFY_SOURCE.
pub unsafe fn recv_chk(
    row: Row,
    next: Fn5<c_int, *mut c_void, size_t, size_t, c_int, ssize_t>,
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    capacity: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: as in `read`.
    unsafe {
        let mut call = Call::on_socket(row, fd, flags as u32, len as u64);
        call.announce_transfer(POLLIN, flags);
        let ret = next(fd, buffer, len, capacity, flags);
        received(&mut call, buffer, len, flags, ret);
        call.leave_bytes(ret)
    }
}

pub unsafe fn recvfrom(
    row: Row,
    next: Fn6<c_int, *mut c_void, size_t, c_int, *mut sockaddr, *mut socklen_t, ssize_t>,
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    flags: c_int,
    address: *mut sockaddr,
    address_len: *mut socklen_t,
) -> ssize_t {
    // SAFETY: as in `read`; on success the kernel has stored the address.
    unsafe {
        let mut call = Call::on_socket(row, fd, flags as u32, len as u64);
        call.announce_transfer(POLLIN, flags);
        let ret = next(fd, buffer, len, flags, address, address_len);
        received(&mut call, buffer, len, flags, ret);
        if ret >= 0 {
            call.tell_preview_before(!address.is_null());
            call.address_returned(ROLE_RETURNED, address, address_len);
        }
        call.leave_bytes(ret)
    }
}

/// `__recvfrom_chk`: what gcc makes of `recvfrom` with _FORTIFY_SOURCE.
pub unsafe fn recvfrom_chk(
    row: Row,
    next: crate::next::Fn7<c_int, *mut c_void, size_t, size_t, c_int, *mut sockaddr, *mut socklen_t, ssize_t>,
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    capacity: size_t,
    flags: c_int,
    address: *mut sockaddr,
    address_len: *mut socklen_t,
) -> ssize_t {
    // SAFETY: as in `recvfrom`.
    unsafe {
        let mut call = Call::on_socket(row, fd, flags as u32, len as u64);
        call.announce_transfer(POLLIN, flags);
        let ret = next(fd, buffer, len, capacity, flags, address, address_len);
        received(&mut call, buffer, len, flags, ret);
        if ret >= 0 {
            call.tell_preview_before(!address.is_null());
            call.address_returned(ROLE_RETURNED, address, address_len);
        }
        call.leave_bytes(ret)
    }
}

/// `va_list` is passed as a pointer on x86-64 (System V ABI).
pub type VaList = *mut c_void;

/// `dprintf` and `vdprintf`: what was written is known by its length only.
pub unsafe fn vdprintf(
    row: Row,
    next: Fn3<c_int, *const c_char, VaList, c_int>,
    fd: c_int,
    format: *const c_char,
    arguments: VaList,
) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let Some(call) = Call::on(row, fd, 0, 0) else { return next(fd, format, arguments) };
        call.announce_transfer(POLLOUT, 0);
        let ret = next(fd, format, arguments);
        call.leave(ret)
    }
}

/// `__dprintf_chk` and `__vdprintf_chk`.
pub unsafe fn vdprintf_chk(
    row: Row,
    next: Fn4<c_int, c_int, *const c_char, VaList, c_int>,
    fd: c_int,
    flag: c_int,
    format: *const c_char,
    arguments: VaList,
) -> c_int {
    // SAFETY: as in `vdprintf`.
    unsafe {
        let Some(call) = Call::on(row, fd, 0, 0) else { return next(fd, flag, format, arguments) };
        call.announce_transfer(POLLOUT, 0);
        let ret = next(fd, flag, format, arguments);
        call.leave(ret)
    }
}
