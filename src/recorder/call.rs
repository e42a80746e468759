//! A call: entered before the next definition is asked, left after it has answered.
//!
//! This and [`careful`] are the only places that know errno, the clock and whether a call is recorded at all. A hook
//! that mentions one of them is wrong. `Call` has no destructor, and must not get one: it is alive
//! across the delegated call, and a cancelled thread is unwound through there.
//!
//! # Safety
//! The caller of every hook has asked `recorder::is_plain` or `recorder::gate`, so the thread's state is there and settled.
//! Memory of the traced program is read only where the kernel has just proved it valid, or by a
//! copy that cannot fault.

use super::descriptors::{self, Identity};
use super::thread::{self, Thread};
use super::{careful, chunk, clock, region};
use crate::next;
use core::ffi::c_int;
use core::sync::atomic::{AtomicU64, Ordering::Release};
use sockshim_format::op::Op;
use sockshim_format::record::{self as format, *};
use sockshim_format::region::Chunk;

/// The row of the table that a call came in by.
#[derive(Clone, Copy)]
pub struct Row {
    /// The symbol.
    pub op: Op,
    /// FLAG_SYSCALL when it was called through `syscall()`.
    pub flags: u8,
    /// Whether a filter leaves it out.
    pub left_out: bool,
    /// Whether there is something to ask about that a plain call need not.
    pub careful: bool,
}

impl Row {
    /// A call by its own name, whatever there is to ask.
    pub const fn of(op: Op) -> Row {
        Row { op, flags: 0, left_out: false, careful: true }
    }

    /// A call by its own name, of which [`super::is_plain`] has just said that there is nothing to ask.
    pub const fn plain(op: Op) -> Row {
        Row { careful: false, ..Row::of(op) }
    }

    /// What a descriptor of the call names.
    pub fn lookup(self, fd: c_int) -> Option<Identity> {
        descriptors::lookup(fd, self.left_out)
    }
}

/// A call that is being recorded. Flat and small: it lives in registers as far as they reach. What is
/// rare takes a copy of it, so that the original need not have an address.
#[derive(Clone, Copy)]
pub struct Call {
    pub(super) thread: *mut Thread,
    /// Where its record lies; null when there was no room, and then only the log sees it.
    pub(super) slot: *mut u8,
    /// The chunk that this is in.
    pub(super) chunk: *mut Chunk,
    /// The commit word of a call that was entered.
    pub(super) entered: u64,
    pub(super) seq: u32,
    pub(super) start_ticks: u64,
    pub(super) size: u64,
    pub(super) fd: c_int,
    pub(super) arg: u32,
    /// The number of the row. Not an [`Op`], by whose unused values the compiler would tell a call from none: known calls would be looked
    /// at again.
    pub(super) op: u16,
    /// Whether it was entered as one that is not plain.
    pub(super) careful: bool,
    /// Whether its record is to say more at the end than it did at first.
    pub(super) changed: bool,
    /// The bytes of payload that are kept when it is left.
    pub(super) preview: Preview,
    /// The socket: that of the descriptor, or the one that the call has made.
    pub identity: Identity,
}

/// The first bytes of a payload, none or as many as one slot holds.
#[derive(Clone, Copy)]
pub(super) struct Preview {
    pub from: *const u8,
    pub len: usize,
    /// One of the `ROLE_` numbers. As wide as the others, or the compiler copies what is beside it too.
    pub role: usize,
}

impl Preview {
    pub const NONE: Preview = Preview { from: core::ptr::null(), len: 0, role: 0 };
}

/// What becomes of the commit word of a call that was entered when it is done, by exclusive or.
const DONE: u64 = ((STATE_ENTERED ^ STATE_DONE) as u64) << 8;

impl Call {
    /// Enters a call on a descriptor, if that is or may be a socket.
    ///
    /// # Safety
    /// See the module.
    #[inline(always)]
    pub unsafe fn on(row: Row, fd: c_int, arg: u32, size: u64) -> Option<Call> {
        // SAFETY: the caller's promise.
        unsafe {
            if !row.careful
                && let Some(identity) = descriptors::known_socket(fd)
            {
                return Some(Call::plain(row, fd, identity, arg, size));
            }
            Some(Call::careful(row, fd, row.lookup(fd)?, arg, size))
        }
    }

    /// Enters a call that only sockets know, whatever the descriptor is.
    ///
    /// # Safety
    /// See the module.
    #[inline(always)]
    pub unsafe fn on_socket(row: Row, fd: c_int, arg: u32, size: u64) -> Call {
        // SAFETY: the caller's promise.
        unsafe {
            match descriptors::known_socket(fd).filter(|_| !row.careful) {
                Some(identity) => Call::plain(row, fd, identity, arg, size),
                None => Call::careful(row, fd, row.lookup(fd).unwrap_or(Identity::NONE), arg, size),
            }
        }
    }

