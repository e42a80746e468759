//! Datagrams that are received: lost, twice, or overtaken by the next one.
//!
//! Lost: the program's own call receives one, and is made again. Twice: the first time is a look (MSG_PEEK), so that
//! the kernel still has it, and `poll` says so. Overtaken: one is taken out of the queue and given to the program's
//! next call, if another is there that goes ahead of it.

use super::change::{copied, peeks};
use super::{Words, kernel, pointer};
use crate::sys;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering::*};
use libc::{POLLIN, iovec, mmsghdr, msghdr, size_t, socklen_t};
use sockshim_format::op::Op;
use sockshim_format::plan::What;

/// The largest datagram that there is.
const MOST: usize = 65_536;

/// One datagram of the process that waits for the next one to overtake it.
struct Held {
    bytes: [u8; MOST],
    len: usize,
    address: [u8; 128],
    address_len: usize,
}

/// Mapped for the first one and kept; nobody's but theirs who have set BUSY, until they clear it again.
static HELD: AtomicPtr<Held> = AtomicPtr::new(core::ptr::null_mut());
static BUSY: AtomicBool = AtomicBool::new(false);
/// The socket that it was received at; 0: none waits.
static SOCKET: AtomicU64 = AtomicU64::new(0);

/// A call that receives.
pub struct Receiving<'a> {
    pub op: Op,
    pub fd: c_int,
    pub socket: u64,
    pub words: &'a Words,
}

/// Where a call has its parts.
struct Parts {
    /// The word of the flags.
    flags: Option<usize>,
    /// The word of a place that the kernel stores to besides the bytes, and how much it stores.
    stored: Option<(usize, usize)>,
}

fn parts(op: Op) -> Parts {
    let (flags, stored) = match (op, op.base()) {
        (Op::UnderRecvChk, _) => (Some(4), None),
        (Op::UnderRecvfromChk, _) => (Some(4), Some((6, size_of::<socklen_t>()))),
        (_, Op::Recv) => (Some(3), None),
        (_, Op::Recvfrom) => (Some(3), Some((5, size_of::<socklen_t>()))),
        (_, Op::Recvmsg) => (Some(2), Some((1, size_of::<msghdr>()))),
        (_, Op::Recvmmsg) => (Some(3), Some((1, size_of::<mmsghdr>()))),
        _ => (None, None),
    };
    Parts { flags, stored }
}

