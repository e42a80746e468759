//! What belongs to a call besides its own record: addresses, payload, what a descriptor names.
//!
//! None of these fails: what finds no room is counted.
//!
//! # Safety
//! As in [`super::call`]. Pointers come from the traced program and were proved valid by the call
//! that has just succeeded, unless the function's name says `checked`.

use super::call::{Call, Preview};
use super::descriptors::{self, Identity};
use super::thread::Thread;
use super::{asks_edges, chunk, may_ask, peers, plain, process, verdict};
use crate::sys::{self, End};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::MaybeUninit;
use core::sync::atomic::Ordering::Relaxed;
use libc::{iovec, sockaddr, socklen_t};
use sockshim_format::record::*;

#[allow(clippy::missing_safety_doc)]
impl Call {
    /// An extension with this body.
    #[inline(always)]
    pub unsafe fn extend(&self, kind: u8, role: u8, body: &[u8]) {
        // SAFETY: the caller's promise.
        unsafe { chunk::extension(self.thread, kind, self.seq, role, body) }
    }

    /// An extension whose body is `parts` in a row.
    pub unsafe fn extend_by(&self, kind: u8, role: u8, parts: &[&[u8]]) {
        // SAFETY: the caller's promise.
        unsafe { chunk::extension_by(self.thread, kind, self.seq, role, 0, parts) }
    }

    /// An address that the call has proved valid, unless a plan has answered in the kernel's place: where there may be one it is
    /// read checked.
    #[inline(never)]
    pub unsafe fn address(&self, role: u8, address: *const sockaddr, len: socklen_t) {
        if verdict::PLANNED.load(Relaxed) && may_ask() {
            // SAFETY: as the function's.
            unsafe { self.address_checked(role, address, len) };
        } else if !address.is_null() && len > 0 {
            // SAFETY: the caller's promise: `len` bytes can be read there.
            unsafe { self.extend(KIND_ADDRESS, role, bytes(address.cast(), (len as usize).min(128))) };
        }
    }

    /// An address that the call has just returned, with the length that the kernel stored. The
    /// length may exceed the program's buffer, which may even have no room at all: copied checked.
    #[inline(never)]
    pub unsafe fn address_returned(&self, role: u8, address: *const sockaddr, len: *const socklen_t) {
        if !address.is_null() && !len.is_null() {
            // SAFETY: the kernel has just stored the length.
            unsafe { self.address_checked(role, address, (*len).min(128)) };
        }
    }

    /// Bytes that may end sooner than their length says.
    #[inline(never)]
    pub unsafe fn bytes_checked(&self, kind: u8, from: *const c_void, len: usize) {
        // SAFETY: as the function's.
        unsafe { self.checked(kind, 0, from, len.min(48)) };
    }

    /// At most 128 bytes that may not be there. Returns whether any were.
    #[inline(always)]
    unsafe fn checked(&self, kind: u8, role: u8, from: *const c_void, len: usize) -> bool {
        if from.is_null() || len == 0 || !may_ask() || self.is_left_out() {
            return false;
        }
        if len <= chunk::ONE_SLOT && sys::memory::is_near(from as usize, len) {
            // SAFETY: they are near, and so there.
            unsafe { self.extend(kind, role, bytes(from, len)) };
            return true;
        }
        // SAFETY: as the function's.
        unsafe { self.checked_by_copy(kind, role, from, len) }
    }

    #[inline(never)]
    unsafe fn checked_by_copy(&self, kind: u8, role: u8, from: *const c_void, len: usize) -> bool {
        let mut copy = [0u8; 128];
        let got = copy.get_mut(..len).map_or(0, |to| sys::memory::copy_checked(from, to));
        if got > 0 {
            // SAFETY: our own bytes.
            unsafe { self.extend(kind, role, copy.get(..got).unwrap_or(&[])) };
        }
        got > 0
    }

    /// An address that is needed before the kernel has judged it, by a copy that cannot fault.
    /// Returns false if it could not be had.
    #[inline(never)]
    pub unsafe fn address_checked(&self, role: u8, address: *const sockaddr, len: socklen_t) -> bool {
        // SAFETY: as the function's.
        unsafe { self.checked(KIND_ADDRESS, role, address.cast(), (len as usize).min(128)) }
    }

    /// One end of a socket, as the kernel says now.
    #[inline(never)]
    pub unsafe fn address_of(&self, role: u8, fd: c_int, end: End) {
        if !self.is_left_out()
            && let Some(address) = sys::socket_address(fd, end, &mut MaybeUninit::uninit())
        {
            // SAFETY: our own bytes.
            unsafe { self.extend(KIND_ADDRESS, role, address) };
        }
    }

