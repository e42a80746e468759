//! Connect, the passive open: bind, listen, accept.

use crate::next::{Fn2, Fn3, Fn4};
use crate::recorder::call::{Call, Row};
use crate::recorder::{asks_edges, descriptors};
use crate::sys::{self, End};
use core::ffi::c_int;
use libc::{POLLIN, sockaddr, sockaddr_in, socklen_t};
use sockshim_format::record::{ROLE_GIVEN, ROLE_LOCAL, ROLE_MADE, ROLE_PEER, ROLE_RETURNED};

pub unsafe fn bind(
    row: Row,
    next: Fn3<c_int, *const sockaddr, socklen_t, c_int>,
    fd: c_int,
    address: *const sockaddr,
    len: socklen_t,
) -> c_int {
    // SAFETY: see the module's parent; as in `connect`.
    unsafe {
        let call = Call::on_socket(row, fd, len, 0);
        let told = call.address_checked(ROLE_GIVEN, address, len);
        let ret = next(fd, address, len);
        if ret == 0 {
            if !told {
                call.address(ROLE_GIVEN, address, len);
            }
            // Port 0 asks the kernel to choose: what it chose is the address that matters.
            call.local_address(fd);
        }
        call.leave(ret)
    }
}

pub unsafe fn bindresvport(
    row: Row,
    next: Fn2<c_int, *mut sockaddr_in, c_int>,
    fd: c_int,
    address: *mut sockaddr_in,
) -> c_int {
    // SAFETY: see the module's parent.
    unsafe {
        let call = Call::on_socket(row, fd, 0, 0);
        let ret = next(fd, address);
        if ret == 0 {
            call.local_address(fd);
        }
        call.leave(ret)
    }
}

pub unsafe fn listen(row: Row, next: Fn2<c_int, c_int, c_int>, fd: c_int, backlog: c_int) -> c_int {
    // SAFETY: see the module's parent.
    unsafe {
        let call = Call::on_socket(row, fd, backlog as u32, 0);
        let ret = next(fd, backlog);
        // A listener that was never bound got its port just now.
        if ret == 0 {
            call.local_address(fd);
        }
        call.leave(ret)
    }
}

pub unsafe fn accept(
    row: Row,
    next: Fn3<c_int, *mut sockaddr, *mut socklen_t, c_int>,
    fd: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let call = Call::on_socket(row, fd, 0, 0);
        call.announce_transfer(POLLIN, 0);
        let room = room(address, len);
        let ret = next(fd, address, len);
        accepted(&call, ret, address, len, room);
        call.leave(ret)
    }
}

pub unsafe fn accept4(
    row: Row,
    next: Fn4<c_int, *mut sockaddr, *mut socklen_t, c_int, c_int>,
    fd: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
    flags: c_int,
) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let call = Call::on_socket(row, fd, flags as u32, 0);
        call.announce_transfer(POLLIN, 0);
        let room = room(address, len);
        let ret = next(fd, address, len, flags);
        accepted(&call, ret, address, len, room);
        call.leave(ret)
    }
}

/// How long an address the program has room for; 0 where that cannot be known without asking.
unsafe fn room(address: *const sockaddr, len: *const socklen_t) -> socklen_t {
    if address.is_null() || !sys::memory::is_near(len as usize, size_of::<socklen_t>()) {
        return 0;
    }
    // SAFETY: it is near, and so there.
    unsafe { len.read_unaligned() }
}

/// Tells of a connection that was accepted. `room` is what [`room`] said before.
unsafe fn accepted(call: &Call, fd: c_int, address: *const sockaddr, len: *const socklen_t, room: socklen_t) {
    if fd < 0 {
        return;
    }
    // SAFETY: the call has succeeded, so the kernel has stored the address if it was asked for one.
    unsafe {
        let identity = descriptors::accepted(fd, call.identity);
        call.descriptor(ROLE_MADE, fd, identity.socket);
        call.tell(fd, identity, descriptors::made_with(identity));
        if asks_edges() {
            // The kernel's word, where the program's buffer may have been too short.
            if room > 0 && len.read_unaligned() <= room {
                call.address(ROLE_RETURNED, address, len.read_unaligned());
            } else {
                call.address_of(if address.is_null() { ROLE_PEER } else { ROLE_RETURNED }, fd, End::Peer);
            }
            call.address_of(ROLE_LOCAL, fd, End::Local);
        } else {
            call.address_returned(ROLE_RETURNED, address, len);
        }
    }
}