impl Receiving<'_> {
    /// Receives as the rules have it. `tell` is told of each that was followed, when it is.
    ///
    /// # Safety
    /// The words are the arguments of a call, which `next` makes.
    pub unsafe fn ask(&self, what: What, next: impl Fn(&Words) -> usize, tell: impl Fn(What)) -> usize {
        let parts = parts(self.op);
        // SAFETY: the caller's promise.
        unsafe {
            if let Some(ret) = self.deliver(&parts) {
                return ret;
            }
            let mut one = *self.words;
            if self.op.base() == Op::Recvmmsg {
                one[2] = one[2].min(1);
            }
            if peeks(self.op, self.words) {
                return next(self.words);
            }
            if what.is(What::REORDER) && self.take() {
                if sys::would_block(self.fd, POLLIN) {
                    // Nothing is there that could go ahead.
                    return self.deliver(&parts).unwrap_or_else(|| next(self.words));
                }
                tell(What::REORDER);
                return next(&one);
            }
            if what.is(What::DUPLICATE)
                && let Some(flags) = parts.flags.and_then(|at| one.get_mut(at))
            {
                *flags |= libc::MSG_PEEK as usize;
                let ret = next(&one);
                if ret as c_int >= 0 {
                    tell(What::DUPLICATE);
                }
                return ret;
            }
            if what.is(What::DROP) {
                return self.lose(&parts, &one, next, tell);
            }
            next(self.words)
        }
    }

    /// Receives one for nothing, and then what comes behind it.
    unsafe fn lose(&self, parts: &Parts, one: &Words, next: impl Fn(&Words) -> usize, tell: impl Fn(What)) -> usize {
        let mut before = [0u8; 64];
        let (place, len) =
            parts.stored.map_or((core::ptr::null_mut::<u8>(), 0), |(at, len)| (pointer(self.words, at), len));
        let room = before.get_mut(..len).unwrap_or(&mut []);
        let kept = place.is_null() || sys::memory::copy_checked(place.cast(), room) == len;
        let ret = next(one);
        if (ret as c_int) < 0 || !kept {
            return ret;
        }
        tell(What::DROP);
        if !place.is_null() {
            // SAFETY: the kernel has just stored there; what was there is put back for the second time.
            unsafe { place.copy_from_nonoverlapping(before.as_ptr(), len) };
        }
        next(self.words)
    }

    /// Takes a datagram out of the queue, if one is there, and keeps it.
    fn take(&self) -> bool {
        let free = SOCKET.load(Acquire) == 0 && self.socket != 0 && kernel::may_store();
        if !free || BUSY.swap(true, AcqRel) {
            return false;
        }
        if HELD.load(Relaxed).is_null() {
            HELD.store(sys::mmap(size_of::<Held>(), libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1).cast(), Relaxed);
        }
        // SAFETY: BUSY is ours; null without memory, or pages that began as zeros, which are a value.
        let kept = unsafe { HELD.load(Relaxed).as_mut() }.is_some_and(|held| {
            let got = kernel::receive(self.fd, &mut held.bytes, &mut held.address);
            if let Some((len, address_len)) = got {
                (held.len, held.address_len) = (len, address_len.min(held.address.len()));
                SOCKET.store(self.socket, Release);
            }
            got.is_some()
        });
        BUSY.store(false, Release);
        kept
    }

    /// Gives the program what was kept for this socket.
    unsafe fn deliver(&self, parts: &Parts) -> Option<usize> {
        let holds = self.socket != 0 && SOCKET.load(Acquire) == self.socket;
        if !holds || BUSY.swap(true, AcqRel) {
            return None;
        }
        // SAFETY: BUSY is ours.
        let held = unsafe { HELD.load(Relaxed).as_ref() }.filter(|_| SOCKET.load(Acquire) == self.socket);
        let ret = held.and_then(|held| self.fill(parts, held));
        if ret.is_some() && !peeks(self.op, self.words) {
            SOCKET.store(0, Release);
        }
        BUSY.store(false, Release);
        ret
    }

    /// Stores a datagram where the arguments say, as the kernel would.
    fn fill(&self, parts: &Parts, held: &Held) -> Option<usize> {
        let word = |at: usize| self.words.get(at).copied().unwrap_or(0);
        let bytes = held.bytes.get(..held.len)?;
        let address = held.address.get(..held.address_len)?;
        let flags = parts.flags.map_or(0, |at| word(at) as c_int);
        let truncated = |copied: usize| copied < bytes.len();
        let result = |copied: usize| if flags & libc::MSG_TRUNC != 0 { bytes.len() } else { copied };
        match self.op.base() {
            Op::Readv => kernel::scatter(bytes, pointer(self.words, 1), word(2)),
            Op::Recvmsg | Op::Recvmmsg => {
                let at: *mut msghdr = pointer(self.words, 1);
                let mut message = copied::<msghdr>(at.cast())?;
                let got = kernel::scatter(bytes, message.msg_iov, message.msg_iovlen)?;
                if !message.msg_name.is_null() {
                    let room = address.get(..address.len().min(message.msg_namelen as usize))?;
                    kernel::store(room, message.msg_name)?;
                    message.msg_namelen = address.len() as socklen_t;
                }
                message.msg_controllen = 0;
                message.msg_flags = if truncated(got) { libc::MSG_TRUNC } else { 0 };
                kernel::store(as_bytes(&message), at.cast())?;
                if self.op.base() == Op::Recvmsg {
                    return Some(result(got));
                }
                let len = (result(got) as u32).to_ne_bytes();
                kernel::store(&len, at.cast::<u8>().wrapping_add(core::mem::offset_of!(mmsghdr, msg_len)).cast())?;
                Some(1)
            }
            _ => {
                let whole = [iovec { iov_base: pointer(self.words, 1), iov_len: word(2) as size_t }];
                let got = kernel::scatter(bytes, whole.as_ptr(), 1)?;
                if let Some((at, _)) = parts.stored {
                    let (name, room): (*mut c_void, *mut socklen_t) =
                        (pointer(self.words, at - 1), pointer(self.words, at));
                    if !name.is_null() {
                        let room_bytes = copied::<socklen_t>(room.cast())? as usize;
                        kernel::store(address.get(..address.len().min(room_bytes))?, name)?;
                        kernel::store(&(address.len() as socklen_t).to_ne_bytes(), room.cast())?;
                    }
                }
                Some(result(got))
            }
        }
    }
}

fn as_bytes<T: Copy>(value: &T) -> &[u8] {
    // SAFETY: plain numbers and pointers without holes between them that anybody reads.
    unsafe { core::slice::from_raw_parts((&raw const *value).cast(), size_of::<T>()) }
}