    /// The socket's own address, behind a call that gives it one.
    #[inline(never)]
    pub unsafe fn local_address(&self, fd: c_int) {
        if !asks_edges() || self.is_left_out() {
            return;
        }
        let mut room = MaybeUninit::uninit();
        let Some(address) = sys::socket_address(fd, End::Local, &mut room) else { return };
        // The port, for both families. A datagram that was lost on purpose has given it none.
        if address.get(2..4).is_some_and(|port| port != [0; 2]) {
            descriptors::named(fd, self.identity);
        }
        // SAFETY: our own bytes.
        unsafe { self.extend(KIND_ADDRESS, ROLE_LOCAL, address) };
    }

    /// Likewise, behind a datagram that was sent: the first is such a call, if there was none before.
    #[inline(always)]
    pub unsafe fn sender(&self) {
        if self.identity.is_nameless() {
            // SAFETY: the caller's promise.
            unsafe { self.first_sent() };
        }
    }

    #[cold]
    #[inline(never)]
    unsafe fn first_sent(self) {
        // SAFETY: the caller's promise.
        unsafe { self.local_address(self.fd) };
    }

    /// A string of the traced program that libc is going to read, or has read, anyway.
    #[inline(never)]
    pub unsafe fn text(&self, role: u8, text: *const c_char) {
        if !text.is_null() {
            // SAFETY: libc reads it to its zero byte itself.
            let text = unsafe { CStr::from_ptr(text) }.to_bytes();
            // SAFETY: as above.
            unsafe { self.extend(KIND_TEXT, role, text.get(..text.len().min(255)).unwrap_or(&[])) };
        }
    }

    /// A string that only the kernel reads, before it has.
    #[inline(never)]
    pub unsafe fn text_checked(&self, role: u8, text: *const c_char) {
        let mut copy = [0u8; 256];
        if text.is_null() || !may_ask() || self.is_left_out() {
            return;
        }
        // A page at a time could be read past the string's end; the kernel copies what there is.
        let got = sys::memory::copy_checked(text.cast(), &mut copy);
        let len = copy.iter().take(got).position(|b| *b == 0).unwrap_or(got);
        // SAFETY: our own bytes.
        unsafe { self.extend(KIND_TEXT, role, copy.get(..len).unwrap_or(&[])) };
    }

    /// The first `snaplen` bytes of what was transferred, out of one buffer.
    #[inline(always)]
    pub unsafe fn payload(&mut self, role: u8, buffer: *const c_void, len: usize) {
        let keep = len.min(plain::snaplen());
        if keep > LONG {
            // SAFETY: the caller's promise: `len` bytes were transferred there.
            unsafe { long_preview(self.thread, self.seq, role, buffer, keep) };
        } else if !buffer.is_null() {
            self.preview = Preview { from: buffer.cast(), len: keep, role: role.into() };
        }
    }

    /// The first `snaplen` bytes of what was transferred, out of an iovec that the kernel has read.
    #[inline(always)]
    pub unsafe fn payload_iov(&mut self, role: u8, iov: *const iovec, count: usize, len: usize) {
        let keep = len.min(plain::snaplen());
        if keep > 0 && count > 0 && !iov.is_null() {
            // SAFETY: the caller's promise: the kernel has just read `count` entries, and transferred bytes by them.
            unsafe {
                let first = *iov;
                if keep <= LONG && first.iov_len >= keep && !first.iov_base.is_null() {
                    self.preview = Preview { from: first.iov_base.cast(), len: keep, role: role.into() };
                } else {
                    pieces(self.thread, self.seq, role, core::slice::from_raw_parts(iov, count.min(1024)), keep);
                }
            }
        }
    }

    /// A descriptor that the call made, closed or passed.
    #[inline(never)]
    pub unsafe fn descriptor(&self, role: u8, fd: c_int, socket: u64) {
        let body = Fd { fd, reserved: 0, socket }.to_bytes();
        // SAFETY: our own bytes.
        unsafe { self.extend(KIND_FDS, role, &body) };
    }

    /// What another descriptor of the call names.
    pub fn lookup(&self, fd: c_int) -> Option<Identity> {
        descriptors::lookup(fd, self.is_left_out())
    }

    /// A descriptor that the call makes or passes, and what it names, if this call is the first to see it.
    pub unsafe fn names(&self, role: u8, fd: c_int, identity: Identity) {
        // SAFETY: the caller's promise.
        unsafe {
            self.descriptor(role, fd, identity.socket);
            if identity.is_fresh() {
                self.tell_found(fd, identity);
            }
        }
    }

