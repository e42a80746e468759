//! A call: entered before the next definition is asked, left after it has answered.
//!
//! This is the only place that knows errno, the clock and whether a call is recorded at all. A hook
//! that mentions one of them is wrong. `Call` has no destructor, and must not get one: it is alive
//! across the delegated call, and a cancelled thread is unwound through there.
//!
//! # Safety
//! The caller of every hook has passed `recorder::gate`, so the thread's state is there and settled.
//! Memory of the traced program is read only where the kernel has just proved it valid, or by a
//! copy that cannot fault.

use super::descriptors::{self, Identity};
use super::thread::{self, Thread};
use super::{chunk, clock, log, may_ask, region};
use crate::next;
use crate::sys;
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
}

impl Row {
    /// A call by its own name.
    pub const fn of(op: Op) -> Row {
        Row { op, flags: 0 }
    }
}

/// A call that is being recorded.
pub struct Call {
    pub(super) thread: *mut Thread,
    /// Where its record lies; null when there was no room, and then only the log sees it.
    pub(super) slot: *mut u8,
    pub(super) chunk: *mut Chunk,
    pub(super) generation: u32,
    /// What goes into the record.
    pub(super) record: format::Call,
    flags: u8,
    /// The entry was printed, because the call was expected to block.
    pub(super) announced: bool,
    /// The socket, as it was when the call was entered.
    pub identity: Identity,
}

impl Call {
    /// Enters a call on a descriptor, if that is or may be a socket.
    ///
    /// # Safety
    /// See the module.
    #[inline(always)]
    pub unsafe fn on(row: Row, fd: c_int, arg: u32, size: u64) -> Option<Call> {
        let identity = descriptors::lookup(fd)?;
        // SAFETY: the caller's promise.
        Some(unsafe { Call::with(row, fd, identity, arg, size) })
    }

    /// Enters a call that only sockets know, whatever the descriptor is.
    ///
    /// # Safety
    /// See the module.
    #[inline(always)]
    pub unsafe fn on_socket(row: Row, fd: c_int, arg: u32, size: u64) -> Call {
        // SAFETY: the caller's promise.
        unsafe { Call::with(row, fd, descriptors::lookup_socket(fd), arg, size) }
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
        let (from, to) = (descriptors::lookup(input), descriptors::lookup(output));
        let identity = from.filter(|i| i.socket != 0).or(to).or(from)?;
        let other = if fd == input { output } else { input };
        // SAFETY: the caller's promise.
        unsafe {
            let call = Call::with(row, fd, Identity { fresh: false, ..identity }, other as u32, size);
            for (role, fd, identity) in [(ROLE_INPUT, input, from), (ROLE_OUTPUT, output, to)] {
                if let Some(identity) = identity {
                    call.descriptor(role, fd, identity.socket);
                    if identity.fresh {
                        call.tell(fd, identity, None);
                    }
                }
            }
            Some(call)
        }
    }

    #[inline(always)]
    unsafe fn with(row: Row, fd: c_int, identity: Identity, arg: u32, size: u64) -> Call {
        let mut flags = row.flags | identity.record_flags;
        if clock::coarse() {
            flags |= FLAG_COARSE;
        }
        // SAFETY: settled thread state; the window's slot is ours until it is closed.
        unsafe {
            let thread = thread::current();
            let mut call = Call {
                thread,
                slot: core::ptr::null_mut(),
                chunk: core::ptr::null_mut(),
                generation: 0,
                record: format::Call {
                    commit: 0,
                    start_ticks: 0,
                    duration_ticks: 0,
                    ret: 0,
                    socket: identity.socket,
                    size,
                    seq: thread::fetch_add(&raw mut (*thread).seq, 1),
                    fd,
                    op: row.op as u16,
                    errno: 0,
                    arg,
                },
                flags,
                announced: false,
                identity,
            };
            if let Some(window) = chunk::reserve(thread, 1) {
                call.slot = window.slot;
                call.chunk = window.chunk;
                call.generation = region::generation(window.chunk);
                call.record.start_ticks = clock::now();
                window.slot.cast::<format::Call>().write(call.record);
                window.publish(call.commit(STATE_ENTERED));
                window.close(thread);
            } else {
                region::count_lost();
                (*thread).lost += 1;
                call.record.start_ticks = clock::now();
            }
            if identity.fresh {
                call.tell_inherited();
            }
            if log::on() {
                call.tell_peer();
            }
            call
        }
    }

    fn commit(&self, state: u8) -> Commit {
        Commit { generation: self.generation, kind: KIND_CALL, slots: 1, state, flags: self.flags }
    }

