//! Names become addresses, before there is a socket. What libc does inside (sockets to a name
//! server, to nscd, over netlink) passes around us: see docs/LIMITATIONS.md.

use crate::next::{self, Fn1, Fn2, Fn3, Fn4, Fn6, Fn7, Fn8};
use crate::recorder::call::{Call, Row};
use core::ffi::{c_char, c_int, c_void};
use libc::{AF_INET, AF_INET6, addrinfo, hostent, in_addr, in6_addr, sigevent, sockaddr, sockaddr_in};
use libc::{sockaddr_in6, socklen_t};
use sockshim_format::record::{ROLE_GIVEN, ROLE_NAME, ROLE_RESOLVED, ROLE_SERVICE};

/// Answers that one resolution tells of at most.
const MOST: usize = 16;

unsafe fn answers(call: &Call, mut answer: *const addrinfo) {
    for _ in 0..MOST {
        if answer.is_null() {
            break;
        }
        // SAFETY: libc returned this list.
        unsafe {
            call.address(ROLE_RESOLVED, (*answer).ai_addr, (*answer).ai_addrlen);
            answer = (*answer).ai_next;
        }
    }
}

pub unsafe fn getaddrinfo(
    row: Row,
    next: Fn4<*const c_char, *const c_char, *const addrinfo, *mut *mut addrinfo, c_int>,
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    answer: *mut *mut addrinfo,
) -> c_int {
    // SAFETY: see the module's parent; libc reads the strings and stores the answer on success.
    unsafe {
        let call = Call::enter(row, 0, 0);
        call.text_checked(ROLE_NAME, node);
        call.text_checked(ROLE_SERVICE, service);
        call.announce(|| true);
        let ret = next(node, service, hints, answer);
        if ret == 0 {
            answers(&call, *answer);
        }
        call.finish(ret as i64, if ret == libc::EAI_SYSTEM { next::errno() as u16 } else { 0 });
        ret
    }
}

/// netdb.h: one request of `getaddrinfo_a`, as far as it is read here.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct gaicb {
    ar_name: *const c_char,
    ar_service: *const c_char,
}

/// Asynchronous: the answers come later, in a thread of libc's.
pub unsafe fn getaddrinfo_a(
    row: Row,
    next: Fn4<c_int, *mut *mut gaicb, c_int, *mut sigevent, c_int>,
    mode: c_int,
    list: *mut *mut gaicb,
    count: c_int,
    event: *mut sigevent,
) -> c_int {
    // SAFETY: see the module's parent; libc reads the list.
    unsafe {
        let call = Call::enter(row, mode as u32, count as u32 as u64);
        let ret = next(mode, list, count, event);
        if ret == 0 && count > 0 && !(*list).is_null() {
            call.text_checked(ROLE_NAME, (**list).ar_name);
            call.text_checked(ROLE_SERVICE, (**list).ar_service);
        }
        call.finish(ret as i64, 0);
        ret
    }
}

pub unsafe fn getnameinfo(
    row: Row,
    next: Fn7<*const sockaddr, socklen_t, *mut c_char, socklen_t, *mut c_char, socklen_t, c_int, c_int>,
    address: *const sockaddr,
    len: socklen_t,
    host: *mut c_char,
    host_len: socklen_t,
    service: *mut c_char,
    service_len: socklen_t,
    flags: c_int,
) -> c_int {
    // SAFETY: see the module's parent; on success libc has read the address and written the names.
    unsafe {
        let call = Call::enter(row, flags as u32, 0);
        let ret = next(address, len, host, host_len, service, service_len, flags);
        if ret == 0 {
            call.address(ROLE_GIVEN, address, len);
            if host_len > 0 {
                call.text(ROLE_NAME, host);
            }
            if service_len > 0 {
                call.text(ROLE_SERVICE, service);
            }
        }
        call.finish(ret as i64, if ret == libc::EAI_SYSTEM { next::errno() as u16 } else { 0 });
        ret
    }
}

/// The addresses of a `hostent`.
unsafe fn host(call: &Call, host: *const hostent) {
    if host.is_null() {
        return;
    }
    // SAFETY: libc returned it: a null-terminated list of addresses of the type that it says.
    unsafe {
        let mut list = (*host).h_addr_list;
        for _ in 0..MOST {
            if list.is_null() || (*list).is_null() {
                break;
            }
            bare(call, ROLE_RESOLVED, (*list).cast(), (*host).h_addrtype);
            list = list.add(1);
        }
    }
}

pub unsafe fn gethostbyname(row: Row, next: Fn1<*const c_char, *mut hostent>, name: *const c_char) -> *mut hostent {
    // SAFETY: see the module's parent; libc reads the name.
    unsafe {
        let call = Call::enter(row, 0, 0);
        call.text_checked(ROLE_NAME, name);
        call.announce(|| true);
        let ret = next(name);
        host(&call, ret);
        call.leave_pointer(ret.cast());
        ret
    }
}