    /// Enters a call that is recorded whatever its descriptor names: that of an epoll, or of none.
    ///
    /// # Safety
    /// See the module.
    #[inline(always)]
    pub unsafe fn at(row: Row, fd: c_int, arg: u32, size: u64) -> Call {
        // SAFETY: the caller's promise.
        unsafe { Call::with(row, fd, Identity::NONE, arg, size) }
    }

    /// Enters a call that has no descriptor.
    ///
    /// # Safety
    /// See the module.
    #[inline(always)]
    pub unsafe fn enter(row: Row, arg: u32, size: u64) -> Call {
        // SAFETY: the caller's promise.
        unsafe { Call::with(row, -1, Identity::NONE, arg, size) }
    }

    /// Enters a call with two descriptors, if either is or may be a socket. Both are told.
    ///
    /// # Safety
    /// See the module.
    pub unsafe fn on_either(row: Row, input: c_int, output: c_int, fd: c_int, size: u64) -> Option<Call> {
        let (from, to) = (row.lookup(input), row.lookup(output));
        let identity = from.filter(|i| i.socket != 0).or(to).or(from)?;
        let other = if fd == input { output } else { input };
        // SAFETY: the caller's promise.
        unsafe {
            let call = Call::with(
                row,
                fd,
                Identity { flags: identity.flags & !descriptors::FRESH, ..identity },
                other as u32,
                size,
            );
            for (role, fd, identity) in [(ROLE_INPUT, input, from), (ROLE_OUTPUT, output, to)] {
                if let Some(identity) = identity {
                    call.names(role, fd, identity);
                }
            }
            Some(call)
        }
    }

    /// Enters a call on nothing that would have to be told of first.
    #[inline(always)]
    unsafe fn with(row: Row, fd: c_int, identity: Identity, arg: u32, size: u64) -> Call {
        // SAFETY: the caller's promise.
        unsafe {
            if row.careful {
                return Call::careful(row, fd, identity, arg, size);
            }
            Call::plain(row, fd, identity, arg, size)
        }
    }

    #[inline(always)]
    unsafe fn plain(row: Row, fd: c_int, identity: Identity, arg: u32, size: u64) -> Call {
        // SAFETY: the caller's promise; settled thread state.
        unsafe { Call::new(thread::current(), row, fd, identity, arg, size).placed(row.flags | identity.flags as u8) }
    }

    /// What was entered elsewhere is taken apart, and what is known here taken from here: or else the compiler keeps every call in
    /// memory.
    #[inline(always)]
    unsafe fn careful(row: Row, fd: c_int, identity: Identity, arg: u32, size: u64) -> Call {
        // SAFETY: the caller's promise.
        let call = unsafe { careful::enter(row, fd, identity, arg, size) };
        let Call { thread, slot, chunk, entered, seq, start_ticks, .. } = call;
        let (op, careful, changed, preview) = (row.op as u16, true, false, Preview::NONE);
        Call { thread, slot, chunk, entered, seq, start_ticks, size, fd, arg, op, careful, changed, preview, identity }
    }

    /// A call that has no record yet.
    #[inline(always)]
    pub(super) fn new(thread: *mut Thread, row: Row, fd: c_int, identity: Identity, arg: u32, size: u64) -> Call {
        // No thread has such a chunk, not even one that has none.
        let (slot, chunk) = (core::ptr::null_mut(), core::ptr::without_provenance_mut(1));
        let (op, careful) = (row.op as u16, row.careful);
        let (entered, seq, start_ticks, changed, preview) = (0, 0, 0, false, Preview::NONE);
        Call { thread, slot, chunk, entered, seq, start_ticks, size, fd, arg, op, careful, changed, preview, identity }
    }

    /// With its number and its record, if there is room for one.
    ///
    /// # Safety
    /// See the module.
    #[inline(always)]
    pub(super) unsafe fn placed(mut self, flags: u8) -> Call {
        // SAFETY: the caller's promise; the window's slot is ours until it is closed.
        unsafe {
            self.seq = thread::fetch_add(&raw mut (*self.thread).seq, 1);
            let Some(window) = chunk::reserve(self.thread, 1) else {
                (self.entered, self.start_ticks) = careful::find_no_room(self.thread, flags);
                return self;
            };
            (self.slot, self.chunk) = (window.slot, window.chunk);
            let generation = region::generation(window.chunk);
            self.entered = Commit { generation, kind: KIND_CALL, slots: 1, state: STATE_ENTERED, flags }.word();
            self.start_ticks = clock::now();
            let slot = window.slot.cast::<format::Call>();
            (&raw mut (*slot).start_ticks).write(self.start_ticks);
            (&raw mut (*slot).duration_ticks).write(0);
            (&raw mut (*slot).ret).write(0);
            (&raw mut (*slot).socket).write(self.identity.socket);
            (&raw mut (*slot).size).write(self.size);
            (&raw mut (*slot).seq).write(self.seq);
            (&raw mut (*slot).fd).write(self.fd);
            (&raw mut (*slot).op).write(self.op);
            (&raw mut (*slot).errno).write(0);
            (&raw mut (*slot).arg).write(self.arg);
            window.publish(self.entered);
            window.close(self.thread);
        }
        self
    }

