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
use super::{chunk, clock, left_out, log, may_ask, region};
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
    /// Whether a filter leaves it out.
    pub left_out: bool,
}

impl Row {
    /// A call by its own name.
    pub const fn of(op: Op) -> Row {
        Row { op, flags: 0, left_out: false }
    }

    /// What a descriptor of the call names.
    #[inline(always)]
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
    pub(super) chunk: *mut Chunk,
    pub(super) generation: u32,
    pub(super) seq: u32,
    start_ticks: u64,
    size: u64,
    pub(super) fd: c_int,
    arg: u32,
    op: Op,
    flags: u8,
    /// The socket: that of the descriptor, or the one that the call has made.
    pub identity: Identity,
}

impl Call {
    /// Enters a call on a descriptor, if that is or may be a socket.
    ///
    /// # Safety
    /// See the module.
    #[inline(always)]
    pub unsafe fn on(row: Row, fd: c_int, arg: u32, size: u64) -> Option<Call> {
        let identity = row.lookup(fd)?;
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
        unsafe { Call::with(row, fd, row.lookup(fd).unwrap_or(Identity::NONE), arg, size) }
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

    /// A call whose record goes nowhere.
    #[cold]
    fn left_out(row: Row, fd: c_int, identity: Identity, arg: u32, size: u64) -> Call {
        let (slot, chunk) = (core::ptr::null_mut(), core::ptr::null_mut());
        let Row { op, flags, .. } = row;
        let identity = Identity { flags: identity.flags & !descriptors::FRESH, ..identity };
        let thread = left_out::nowhere();
        Call { thread, slot, chunk, generation: 0, seq: 0, start_ticks: 0, size, fd, arg, op, flags, identity }
    }

    #[inline(always)]
    unsafe fn with(row: Row, fd: c_int, identity: Identity, arg: u32, size: u64) -> Call {
        if row.left_out {
            return Call::left_out(row, fd, identity, arg, size);
        }
        let mut flags = row.flags | identity.flags as u8;
        if clock::coarse() {
            flags |= FLAG_COARSE;
        }
        // SAFETY: settled thread state; the window's slot is ours until it is closed.
        unsafe {
            let thread = thread::current();
            let seq = thread::fetch_add(&raw mut (*thread).seq, 1);
            let mut call = Call {
                thread,
                slot: core::ptr::null_mut(),
                chunk: core::ptr::null_mut(),
                generation: 0,
                seq,
                start_ticks: 0,
                size,
                fd,
                arg,
                op: row.op,
                flags,
                identity,
            };
            match chunk::reserve(thread, 1) {
                Some(window) => {
                    window.fetch_next();
                    call.slot = window.slot;
                    call.chunk = window.chunk;
                    call.generation = region::generation(window.chunk);
                    call.start_ticks = clock::now();
                    let slot = window.slot.cast::<format::Call>();
                    (&raw mut (*slot).start_ticks).write(call.start_ticks);
                    (&raw mut (*slot).duration_ticks).write(0);
                    (&raw mut (*slot).ret).write(0);
                    (&raw mut (*slot).socket).write(identity.socket);
                    (&raw mut (*slot).size).write(size);
                    (&raw mut (*slot).seq).write(seq);
                    (&raw mut (*slot).fd).write(fd);
                    (&raw mut (*slot).op).write(row.op as u16);
                    (&raw mut (*slot).errno).write(0);
                    (&raw mut (*slot).arg).write(arg);
                    window.publish(call.commit(KIND_CALL, STATE_ENTERED));
                    window.close(thread);
                }
                None => {
                    region::count_lost();
                    (*thread).lost += 1;
                    call.start_ticks = clock::now();
                }
            }
            if identity.is_fresh() {
                call.tell_inherited();
            }
            if log::on() {
                call.tell_peer();
            }
            call
        }
    }

    #[inline(always)]
    fn commit(&self, kind: u8, state: u8) -> Commit {
        Commit { generation: self.generation, kind, slots: 1, state, flags: self.flags }
    }

    /// The whole record, for what is not on the fast way.
    fn record(&self, state: u8, duration_ticks: u64, ret: i64, errno: u16) -> format::Call {
        format::Call {
            commit: self.commit(KIND_CALL, state).word(),
            start_ticks: self.start_ticks,
            duration_ticks,
            ret,
            socket: self.identity.socket,
            size: self.size,
            seq: self.seq,
            fd: self.fd,
            op: self.op as u16,
            errno,
            arg: self.arg,
        }
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
        // The call may itself have taken the fine clock away: then there is no duration to tell.
        let mut duration_ticks = 0;
        if (self.flags & FLAG_COARSE != 0) == clock::coarse() {
            duration_ticks = clock::now().wrapping_sub(self.start_ticks);
        }
        // SAFETY: the slot is written only while its chunk is still this thread's current one.
        unsafe {
            let slot = self.slot.cast::<format::Call>();
            let in_place = chunk::while_current(self.thread, self.chunk, self.generation, || {
                (&raw mut (*slot).duration_ticks).write(duration_ticks);
                (&raw mut (*slot).ret).write(ret);
                (&raw mut (*slot).socket).write(self.identity.socket);
                (&raw mut (*slot).size).write(self.size);
                (&raw mut (*slot).fd).write(self.fd);
                (&raw mut (*slot).errno).write(errno);
                (&raw mut (*slot).arg).write(self.arg);
                (*slot.cast::<AtomicU64>()).store(self.commit(KIND_CALL, STATE_DONE).word(), Release);
            });
            if !in_place || log::on() {
                self.finish_slowly(in_place, duration_ticks, ret, errno);
            }
        }
    }

    /// The thread has left the chunk meanwhile, so the end of the call is a record of its own; or
    /// the log wants a line.
    #[cold]
    #[inline(never)]
    unsafe fn finish_slowly(self, in_place: bool, duration_ticks: u64, ret: i64, errno: u16) {
        let record = self.record(STATE_DONE, duration_ticks, ret, errno);
        // SAFETY: as in `finish`.
        unsafe {
            if !in_place && !self.slot.is_null() && chunk::still_own(self.thread) {
                match chunk::reserve(self.thread, 1) {
                    Some(window) => {
                        let generation = region::generation(window.chunk);
                        window.slot.cast::<format::Call>().write(format::Call { commit: 0, ..record });
                        window.publish(Commit { generation, ..self.commit(KIND_COMPLETION, STATE_DONE) });
                        window.close(self.thread);
                    }
                    None => region::count_lost_extension(),
                }
            }
            if log::on() && !self.is_left_out() {
                log::line(&self, &record);
            }
        }
    }

    /// Leaves a call that is passed on by a jump, whose result we shall not see.
    ///
    /// # Safety
    /// See the module.
    pub unsafe fn jump(&self) {
        // SAFETY: as in `finish`.
        unsafe {
            let (slot, word) = (self.slot.cast::<AtomicU64>(), self.commit(KIND_CALL, STATE_JUMPED).word());
            chunk::while_current(self.thread, self.chunk, self.generation, || (*slot).store(word, Release));
            if log::on() && !self.is_left_out() {
                log::line(self, &self.record(STATE_JUMPED, 0, 0, 0));
            }
        }
    }

    /// In the text log, a call that will block is announced before it does: `blocks` says whether.
    ///
    /// # Safety
    /// See the module.
    #[inline(always)]
    pub unsafe fn announce(&self, blocks: impl FnOnce() -> bool) {
        if log::on() && !self.is_left_out() && blocks() {
            // SAFETY: the caller's promise.
            unsafe { log::line(self, &self.record(STATE_ENTERED, 0, 0, 0)) };
        }
    }

    /// Announces a transfer that finds its descriptor not ready.
    ///
    /// # Safety
    /// See the module.
    #[inline(always)]
    pub unsafe fn announce_transfer(&self, events: i16, flags: c_int) {
        if log::on() {
            // SAFETY: the caller's promise.
            unsafe { self.announce_if_not_ready(events, flags) };
        }
    }

    #[cold]
    #[inline(never)]
    unsafe fn announce_if_not_ready(self, events: i16, flags: c_int) {
        let fd = self.fd;
        let blocks =
            || flags & libc::MSG_DONTWAIT == 0 && may_ask() && sys::would_block(fd, events) && !sys::nonblocking(fd);
        // SAFETY: the caller's promise.
        unsafe { self.announce(blocks) };
    }

    /// Whether the call that has just failed did so because it goes on in the background.
    pub fn in_progress(&self) -> bool {
        next::errno() == libc::EINPROGRESS
    }

    /// The socket that the call made, for its record.
    pub fn made(&mut self, identity: Identity) {
        self.flags |= identity.flags as u8;
        self.identity = identity;
    }

    /// `size`, for calls whose bytes are known only afterwards.
    pub fn set_size(&mut self, size: u64) {
        self.size = size;
    }

    /// `arg`, likewise.
    pub fn set_arg(&mut self, arg: u32) {
        self.arg = arg;
    }

    /// Whether a call with these flags may return bytes that it has not stored: on a TCP socket
    /// MSG_TRUNC throws them away (tcp(7)), and on a socket of a kind that we do not know it may.
    pub fn discards(&self, flags: c_int) -> bool {
        let datagrams = self.identity.flags & (descriptors::INET | descriptors::TCP) == descriptors::INET;
        flags & libc::MSG_TRUNC != 0 && !datagrams
    }

    /// The bytes were looked at and not consumed.
    pub fn peeked(&mut self) {
        self.flags |= FLAG_PEEK;
    }
}
