//! Communicate: messages, with addresses, several buffers and descriptors of their own.

use super::communicate::NOT_OF_THE_STREAM;
use crate::next::{Fn3, Fn4, Fn5};
use crate::recorder::call::{Call, Row};
use crate::recorder::descriptors::{self, Identity};
use core::ffi::{c_int, c_uint};
use libc::{MSG_PEEK, POLLIN, POLLOUT, cmsghdr, mmsghdr, msghdr, ssize_t, timespec};
use sockshim_format::record::{ROLE_GIVEN, ROLE_MADE, ROLE_PASSED, ROLE_RECEIVED, ROLE_RETURNED, ROLE_SENT};

/// Tells of the descriptors in a message's SCM_RIGHTS.
unsafe fn rights(call: &Call, message: &msghdr, role: u8) {
    // SAFETY: the kernel has just read or written the control data; CMSG_* stay inside it, and the
    // length of each header is checked before its data is read.
    unsafe {
        let mut header: *const cmsghdr = libc::CMSG_FIRSTHDR(message);
        while !header.is_null() {
            let end = message.msg_control as usize + message.msg_controllen;
            let length = (*header).cmsg_len.min(end - header as usize);
            let data = libc::CMSG_DATA(header).cast::<c_int>();
            let overhead = data as usize - header as usize;
            if ((*header).cmsg_level, (*header).cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                for i in 0..length.saturating_sub(overhead) / size_of::<c_int>() {
                    let fd = data.add(i).read_unaligned();
                    if role == ROLE_MADE {
                        descriptors::forget(fd);
                    }
                    call.names(role, fd, call.lookup(fd).unwrap_or(Identity::NONE));
                }
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
}

/// Whether a message has more to tell than its bytes.
fn tells_more(message: &msghdr) -> bool {
    !message.msg_name.is_null() || !message.msg_control.is_null()
}

pub unsafe fn sendmsg(
    row: Row,
    next: Fn3<c_int, *const msghdr, c_int, ssize_t>,
    fd: c_int,
    message: *const msghdr,
    flags: c_int,
) -> ssize_t {
    // SAFETY: see the module's parent; on success the kernel has read the message and all it names.
    unsafe {
        let mut call = Call::on_socket(row, fd, flags as u32, 0);
        call.announce_transfer(POLLOUT, flags);
        let ret = next(fd, message, flags);
        if ret >= 0 {
            let message = &*message;
            call.payload_iov(ROLE_SENT, message.msg_iov, message.msg_iovlen, ret as usize);
            call.tell_preview_before(tells_more(message));
            call.address(ROLE_GIVEN, message.msg_name.cast(), message.msg_namelen);
            rights(&call, message, ROLE_PASSED);
            call.sender();
        }
        call.leave_bytes(ret)
    }
}

pub unsafe fn recvmsg(
    row: Row,
    next: Fn3<c_int, *mut msghdr, c_int, ssize_t>,
    fd: c_int,
    message: *mut msghdr,
    flags: c_int,
) -> ssize_t {
    // SAFETY: see the module's parent; on success the kernel has written the message.
    unsafe {
        let mut call = Call::on_socket(row, fd, flags as u32, 0);
        call.announce_transfer(POLLIN, flags);
        let ret = next(fd, message, flags);
        if flags & MSG_PEEK != 0 {
            call.peeked();
        }
        if ret >= 0 {
            let message = &*message;
            if flags & NOT_OF_THE_STREAM == 0 {
                call.took(ret);
            }
            if !call.discards(flags) {
                call.payload_iov(ROLE_RECEIVED, message.msg_iov, message.msg_iovlen, ret as usize);
                call.tell_preview_before(tells_more(message));
            }
            call.address_returned(ROLE_RETURNED, message.msg_name.cast(), &message.msg_namelen);
            rights(&call, message, ROLE_MADE);
        }
        call.leave_bytes(ret)
    }
}

/// Bytes of the first `count` messages, and the payload and address of the first.
unsafe fn several(call: &mut Call, messages: *const mmsghdr, count: c_int, flags: c_int, sent: bool) {
    let mut bytes = 0u64;
    for i in 0..count.max(0) as usize {
        // SAFETY: the kernel has just stored the length of each of these messages.
        let message = unsafe { &*messages.add(i) };
        bytes += message.msg_len as u64;
        // SAFETY: as in `sendmsg` and `recvmsg`.
        unsafe {
            let (header, len) = (&message.msg_hdr, message.msg_len as usize);
            if i == 0 {
                let role = if sent { ROLE_SENT } else { ROLE_RECEIVED };
                if sent || !call.discards(flags) {
                    call.payload_iov(role, header.msg_iov, header.msg_iovlen, len);
                    call.tell_preview_before(true);
                }
                if sent {
                    call.address(ROLE_GIVEN, header.msg_name.cast(), header.msg_namelen);
                } else {
                    call.address_returned(ROLE_RETURNED, header.msg_name.cast(), &header.msg_namelen);
                }
            }
            rights(call, header, if sent { ROLE_PASSED } else { ROLE_MADE });
        }
    }
    if count >= 0 {
        call.set_size(bytes);
    }
}

pub unsafe fn sendmmsg(
    row: Row,
    next: Fn4<c_int, *mut mmsghdr, c_uint, c_int, c_int>,
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> c_int {
    // SAFETY: see the module's parent.
    unsafe {
        let mut call = Call::on_socket(row, fd, flags as u32, count as u64);
        call.announce_transfer(POLLOUT, flags);
        let ret = next(fd, messages, count, flags);
        several(&mut call, messages, ret, flags, true);
        if ret >= 0 {
            call.sender();
        }
        call.leave(ret)
    }
}

pub unsafe fn recvmmsg(
    row: Row,
    next: Fn5<c_int, *mut mmsghdr, c_uint, c_int, *mut timespec, c_int>,
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> c_int {
    // SAFETY: see the module's parent.
    unsafe {
        let mut call = Call::on_socket(row, fd, flags as u32, count as u64);
        call.announce_transfer(POLLIN, flags);
        let ret = next(fd, messages, count, flags, timeout);
        if flags & MSG_PEEK != 0 {
            call.peeked();
        }
        several(&mut call, messages, ret, flags, false);
        call.leave(ret)
    }
}
