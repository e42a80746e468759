//! The calls that are not plain: a descriptor that is met for the first time, a filter, a plan, a text log, a coarse clock, no room,
//! a chunk that the thread has left. Here they are entered and left; all of it is off the usual way.
//!
//! # Safety
//! As in [`super::call`].

use super::call::{Call, Preview, Row};
use super::descriptors::Identity;
use super::thread::{self, Thread};
use super::{chunk, clock, left_out, log, may_ask, region, room};
use crate::sys;
use core::ffi::c_int;
use core::sync::atomic::{AtomicU64, Ordering::Release};
use sockshim_format::op::{Op, Phase};
use sockshim_format::record::{self as format, *};

/// Enters a call, whatever there is to ask.
///
/// # Safety
/// See the module.
#[cold]
#[inline(never)]
pub unsafe fn enter(row: Row, fd: c_int, identity: Identity, arg: u32, size: u64) -> Call {
    // SAFETY: the caller's promise; settled thread state.
    unsafe {
        if row.left_out {
            return Call::new(left_out::nowhere(), row, fd, identity, arg, size);
        }
        let coarse = if clock::coarse() { FLAG_COARSE } else { 0 };
        let call = Call::new(thread::current(), row, fd, identity, arg, size);
        let call = call.placed(row.flags | identity.flags as u8 | coarse);
        if identity.is_fresh() {
            call.tell_inherited();
        }
        if log::on() {
            call.tell_peer();
            match row.op {
                // What its handlers do is told, and nothing comes behind them.
                Op::QuickExit => log::end(),
                // Another process may be told of before this call is, or nothing any more.
                op if op.phase() == Phase::Process => log::flush(),
                _ => {}
            }
        }
        call
    }
}

/// There is no room for the record of a call: it is counted, and only the log tells of it. Returns its commit word and when it began.
///
/// # Safety
/// `thread` is the calling thread's settled state.
#[cold]
#[inline(never)]
pub unsafe fn find_no_room(thread: *mut Thread, flags: u8) -> (u64, u64) {
    region::count_lost();
    // SAFETY: the caller's promise.
    unsafe { (*thread).lost += 1 };
    (Commit { generation: 0, kind: KIND_CALL, slots: 1, state: STATE_ENTERED, flags }.word(), clock::now())
}

/// # Safety
/// As [`chunk::one_slot`], but there may be no bytes.
#[inline(never)]
unsafe fn tell_preview(thread: *mut Thread, seq: u32, role: u8, from: *const u8, len: usize) {
    if len > 0 {
        // SAFETY: the caller's promise.
        unsafe { chunk::one_slot(thread, KIND_PAYLOAD, seq, role, from, len) };
    }
}

#[allow(clippy::missing_safety_doc)]
impl Call {
    /// The whole record.
    fn record(&self, state: u8, duration_ticks: u64, ret: i64, errno: u16) -> format::Call {
        format::Call {
            commit: Commit { state, ..Commit::from_word(self.entered) }.word(),
            start_ticks: self.start_ticks,
            duration_ticks,
            ret,
            socket: self.identity.socket,
            size: self.size,
            seq: self.seq,
            fd: self.fd,
            op: self.op,
            errno,
            arg: self.arg,
        }
    }

    /// Leaves a call, whatever has become of the thread, the clock and the log meanwhile. Where the thread has left the chunk, the
    /// end of the call is a record of its own.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn finish_carefully(mut self, ret: i64, errno: u16) {
        // SAFETY: the slot is written only while its chunk is still this thread's current one, and the state its own.
        unsafe {
            self.tell_preview_before(true);
            // The call may itself have taken the fine clock away: then there is no duration to tell.
            let was_coarse = Commit::from_word(self.entered).flags & FLAG_COARSE != 0;
            let same_clock = was_coarse == clock::coarse();
            let duration_ticks = if same_clock { clock::now().wrapping_sub(self.start_ticks) } else { 0 };
            let own = chunk::still_own(self.thread);
            let in_place = own && !self.slot.is_null() && self.complete(|| duration_ticks, ret, errno);
            let record = self.record(STATE_DONE, duration_ticks, ret, errno);
            if own && !in_place && !self.slot.is_null() {
                match chunk::reserve(self.thread, 1) {
                    Some(window) => {
                        let generation = region::generation(window.chunk);
                        window.slot.cast::<format::Call>().write(format::Call { commit: 0, ..record });
                        let kind = KIND_COMPLETION;
                        window.publish(Commit { generation, kind, ..Commit::from_word(record.commit) }.word());
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

    /// Writes what is kept of the payload now, if other extensions follow: in front of them it can be passed over when the trace is read.
    #[inline(always)]
    pub unsafe fn tell_preview_before(&mut self, others: bool) {
        if others {
            let Preview { from, len, role } = core::mem::replace(&mut self.preview, Preview::NONE);
            // SAFETY: the caller's promise, and that of who gave us the payload.
            unsafe { tell_preview(self.thread, self.seq, role as u8, from, len) };
        }
    }

    /// Leaves a call that is passed on by a jump, whose result we shall not see.
    ///
    /// # Safety
    /// See the module.
    pub unsafe fn jump(&self) {
        let record = self.record(STATE_JUMPED, 0, 0, 0);
        // SAFETY: as in `finish`.
        unsafe {
            if chunk::still_own(self.thread)
                && !self.slot.is_null()
                && let Some(kept) = chunk::keep(self.thread, self.chunk, self.generation())
            {
                (*self.slot.cast::<AtomicU64>()).store(record.commit, Release);
                kept.release(self.thread);
            }
            if log::on() && !self.is_left_out() {
                log::line(self, &record);
            }
        }
    }

    /// In the text log, a call that will block is announced before it does: `blocks` says whether.
    ///
    /// # Safety
    /// See the module.
    #[inline(always)]
    pub unsafe fn announce(&self, blocks: impl FnOnce() -> bool) {
        if self.careful && log::on() && !self.is_left_out() && blocks() {
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
        if self.careful {
            // SAFETY: the caller's promise.
            unsafe { self.announce_if_not_ready(events, flags) };
        }
    }

    #[cold]
    #[inline(never)]
    unsafe fn announce_if_not_ready(self, events: i16, flags: c_int) {
        let fd = self.fd;
        let asked = || !sys::would_block(fd, events);
        let bytes = match Op::from_number(self.op).map(Op::base) {
            Some(Op::Write | Op::Send | Op::Sendto) => self.size as usize,
            _ => usize::MAX,
        };
        let ready = || if events == libc::POLLOUT { room::is_there(self.identity, bytes, asked) } else { asked() };
        let blocks = || flags & libc::MSG_DONTWAIT == 0 && may_ask() && !ready() && !sys::nonblocking(fd);
        // SAFETY: the caller's promise.
        unsafe { self.announce(blocks) };
    }
}