    /// Leaves a call that returns -1 and errno on failure. Returns what it was given.
    ///
    /// # Safety
    /// See the module.
    #[inline(always)]
    pub unsafe fn leave<T: Copy + Into<i64>>(self, ret: T) -> T {
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
    pub unsafe fn leave_bytes(self, ret: isize) -> isize {
        // SAFETY: the caller's promise.
        unsafe { self.leave(ret as i64) };
        ret
    }

    /// Leaves a call that returns a pointer, null and errno on failure: recorded as 0 or -1.
    ///
    /// # Safety
    /// See the module.
    pub unsafe fn leave_pointer(self, ret: *const core::ffi::c_void) {
        // SAFETY: the caller's promise.
        unsafe { self.leave(if ret.is_null() { -1i64 } else { 0 }) };
    }

    /// Leaves a call whose result and errno follow another rule.
    ///
    /// # Safety
    /// See the module.
    #[inline(always)]
    pub unsafe fn finish(mut self, ret: i64, errno: u16) {
        // The call may itself have taken the fine clock away: then there is no duration to tell.
        if (self.flags & FLAG_COARSE != 0) == clock::coarse() {
            self.record.duration_ticks = clock::now().wrapping_sub(self.record.start_ticks);
        }
        self.record.ret = ret;
        self.record.errno = errno;
        self.record.commit = self.commit(STATE_DONE).word();
        // SAFETY: the slot is written only while its chunk is still this thread's current one.
        unsafe {
            let slot = self.slot.cast::<format::Call>();
            let record = &self.record;
            let in_place = chunk::while_current(self.thread, self.chunk, self.generation, || {
                (&raw mut (*slot).duration_ticks).write(record.duration_ticks);
                (&raw mut (*slot).ret).write(record.ret);
                (&raw mut (*slot).socket).write(record.socket);
                (&raw mut (*slot).size).write(record.size);
                (&raw mut (*slot).fd).write(record.fd);
                (&raw mut (*slot).errno).write(record.errno);
                (&raw mut (*slot).arg).write(record.arg);
                (*slot.cast::<AtomicU64>()).store(record.commit, Release);
            });
            if !in_place && !self.slot.is_null() && chunk::still_own(self.thread) {
                self.complete_elsewhere();
            }
            if log::on() {
                log::line(&self);
            }
        }
    }

    /// Leaves a call that is passed on by a jump, whose result we shall not see.
    ///
    /// # Safety
    /// See the module.
    pub unsafe fn jump(mut self) {
        self.record.commit = self.commit(STATE_JUMPED).word();
        // SAFETY: as in `finish`.
        unsafe {
            let (slot, word) = (self.slot.cast::<AtomicU64>(), self.record.commit);
            chunk::while_current(self.thread, self.chunk, self.generation, || (*slot).store(word, Release));
            if log::on() {
                log::line(&self);
            }
        }
    }

    /// The thread has left the chunk meanwhile: the end of the call is a record of its own.
    #[cold]
    #[inline(never)]
    unsafe fn complete_elsewhere(&self) {
        // SAFETY: as in `finish`.
        unsafe {
            let Some(window) = chunk::reserve(self.thread, 1) else {
                return region::count_lost_extension();
            };
            let generation = region::generation(window.chunk);
            window.slot.cast::<format::Call>().write(format::Call { commit: 0, ..self.record });
            window.publish(Commit { generation, kind: KIND_COMPLETION, ..self.commit(STATE_DONE) });
            window.close(self.thread);
        }
    }

    /// In the text log, a call that will block is announced before it does: `blocks` says whether.
    ///
    /// # Safety
    /// See the module.
    #[inline(always)]
    pub unsafe fn announce(&mut self, blocks: impl FnOnce() -> bool) {
        if log::on() && blocks() {
            self.announced = true;
            self.record.commit = self.commit(STATE_ENTERED).word();
            // SAFETY: the caller's promise.
            unsafe { log::line(self) };
        }
    }

    /// Announces a transfer that finds its descriptor not ready.
    ///
    /// # Safety
    /// See the module.
    #[inline(always)]
    pub unsafe fn announce_transfer(&mut self, events: i16, flags: c_int) {
        if log::on() {
            // SAFETY: the caller's promise.
            unsafe { self.announce_if_not_ready(events, flags) };
        }
    }

    #[cold]
    #[inline(never)]
    unsafe fn announce_if_not_ready(&mut self, events: i16, flags: c_int) {
        let fd = self.record.fd;
        let blocks = || {
            flags & libc::MSG_DONTWAIT == 0 && may_ask() && sys::would_block(fd, events) && !sys::nonblocking(fd)
        };
        // SAFETY: the caller's promise.
        unsafe { self.announce(blocks) };
    }

    /// Whether the call that has just failed did so because it goes on in the background.
    pub fn in_progress(&self) -> bool {
        next::errno() == libc::EINPROGRESS
    }

    /// The socket that the call made, for its record.
    pub fn made(&mut self, identity: Identity) {
        self.record.socket = identity.socket;
        self.flags |= identity.record_flags;
        self.identity = identity;
    }

    /// The descriptor, for calls that learn it from their result.
    pub fn set_fd(&mut self, fd: c_int) {
        self.record.fd = fd;
    }

    /// `size`, for calls whose bytes are known only afterwards.
    pub fn set_size(&mut self, size: u64) {
        self.record.size = size;
    }

    /// `arg`, likewise.
    pub fn set_arg(&mut self, arg: u32) {
        self.record.arg = arg;
    }

    /// The bytes were looked at and not consumed.
    pub fn peeked(&mut self) {
        self.flags |= FLAG_PEEK;
    }
}