    /// What a socket is, with its own address if it has one yet.
    #[inline(never)]
    pub unsafe fn tell(&self, fd: c_int, identity: Identity, made_with: Option<(c_int, c_int, c_int)>) {
        if self.is_left_out() {
            return descriptors::left_out(fd, identity);
        }
        let socket = describe(fd, identity, made_with);
        // SAFETY: our own bytes.
        unsafe { self.extend(KIND_SOCKET, 0, &socket.to_bytes()) };
    }

    /// What a socket is that was there before we saw it, and what had passed on it by then.
    #[cold]
    #[inline(never)]
    pub unsafe fn tell_found(&self, fd: c_int, identity: Identity) {
        // SAFETY: our own bytes.
        unsafe {
            self.tell(fd, identity, None);
            self.tcp_info_found(fd, identity);
        }
    }

    /// A socket that was inherited, or made inside libc.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn tell_inherited(self) {
        let fd = self.fd;
        // SAFETY: our own storage.
        unsafe {
            self.tell_found(fd, self.identity);
            if asks_edges() {
                self.address_of(ROLE_LOCAL, fd, End::Local);
                self.address_of(ROLE_PEER, fd, End::Peer);
            }
        }
    }

    /// For the text log, which has no records to look into: who is at the other end.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn tell_peer(self) {
        if self.identity.socket != 0
            && may_ask()
            && let Some(address) = peers::peer_of(self.identity.socket, self.fd, &mut MaybeUninit::uninit())
        {
            // SAFETY: our own bytes.
            unsafe { self.extend(KIND_ADDRESS, ROLE_PEER, address) };
        }
    }
}

/// What the kernel says of a socket, for its first record.
fn describe(fd: c_int, identity: Identity, made_with: Option<(c_int, c_int, c_int)>) -> Socket {
    let ask = |name| if may_ask() { sys::getsockopt_int(fd, libc::SOL_SOCKET, name).unwrap_or(0) } else { 0 };
    let (domain, kind, protocol) =
        made_with.unwrap_or_else(|| (ask(libc::SO_DOMAIN), ask(libc::SO_TYPE), ask(libc::SO_PROTOCOL)));
    let inode = if identity.is_fresh() { sys::fstat(fd).map_or(0, |s| s.st_ino) } else { 0 };
    let net_namespace = process::net_namespace();
    let socket = identity.socket;
    Socket { socket, inode, fd, domain, kind: kind & 0xf, protocol, net_namespace, reserved: 0 }
}

/// What is kept of a payload at once; of more, each part is a record of its own.
const LONG: usize = 32;

/// # Safety
/// As [`Call::payload`].
#[cold]
#[inline(never)]
unsafe fn long_preview(thread: *mut Thread, seq: u32, role: u8, from: *const c_void, keep: usize) {
    if !from.is_null() {
        // SAFETY: the caller's promise.
        unsafe { pieces(thread, seq, role, &[iovec { iov_base: from.cast_mut(), iov_len: keep }], keep) };
    }
}

/// Writes payload records until `keep` bytes are kept.
#[inline(never)]
unsafe fn pieces(thread: *mut Thread, seq: u32, role: u8, iov: &[iovec], keep: usize) {
    let (mut left, mut part) = (keep, 0u8);
    let (mut record, mut room, mut filled) = ([&[][..]; 16], MAX_BODY, 0);
    let mut flush = |record: &[&[u8]]| {
        // SAFETY: the slices below were made from transferred bytes.
        unsafe { chunk::extension_by(thread, KIND_PAYLOAD, seq, role, part, record) };
        part = part.wrapping_add(1);
    };
    for piece in iov.iter().filter(|piece| !piece.iov_base.is_null()) {
        let (mut at, mut len) = (piece.iov_base.cast_const().cast::<u8>(), piece.iov_len.min(left));
        left -= len;
        while len > 0 {
            let n = len.min(room);
            // SAFETY: the kernel has transferred these bytes.
            let body = unsafe { core::slice::from_raw_parts(at, n) };
            if let Some(place) = record.get_mut(filled) {
                *place = body;
            }
            (filled, room, len) = (filled + 1, room - n, len - n);
            // SAFETY: still inside the piece.
            at = unsafe { at.add(n) };
            if room == 0 || filled == record.len() {
                flush(record.get(..filled).unwrap_or(&[]));
                (filled, room) = (0, MAX_BODY);
            }
        }
    }
    if filled > 0 {
        flush(record.get(..filled).unwrap_or(&[]));
    }
}

/// Memory of the traced program as bytes.
///
/// # Safety
/// `len` bytes can be read at `from`, until the call is left.
pub unsafe fn bytes<'a>(from: *const c_void, len: usize) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts(from.cast(), len) }
}
