//! Connect, the active open.

use crate::next::Fn3;
use crate::recorder::call::{Call, Row};
use crate::recorder::may_ask;
use crate::sys;
use core::ffi::c_int;
use libc::{sockaddr, socklen_t};
use sockshim_format::record::ROLE_GIVEN;

/// Records the attempt before it is made: a connect that hangs, or is killed, is on record, and to whom.
pub unsafe fn connect(
    row: Row,
    next: Fn3<c_int, *const sockaddr, socklen_t, c_int>,
    fd: c_int,
    address: *const sockaddr,
    len: socklen_t,
) -> c_int {
    // SAFETY: see the module's parent; the address is read checked before, and plainly only once
    // the kernel has read it.
    unsafe {
        let call = Call::on_socket(row, fd, len, 0);
        let told = call.address_checked(ROLE_GIVEN, address, len);
        call.announce(|| !sys::nonblocking(fd));
        let ret = next(fd, address, len);
        let begun = ret == 0 || call.in_progress();
        if begun && !told {
            call.address(ROLE_GIVEN, address, len);
        }
        if ret == 0 {
            // What has not been told may not be there: a plan may have answered in the kernel's place.
            call.connected((told || !may_ask()).then_some(address), len);
        }
        if begun {
            call.local_address(fd);
        }
        call.leave(ret)
    }
}
