//! Create: a socket comes into being and gets a descriptor.

use crate::next::{Fn3, Fn4};
use crate::recorder::call::{Call, Row};
use crate::recorder::descriptors;
use core::ffi::c_int;
use sockshim_format::record::{Fd, KIND_FDS, ROLE_MADE};

/// Type and protocol in one number, as FORMAT.md says for both functions.
fn packed(kind: c_int, protocol: c_int) -> u64 {
    kind as u32 as u64 | (protocol as u32 as u64) << 32
}

pub unsafe fn socket(
    row: Row,
    next: Fn3<c_int, c_int, c_int, c_int>,
    domain: c_int,
    kind: c_int,
    protocol: c_int,
) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        descriptors::about_to_tell();
        let mut call = Call::enter(row, domain as u32, packed(kind, protocol));
        let ret = next(domain, kind, protocol);
        if ret >= 0 {
            let identity = descriptors::created(ret, domain, kind, protocol);
            call.made(identity);
            call.tell(ret, identity, Some((domain, kind, protocol)));
        }
        call.leave(ret)
    }
}

pub unsafe fn socketpair(
    row: Row,
    next: Fn4<c_int, c_int, c_int, *mut c_int, c_int>,
    domain: c_int,
    kind: c_int,
    protocol: c_int,
    pair: *mut c_int,
) -> c_int {
    // SAFETY: see the module's parent; on success the kernel has stored two descriptors.
    unsafe {
        descriptors::about_to_tell();
        let mut call = Call::enter(row, domain as u32, packed(kind, protocol));
        let ret = next(domain, kind, protocol, pair);
        if ret == 0 {
            let ends = [*pair, *pair.add(1)].map(|fd| (fd, descriptors::created(fd, domain, kind, protocol)));
            let [one, other] = ends.map(|(fd, end)| Fd { fd, reserved: 0, socket: end.socket }.to_bytes());
            call.extend_by(KIND_FDS, ROLE_MADE, &[&one, &other]);
            for (fd, identity) in ends {
                call.tell(fd, identity, Some((domain, kind, protocol)));
                call.made(identity);
            }
        }
        call.leave(ret)
    }
}
