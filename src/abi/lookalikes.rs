//! The family under names of its own, for code that wants to be explicit. Each does exactly what the
//! plain name does: it is recorded, then delegated.
//!
//! # Safety
//! As the function of the plain name, which the manual page documents. It is said here once, and not
//! of each function, because their comments are those of `include/sockshim.h`.
#![allow(clippy::missing_safety_doc)]

use super::table;
use core::ffi::{c_int, c_void};
use libc::{iovec, msghdr, nfds_t, off_t, pollfd, size_t, sockaddr, socklen_t, ssize_t};

/// Create: a new socket. As socket(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { table::socket(domain, kind, protocol) }
}

/// Create: two connected sockets. As socketpair(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_socketpair(
    domain: c_int,
    kind: c_int,
    protocol: c_int,
    pair: *mut c_int,
) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { table::socketpair(domain, kind, protocol, pair) }
}

/// Connect: the active open. As connect(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_connect(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { table::connect(fd, address, len) }
}

/// Connect: gives the socket its own address. As bind(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_bind(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { table::bind(fd, address, len) }
}

/// Connect: the socket accepts connections from now on. As listen(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_listen(fd: c_int, backlog: c_int) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { table::listen(fd, backlog) }
}

/// Connect: the passive open. As accept(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_accept(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { table::accept(fd, address, len) }
}

/// Connect: the passive open, with flags. As accept4(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_accept4(
    fd: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { table::accept4(fd, address, len, flags) }
}

/// Communicate: receives. As read(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_read(fd: c_int, buffer: *mut c_void, len: size_t) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe { table::read(fd, buffer, len) }
}

/// Communicate: receives into several buffers. As readv(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_readv(fd: c_int, iov: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe { table::readv(fd, iov, count) }
}

/// Communicate: sends. As write(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_write(fd: c_int, buffer: *const c_void, len: size_t) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe { table::write(fd, buffer, len) }
}

/// Communicate: sends from several buffers. As writev(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_writev(fd: c_int, iov: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe { table::writev(fd, iov, count) }
}

/// Communicate: sends, with flags. As send(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_send(fd: c_int, buffer: *const c_void, len: size_t, flags: c_int) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe { table::send(fd, buffer, len, flags) }
}

/// Communicate: sends to an address. As sendto(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_sendto(
    fd: c_int,
    buffer: *const c_void,
    len: size_t,
    flags: c_int,
    address: *const sockaddr,
    address_len: socklen_t,
) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe { table::sendto(fd, buffer, len, flags, address, address_len) }
}

/// Communicate: sends a message. As sendmsg(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe { table::sendmsg(fd, message, flags) }
}

/// Communicate: receives, with flags. As recv(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_recv(fd: c_int, buffer: *mut c_void, len: size_t, flags: c_int) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe { table::recv(fd, buffer, len, flags) }
}

/// Communicate: receives, and says from whom. As recvfrom(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_recvfrom(
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    flags: c_int,
    address: *mut sockaddr,
    address_len: *mut socklen_t,
) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe { table::recvfrom(fd, buffer, len, flags, address, address_len) }
}

/// Communicate: receives a message. As recvmsg(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe { table::recvmsg(fd, message, flags) }
}

/// Disconnect: ends one direction, or both. As shutdown(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_shutdown(fd: c_int, how: c_int) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { table::shutdown(fd, how) }
}

/// Disconnect: gives the descriptor back. As close(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_close(fd: c_int) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { table::close(fd) }
}

/// Copies a descriptor. As dup(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_dup(fd: c_int) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { table::dup(fd) }
}

/// Copies a descriptor to a number. As dup2(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_dup2(from: c_int, to: c_int) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { table::dup2(from, to) }
}

/// Copies a descriptor to a number, with flags. As dup3(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_dup3(from: c_int, to: c_int, flags: c_int) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { table::dup3(from, to, flags) }
}

/// Reads a socket option. As getsockopt(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { table::getsockopt(fd, level, name, value, len) }
}

/// Sets a socket option. As setsockopt(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_setsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { table::setsockopt(fd, level, name, value, len) }
}

/// Tells the socket's own address. As getsockname(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_getsockname(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { table::getsockname(fd, address, len) }
}

/// Tells the other end's address. As getpeername(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_getpeername(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { table::getpeername(fd, address, len) }
}

/// Waits until a descriptor is ready. As poll(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_poll(fds: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { table::poll(fds, count, timeout) }
}

/// Communicate: sends from a file. As sendfile(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_sendfile(
    output: c_int,
    input: c_int,
    offset: *mut off_t,
    count: size_t,
) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe { table::sendfile(output, input, offset, count) }
}