    /// Leaves a call that returns -1 and errno on failure. Returns what it was given.
    ///
    /// # Safety
    /// See the module.
    #[inline(always)]
    pub unsafe fn leave<T: Copy + Into<i64>>(&self, ret: T) -> T {
        let value = ret.into();
        let errno = if value < 0 { next::errno() as u16 } else { 0 };
        // SAFETY: the caller's promise.
        unsafe { self.finish(value, errno) };
        ret
    }

    /// Leaves a call that returns bytes, or -1 and errno.
    ///
    /// # Safety
    /// See the module.
    #[inline(always)]
    pub unsafe fn leave_bytes(&self, ret: isize) -> isize {
        // SAFETY: the caller's promise.
        unsafe { self.leave(ret as i64) };
        ret
    }

    /// Leaves a call that returns a pointer, null and errno on failure: recorded as 0 or -1.
    ///
    /// # Safety
    /// See the module.
    pub unsafe fn leave_pointer(&self, ret: *const core::ffi::c_void) {
        // SAFETY: the caller's promise.
        unsafe { self.leave(if ret.is_null() { -1i64 } else { 0 }) };
    }

    /// Leaves a call whose result and errno follow another rule.
    ///
    /// # Safety
    /// See the module.
    #[inline(always)]
    pub unsafe fn finish(&self, ret: i64, errno: u16) {
        // SAFETY: the caller's promise. That the calls of the process are still plain says that the counter may be read, and that
        // the thread's state is its own; the slot is written only while its chunk is still this thread's current one.
        unsafe {
            let ticks = || clock::now().wrapping_sub(self.start_ticks);
            if !super::still_plain(self.thread) || !self.complete(ticks, ret, errno) {
                self.finish_carefully(ret, errno);
            }
        }
    }

    /// Completes the record where it lies, behind what is kept of the payload. False if the thread has left its chunk meanwhile,
    /// or has to now, because it has no room. The clock is read when all that belongs to the call has its place: who reads the trace
    /// takes a call for whole once the next one of its thread has begun.
    ///
    /// # Safety
    /// See the module; the thread's state is this process's own.
    #[inline(always)]
    pub(super) unsafe fn complete(&self, duration_ticks: impl FnOnce() -> u64, ret: i64, errno: u16) -> bool {
        let slot = self.slot.cast::<format::Call>();
        let (generation, Preview { from, len, role }) = (self.generation(), self.preview);
        // SAFETY: the slot lies in the chunk, which is the thread's while it is kept.
        unsafe {
            let Some(kept) = chunk::keep(self.thread, self.chunk, generation) else { return false };
            if len > 0 && !chunk::one_slot_in(self.chunk, generation, KIND_PAYLOAD, self.seq, role as u8, from, len) {
                kept.release(self.thread);
                return false;
            }
            (&raw mut (*slot).duration_ticks).write(duration_ticks());
            (&raw mut (*slot).ret).write(ret);
            if self.changed {
                (&raw mut (*slot).socket).write(self.identity.socket);
                (&raw mut (*slot).size).write(self.size);
                (&raw mut (*slot).arg).write(self.arg);
            }
            (&raw mut (*slot).errno).write(errno);
            (*slot.cast::<AtomicU64>()).store(self.entered ^ DONE, Release);
            kept.release(self.thread);
            true
        }
    }

    /// The generation of its chunk when it was entered.
    #[inline(always)]
    pub(super) fn generation(&self) -> u32 {
        (self.entered >> 32) as u32
    }

    /// Whether the call that has just failed did so because it goes on in the background.
    pub fn in_progress(&self) -> bool {
        next::errno() == libc::EINPROGRESS
    }

    /// The socket that the call made, for its record.
    pub fn made(&mut self, identity: Identity) {
        self.entered |= (identity.flags as u8) as u64;
        self.identity = identity;
        self.changed = true;
    }

    /// `size`, for calls whose bytes are known only afterwards.
    pub fn set_size(&mut self, size: u64) {
        self.size = size;
        self.changed = true;
    }

    /// `arg`, likewise.
    pub fn set_arg(&mut self, arg: u32) {
        self.arg = arg;
        self.changed = true;
    }

    /// Whether a call with these flags may return bytes that it has not stored: on a TCP socket
    /// MSG_TRUNC throws them away (tcp(7)), and on a socket of a kind that we do not know it may.
    pub fn discards(&self, flags: c_int) -> bool {
        let datagrams = self.identity.flags & (descriptors::INET | descriptors::TCP) == descriptors::INET;
        flags & libc::MSG_TRUNC != 0 && !datagrams
    }

    /// The bytes were looked at and not consumed.
    pub fn peeked(&mut self) {
        self.entered |= FLAG_PEEK as u64;
    }
}
