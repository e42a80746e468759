//! What belongs to a call besides its own record: addresses, payload, what a descriptor names.
//!
//! None of these fails: what finds no room is counted.
//!
//! # Safety
//! As in [`super::call`]. Pointers come from the traced program and were proved valid by the call
//! that has just succeeded, unless the function's name says `checked`.

use super::call::Call;
use super::descriptors::{self, Identity};
use super::{asks_edges, chunk, clock, log, may_ask, region, thread};
use crate::sys::{self, End};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::MaybeUninit;
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

    /// An address that the call has proved valid.
    #[inline(never)]
    pub unsafe fn address(&self, role: u8, address: *const sockaddr, len: socklen_t) {
        if !address.is_null() && len > 0 {
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
        if len <= chunk::ONE_SLOT && sys::is_near(from as usize, len) {
            // SAFETY: they lie in the page of our own frame.
            unsafe { self.extend(kind, role, bytes(from, len)) };
            return true;
        }
        // SAFETY: as the function's.
        unsafe { self.checked_by_copy(kind, role, from, len) }
    }

    #[inline(never)]
    unsafe fn checked_by_copy(&self, kind: u8, role: u8, from: *const c_void, len: usize) -> bool {
        let mut copy = [0u8; 128];
        let got = copy.get_mut(..len).map_or(0, |to| sys::copy_checked(from, to));
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
        let got = sys::copy_checked(text.cast(), &mut copy);
        let len = copy.iter().take(got).position(|b| *b == 0).unwrap_or(got);
        // SAFETY: our own bytes.
        unsafe { self.extend(KIND_TEXT, role, copy.get(..len).unwrap_or(&[])) };
    }

    /// The first `snaplen` bytes of what was transferred, out of one buffer.
    #[inline(always)]
    pub unsafe fn payload(&self, role: u8, buffer: *const c_void, len: usize) {
        let keep = len.min(log::snaplen());
        if keep > 0 && !buffer.is_null() {
            // SAFETY: the caller's promise: `len` bytes were transferred there.
            unsafe {
                if keep <= 32 {
                    chunk::one_slot(self.thread, KIND_PAYLOAD, self.seq, role, buffer.cast(), keep);
                } else {
                    self.pieces(role, &[iovec { iov_base: buffer.cast_mut(), iov_len: keep }], keep);
                }
            }
        }
    }

    /// The first `snaplen` bytes of what was transferred, out of an iovec that the kernel has read.
    #[inline(always)]
    pub unsafe fn payload_iov(&self, role: u8, iov: *const iovec, count: usize, len: usize) {
        let keep = len.min(log::snaplen());
        if keep > 0 && count > 0 && !iov.is_null() {
            // SAFETY: the caller's promise: the kernel has just read `count` entries, and transferred bytes by them.
            unsafe {
                let first = *iov;
                if keep <= 32 && first.iov_len >= keep && !first.iov_base.is_null() {
                    chunk::one_slot(self.thread, KIND_PAYLOAD, self.seq, role, first.iov_base.cast(), keep);
                } else {
                    self.pieces(role, core::slice::from_raw_parts(iov, count.min(1024)), keep);
                }
            }
        }
    }

    /// Writes payload records until `keep` bytes are kept.
    #[inline(never)]
    unsafe fn pieces(self, role: u8, iov: &[iovec], keep: usize) {
        let (mut left, mut part) = (keep, 0u8);
        let (mut record, mut room, mut filled) = ([&[][..]; 16], MAX_BODY, 0);
        let mut flush = |record: &[&[u8]]| {
            // SAFETY: the slices below were made from transferred bytes.
            unsafe { chunk::extension_by(self.thread, KIND_PAYLOAD, self.seq, role, part, record) };
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
        let socket = descriptors::describe(fd, identity, made_with);
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
            // The queue first: what arrives in between then counts as read before, never as unseen.
            if asks_tcp(identity) {
                let unread_bytes = unread_bytes(fd);
                self.tcp_state(fd, ROLE_FOUND, || unread_bytes);
            }
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

    /// For the text log, which keeps no addresses: who is at the other end now.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn tell_peer(self) {
        if self.identity.socket != 0 && may_ask() {
            // SAFETY: our own storage.
            unsafe { self.address_of(ROLE_PEER, self.fd, End::Peer) };
        }
    }

    /// TCP_INFO and the bytes still in the socket's queues, just before a call that ends it.
    #[inline(never)]
    pub unsafe fn tcp_info(&self, fd: c_int, identity: Identity) {
        if asks_tcp(identity) && !self.is_left_out() {
            // SAFETY: our own bytes. The queue last: what arrives in between counts as unread.
            unsafe { self.tcp_state(fd, 0, || unread_bytes(fd)) };
        }
    }

    unsafe fn tcp_state(&self, fd: c_int, role: u8, unread_bytes: impl FnOnce() -> i32) {
        with_tcp_state(fd, unread_bytes, |told| {
            // SAFETY: our own bytes.
            unsafe { self.extend(KIND_TCP_INFO, role, told) };
        });
    }
}

/// Hands on a TcpState and a `struct tcp_info` behind it, as bytes, if the kernel has them.
fn with_tcp_state(fd: c_int, unread_bytes: impl FnOnce() -> i32, tell: impl FnOnce(&[u8])) {
    #[repr(C)]
    struct Told {
        state: [u8; TcpState::SIZE],
        info: [u64; 40],
    }
    let mut told = Told { state: [0; _], info: [0; 40] };
    let Ok(len) = sys::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, &mut told.info) else { return };
    let Queues { sent_empty, received_empty } = Queues::of(&told.info, len);
    // SIOCOUTQ (tcp(7)); EINVAL on a listener.
    let unsent_bytes = if sent_empty { 0 } else { sys::ioctl_int(fd, 0x5411).unwrap_or(-1) };
    let unread_bytes = if received_empty { 0 } else { unread_bytes() };
    told.state = TcpState { unread_bytes, unsent_bytes }.to_bytes();
    let len = TcpState::SIZE + len.min(size_of_val(&told.info));
    // SAFETY: the kernel wrote `len` bytes of the `info` that follows the state without a gap.
    tell(unsafe { bytes((&raw const told).cast(), len) });
}