pub unsafe fn gethostbyname2(
    row: Row,
    next: Fn2<*const c_char, c_int, *mut hostent>,
    name: *const c_char,
    family: c_int,
) -> *mut hostent {
    // SAFETY: see the module's parent; libc reads the name.
    unsafe {
        let call = Call::enter(row, family as u32, 0);
        call.text_checked(ROLE_NAME, name);
        call.announce(|| true);
        let ret = next(name, family);
        host(&call, ret);
        call.leave_pointer(ret.cast());
        ret
    }
}

/// The `_r` forms return an error number, and leave the answer in `result`.
unsafe fn leave_r(call: Call, ret: c_int, result: *mut *mut hostent) -> c_int {
    // SAFETY: see the module's parent; libc stores `result` whenever it returns.
    unsafe {
        if ret == 0 && !result.is_null() {
            host(&call, *result);
        }
        call.finish(ret as i64, ret.max(0) as u16);
        ret
    }
}

pub unsafe fn gethostbyname_r(
    row: Row,
    next: Fn6<*const c_char, *mut hostent, *mut c_char, usize, *mut *mut hostent, *mut c_int, c_int>,
    name: *const c_char,
    entry: *mut hostent,
    buffer: *mut c_char,
    len: usize,
    result: *mut *mut hostent,
    error: *mut c_int,
) -> c_int {
    // SAFETY: see the module's parent; libc reads the name.
    unsafe {
        let call = Call::enter(row, 0, 0);
        call.text_checked(ROLE_NAME, name);
        call.announce(|| true);
        let ret = next(name, entry, buffer, len, result, error);
        leave_r(call, ret, result)
    }
}

pub unsafe fn gethostbyname2_r(
    row: Row,
    next: Fn7<*const c_char, c_int, *mut hostent, *mut c_char, usize, *mut *mut hostent, *mut c_int, c_int>,
    name: *const c_char,
    family: c_int,
    entry: *mut hostent,
    buffer: *mut c_char,
    len: usize,
    result: *mut *mut hostent,
    error: *mut c_int,
) -> c_int {
    // SAFETY: see the module's parent; libc reads the name.
    unsafe {
        let call = Call::enter(row, family as u32, 0);
        call.text_checked(ROLE_NAME, name);
        call.announce(|| true);
        let ret = next(name, family, entry, buffer, len, result, error);
        leave_r(call, ret, result)
    }
}

/// Tells of an address without a port: raw bytes of one family, as `gethostbyaddr` takes and
/// `hostent` holds.
unsafe fn bare(call: &Call, role: u8, address: *const c_void, family: c_int) {
    // SAFETY: libc reads or wrote as many bytes; zeroed bytes are a valid address.
    unsafe {
        match family {
            AF_INET => {
                let mut full: sockaddr_in = core::mem::zeroed();
                full.sin_family = AF_INET as u16;
                full.sin_addr = address.cast::<in_addr>().read_unaligned();
                call.address(role, (&raw const full).cast(), size_of::<sockaddr_in>() as u32);
            }
            AF_INET6 => {
                let mut full: sockaddr_in6 = core::mem::zeroed();
                full.sin6_family = AF_INET6 as u16;
                full.sin6_addr = address.cast::<in6_addr>().read_unaligned();
                call.address(role, (&raw const full).cast(), size_of::<sockaddr_in6>() as u32);
            }
            _ => {}
        }
    }
}

pub unsafe fn gethostbyaddr(
    row: Row,
    next: Fn3<*const c_void, socklen_t, c_int, *mut hostent>,
    address: *const c_void,
    len: socklen_t,
    family: c_int,
) -> *mut hostent {
    // SAFETY: see the module's parent; libc reads the address.
    unsafe {
        let call = Call::enter(row, family as u32, 0);
        call.announce(|| true);
        let ret = next(address, len, family);
        if !ret.is_null() {
            bare(&call, ROLE_GIVEN, address, family);
            call.text(ROLE_NAME, (*ret).h_name);
        }
        call.leave_pointer(ret.cast());
        ret
    }
}

pub unsafe fn gethostbyaddr_r(
    row: Row,
    next: Fn8<*const c_void, socklen_t, c_int, *mut hostent, *mut c_char, usize, *mut *mut hostent, *mut c_int, c_int>,
    address: *const c_void,
    len: socklen_t,
    family: c_int,
    entry: *mut hostent,
    buffer: *mut c_char,
    buffer_len: usize,
    result: *mut *mut hostent,
    error: *mut c_int,
) -> c_int {
    // SAFETY: see the module's parent; libc reads the address and stores the result.
    unsafe {
        let call = Call::enter(row, family as u32, 0);
        call.announce(|| true);
        let ret = next(address, len, family, entry, buffer, buffer_len, result, error);
        if ret == 0 && !result.is_null() && !(*result).is_null() {
            bare(&call, ROLE_GIVEN, address, family);
            call.text(ROLE_NAME, (**result).h_name);
        }
        call.finish(ret as i64, ret.max(0) as u16);
        ret
    }
}

/// Asks the kernel over a netlink socket, inside libc.
pub unsafe fn getifaddrs(row: Row, next: Fn1<*mut *mut libc::ifaddrs, c_int>, list: *mut *mut libc::ifaddrs) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let call = Call::enter(row, 0, 0);
        let ret = next(list);
        call.leave(ret)
    }
}
