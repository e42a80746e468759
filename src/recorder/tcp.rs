//! What the kernel says of a TCP socket that is about to end, or was there before us: TCP_INFO, and what its queues hold.
//!
//! # Safety
//! As in [`super::call`].

use super::call::Call;
use super::descriptors::{self, Identity};
use super::extend::bytes;
use super::{asks_edges, chunk, clock, peers, region, taken, thread};
use crate::sys;
use core::ffi::c_int;
use libc::{sockaddr, socklen_t};
use sockshim_format::record::*;

#[allow(clippy::missing_safety_doc)]
impl Call {
    /// So many bytes that came through the socket are the program's now. (Whether it is TCP's is not asked: what would tell has
    /// to be kept over the call.)
    #[inline(always)]
    pub fn took(&self, bytes: isize) {
        taken::add(self.fd, bytes as usize);
    }

    /// A socket was connected, to an address that can be read, or to an unknown one. If it was none (AF_UNSPEC, connect(2)), that
    /// has ended its stream, and another may begin on it.
    pub unsafe fn connected(&self, address: Option<*const sockaddr>, len: socklen_t) {
        // SAFETY: the caller's promise, and that the kernel has found the family in so many bytes.
        let family = |address: *const sockaddr| unsafe { address.cast::<libc::sa_family_t>().read_unaligned() };
        let somebody = address.is_some_and(|a| !a.is_null() && len >= 2 && family(a) != libc::AF_UNSPEC as u16);
        if !somebody {
            taken::begin_all();
        }
        peers::forget(self.identity.socket);
    }

    /// TCP_INFO and the bytes still in the socket's queues, just before a call that ends it.
    #[inline(never)]
    pub unsafe fn tcp_info(&self, fd: c_int, identity: Identity) {
        if asks_tcp(identity) && !self.is_left_out() {
            // Of MPTCP the kernel tells what came by one of its ways.
            let plain = descriptors::made_with(identity).is_some();
            let all_taken = |received| received == 0 || plain && taken::is_all_of(fd, received);
            // SAFETY: our own bytes. The queue last: what arrives in between counts as unread.
            unsafe { self.tcp_state(fd, 0, all_taken, || unread_bytes(fd)) };
        }
    }

    /// The same of a socket that was there before us.
    pub(super) unsafe fn tcp_info_found(&self, fd: c_int, identity: Identity) {
        if asks_tcp(identity) {
            // The queue first: what arrives in between then counts as read before, never as unseen.
            let unread_bytes = unread_bytes(fd);
            // SAFETY: our own bytes.
            unsafe { self.tcp_state(fd, ROLE_FOUND, none_came, || unread_bytes) };
        }
    }

    unsafe fn tcp_state(
        &self,
        fd: c_int,
        role: u8,
        all_taken: impl FnOnce(u64) -> bool,
        unread_bytes: impl FnOnce() -> i32,
    ) {
        with_tcp_state(fd, all_taken, unread_bytes, |told| {
            // SAFETY: our own bytes.
            unsafe { self.extend(KIND_TCP_INFO, role, told) };
        });
    }
}

fn none_came(received: u64) -> bool {
    received == 0
}

/// Hands on a TcpState and a `struct tcp_info` behind it, as bytes, if the kernel has them. `all_taken` says whether the program
/// has read so many bytes; `unread_bytes` asks how many it has not.
fn with_tcp_state(
    fd: c_int,
    all_taken: impl FnOnce(u64) -> bool,
    unread_bytes: impl FnOnce() -> i32,
    tell: impl FnOnce(&[u8]),
) {
    #[repr(C)]
    struct Told {
        state: [u8; TcpState::SIZE],
        info: [u64; 40],
    }
    let mut told = Told { state: [0; _], info: [0; 40] };
    let Ok(len) = sys::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, &mut told.info) else { return };
    let Queues { sent_empty, received_empty } = Queues::of(&told.info, len, all_taken);
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
    fn of(info: &[u64; 40], len: usize, all_taken: impl FnOnce(u64) -> bool) -> Queues {
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
            // Bytes that ever came (Linux 4.1), and the FIN, which counts as one. Behind a reset nobody knows whether there was one
            // before: if so, this is one more than the program can have taken.
            received_empty: (open || reset)
                && len >= 136
                && all_taken(received.wrapping_sub(u64::from(state as u8 == 8))),
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
            none_came,
            || unread_bytes(fd),
            |told| {
                // SAFETY: the caller's promise; our own bytes.
                unsafe { chunk::extension_by(thread::current(), KIND_LEFT, 0, 0, 0, &[&left, told]) };
            },
        );
    }
}

/// Whether the kernel is asked about a socket: a TCP socket by its own number, where edges are asked.
fn asks_tcp(identity: Identity) -> bool {
    identity.flags & descriptors::TCP != 0 && identity.flags & FLAG_LOCAL_IDENTITY as u32 == 0 && asks_edges()
}

/// SIOCINQ (tcp(7)); EINVAL on a listener.
fn unread_bytes(fd: c_int) -> i32 {
    sys::ioctl_int(fd, 0x541b).unwrap_or(-1)
}
