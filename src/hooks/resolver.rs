//! Resolve, by the functions of the resolver itself: one question to a name server, one answer, in
//! its own format. libc's sockets to the server pass around us.

use crate::next::{Fn4, Fn5, Fn6, Fn7};
use crate::recorder::call::{Call, Row};
use core::ffi::{c_char, c_int, c_uchar, c_void};
use sockshim_format::record::ROLE_NAME;

/// `res_query` and `res_search`.
pub unsafe fn res_query(
    row: Row,
    next: Fn5<*const c_char, c_int, c_int, *mut c_uchar, c_int, c_int>,
    name: *const c_char,
    class: c_int,
    kind: c_int,
    answer: *mut c_uchar,
    len: c_int,
) -> c_int {
    // SAFETY: see the module's parent; libc reads the name.
    unsafe {
        let call = Call::enter(row, kind as u32, class as u32 as u64);
        call.text_checked(ROLE_NAME, name);
        call.announce(|| true);
        let ret = next(name, class, kind, answer, len);
        call.leave(ret)
    }
}

/// `res_nquery` and `res_nsearch`.
pub unsafe fn res_nquery(
    row: Row,
    next: Fn6<*mut c_void, *const c_char, c_int, c_int, *mut c_uchar, c_int, c_int>,
    state: *mut c_void,
    name: *const c_char,
    class: c_int,
    kind: c_int,
    answer: *mut c_uchar,
    len: c_int,
) -> c_int {
    // SAFETY: see the module's parent; libc reads the name.
    unsafe {
        let call = Call::enter(row, kind as u32, class as u32 as u64);
        call.text_checked(ROLE_NAME, name);
        call.announce(|| true);
        let ret = next(state, name, class, kind, answer, len);
        call.leave(ret)
    }
}

pub unsafe fn res_querydomain(
    row: Row,
    next: Fn6<*const c_char, *const c_char, c_int, c_int, *mut c_uchar, c_int, c_int>,
    name: *const c_char,
    domain: *const c_char,
    class: c_int,
    kind: c_int,
    answer: *mut c_uchar,
    len: c_int,
) -> c_int {
    // SAFETY: see the module's parent; libc reads the name.
    unsafe {
        let call = Call::enter(row, kind as u32, class as u32 as u64);
        call.text_checked(ROLE_NAME, name);
        call.announce(|| true);
        let ret = next(name, domain, class, kind, answer, len);
        call.leave(ret)
    }
}

pub unsafe fn res_nquerydomain(
    row: Row,
    next: Fn7<*mut c_void, *const c_char, *const c_char, c_int, c_int, *mut c_uchar, c_int, c_int>,
    state: *mut c_void,
    name: *const c_char,
    domain: *const c_char,
    class: c_int,
    kind: c_int,
    answer: *mut c_uchar,
    len: c_int,
) -> c_int {
    // SAFETY: see the module's parent; libc reads the name.
    unsafe {
        let call = Call::enter(row, kind as u32, class as u32 as u64);
        call.text_checked(ROLE_NAME, name);
        call.announce(|| true);
        let ret = next(state, name, domain, class, kind, answer, len);
        call.leave(ret)
    }
}

pub unsafe fn res_send(
    row: Row,
    next: Fn4<*const c_uchar, c_int, *mut c_uchar, c_int, c_int>,
    message: *const c_uchar,
    len: c_int,
    answer: *mut c_uchar,
    answer_len: c_int,
) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let call = Call::enter(row, 0, len as u32 as u64);
        call.announce(|| true);
        let ret = next(message, len, answer, answer_len);
        call.leave(ret)
    }
}

pub unsafe fn res_nsend(
    row: Row,
    next: Fn5<*mut c_void, *const c_uchar, c_int, *mut c_uchar, c_int, c_int>,
    state: *mut c_void,
    message: *const c_uchar,
    len: c_int,
    answer: *mut c_uchar,
    answer_len: c_int,
) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let call = Call::enter(row, 0, len as u32 as u64);
        call.announce(|| true);
        let ret = next(state, message, len, answer, answer_len);
        call.leave(ret)
    }
}