/// What TCP_INFO alone says of a socket's queues, so that they need not be asked about: a system call each.
struct Queues {
    sent_empty: bool,
    received_empty: bool,
}

impl Queues {
    /// `info` is a `struct tcp_info` (linux/tcp.h) of which the kernel wrote `len` bytes.
    fn of(info: &[u64; 40], len: usize) -> Queues {
        let [state, _, _, unacked, ..] = *info;
        let (received, not_sent, segments_sent) = (info[16], info[18] as u32, info[19] >> 32);
        // TCP_ESTABLISHED, TCP_CLOSE_WAIT. In other states, that of a listener and of a connection that was
        // reset among them, these fields mean something else.
        let open = matches!(state as u8, 1 | 8);
        // TCP_CLOSE, where a reset leaves a connection. That there was one is known by what it received.
        let reset = state as u8 == 7 && received != 0;
        Queues {
            // Segments that are not acknowledged, and bytes that no segment has taken yet; segments with data
            // that were ever sent (Linux 4.6).
            sent_empty: not_sent == 0
                && (open && len >= 148 && unacked as u32 == 0 || reset && len >= 160 && segments_sent == 0),
            // Bytes that ever came (Linux 4.1).
            received_empty: open && len >= 136 && received == 0,
        }
    }
}

/// Tells of the TCP sockets that the process, which is about to end, has not closed. The kernel will.
///
/// # Safety
/// `recorder::gate` has just said yes.
pub unsafe fn left() {
    // A child that a large server forks and that ends at once has copies of all that is open there.
    const MOST: usize = 64;
    if !asks_edges() || region::private() {
        return;
    }
    // The number may name another by now, if it was closed behind our back.
    let still = |(fd, socket): &(c_int, u64)| sys::cookie(*fd) == Some(*socket);
    for (fd, socket) in descriptors::tcp_sockets().filter(still).take(MOST) {
        let left = Left { ticks: clock::now(), socket, fd, reserved: 0 }.to_bytes();
        with_tcp_state(
            fd,
            || unread_bytes(fd),
            |told| {
                // SAFETY: the caller's promise; our own bytes.
                unsafe { chunk::extension_by(thread::current(), KIND_LEFT, 0, 0, 0, &[&left, told]) };
            },
        );
    }
}

fn asks_tcp(identity: Identity) -> bool {
    identity.flags & descriptors::TCP != 0 && identity.flags & FLAG_LOCAL_IDENTITY as u32 == 0 && asks_edges()
}

/// SIOCINQ (tcp(7)); EINVAL on a listener.
fn unread_bytes(fd: c_int) -> i32 {
    sys::ioctl_int(fd, 0x541b).unwrap_or(-1)
}

/// Memory of the traced program as bytes.
///
/// # Safety
/// `len` bytes can be read at `from`, until the call is left.
pub unsafe fn bytes<'a>(from: *const c_void, len: usize) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts(from.cast(), len) }
}
