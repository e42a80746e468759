//! A thread's part of the live region: reserve slots, fill them, publish.
//!
//! Everything here may be interrupted by a signal handler that calls hooked functions itself and
//! never comes back. There is no lock and no allocation on the way of a record, chunk changes included, and no
//! system call unless no chunk is free.
//!
//! # Safety
//! A chunk is written by its owning thread alone; what the tool may read meanwhile is stored
//! atomically, the commit word last.

use super::thread::Thread;
use super::{clock, plain, region, thread};
use crate::arch;
use core::sync::atomic::{AtomicU64, Ordering::*, compiler_fence};
use sockshim_format::record::{Commit, Extension, FLAG_COARSE, MAX_BODY, STATE_DONE, extension_slots};
use sockshim_format::region::*;

/// A reservation: slots that belong to the caller until it has stored their commit word.
///
/// While it is open, `Thread::pinned` names its chunk. A signal handler that interrupts and fills
/// that chunk moves on to another one as usual, but leaves it to us to set the full bit, so the tool
/// cannot recycle a chunk that is still being written to. If the handler never returns, the chunk is
/// freed when the thread ends: one chunk is the price of a longjmp out of a few nanoseconds.
pub struct Window {
    /// The first slot.
    pub slot: *mut u8,
    /// The chunk that it lies in.
    pub chunk: *mut Chunk,
    outer: *mut Chunk,
}

/// Pins the thread's current chunk. Returns it, and what was pinned before.
///
/// # Safety
/// `thread` is the calling thread's state; `unpin` follows.
#[inline(always)]
unsafe fn pin(thread: *mut Thread) -> (*mut Chunk, *mut Chunk) {
    // SAFETY: the state is ours. A handler between the two lines may change the chunk: look again.
    unsafe {
        let outer = (*thread).pinned;
        loop {
            let chunk = (&raw const (*thread).chunk).read_volatile();
            (&raw mut (*thread).pinned).write_volatile(chunk);
            compiler_fence(SeqCst);
            if (&raw const (*thread).chunk).read_volatile() == chunk {
                return (chunk, outer);
            }
        }
    }
}

/// Ends what `pin` began, and seals the chunk if the thread has moved on meanwhile.
///
/// # Safety
/// As `pin`; `outer` is what it returned.
#[inline(always)]
unsafe fn unpin(thread: *mut Thread, outer: *mut Chunk) {
    // SAFETY: the state is ours.
    unsafe {
        compiler_fence(SeqCst);
        let pinned = (&raw const (*thread).pinned).read_volatile();
        (&raw mut (*thread).pinned).write_volatile(outer);
        if pinned != (*thread).chunk {
            seal_late(pinned, outer);
        }
    }
}

/// The thread has moved on while the chunk was pinned.
#[cold]
#[inline(never)]
unsafe fn seal_late(chunk: *mut Chunk, outer: *mut Chunk) {
    if chunk != outer && !chunk.is_null() {
        // SAFETY: `unpin` was the last that wrote to it.
        unsafe { region::seal(chunk) };
    }
}

/// Reserves slots for the calling thread; None when there is no room anywhere.
///
/// # Safety
/// `thread` is the calling thread's settled state, and [`Window::close`] follows.
#[inline(always)]
pub unsafe fn reserve(thread: *mut Thread, slots: u32) -> Option<Window> {
    // SAFETY: a chunk that is not null is ours and mapped.
    unsafe {
        let (mut chunk, outer) = pin(thread);
        let used = if chunk.is_null() { CHUNK_SLOTS } else { thread::fetch_add(&raw mut (*chunk).used, slots) };
        let mut place = slot(chunk, used);
        if used + slots > CHUNK_SLOTS {
            // A pointer, not a window, so that the common way keeps all of it in registers.
            place = move_on(thread, slots, outer);
            if place.is_null() {
                return None;
            }
            chunk = (&raw const (*thread).pinned).read_volatile();
        }
        fetch_ahead(chunk, place);
        Some(Window { slot: place, chunk, outer })
    }
}

/// Has the processor fetch the slot after the next while the kernel is at work: the tool has read it on another core, mostly, and
/// it would be waited for where the next system call begins. Not beyond the chunk, for the next one is another thread's: there it is
/// the chunk's own beginning.
#[inline(always)]
fn fetch_ahead(chunk: *mut Chunk, slot: *mut u8) {
    arch::fetch_to_write(chunk as usize + (slot as usize + 2 * SLOT_BYTES) % CHUNK_BYTES);
}

/// The slot behind `used` others; it lies in the chunk only if callers see to that.
#[inline(always)]
fn slot(chunk: *mut Chunk, used: u32) -> *mut u8 {
    // The header takes the first place.
    chunk.cast::<u8>().wrapping_add((used as usize + 1) * SLOT_BYTES)
}

/// Claims another chunk and reserves there: the first slot, in the chunk that is pinned then; null if there is no room
/// anywhere. The old chunk, if any, is pinned.
#[cold]
#[inline(never)]
unsafe fn move_on(thread: *mut Thread, slots: u32, outer: *mut Chunk) -> *mut u8 {
    // SAFETY: as `reserve`.
    unsafe {
        // More than once only if handlers fill each chunk before we come to use it.
        for _ in 0..16 {
            let left = (&raw const (*thread).pinned).read_volatile();
            let fresh = if region::private() && !left.is_null() && left != outer {
                region::reuse(left);
                left
            } else {
                region::claim(thread).unwrap_or(core::ptr::null_mut())
            };
            if !fresh.is_null() && (&raw const (*thread).chunk).read_volatile() != left {
                // A handler came in between and has moved the thread on itself: record where it is,
                // and give back what we do not need. (Handlers that come between the line above and
                // the next store leave a chunk that is freed only when the thread ends.)
                region::seal(fresh);
                (&raw mut (*thread).pinned).write_volatile((*thread).chunk);
            } else {
                (&raw mut (*thread).chunk).write_volatile(fresh);
                (&raw mut (*thread).pinned).write_volatile(fresh);
            }
            compiler_fence(SeqCst);
            let chunk = (&raw const (*thread).pinned).read_volatile();
            if !left.is_null() && left != outer && left != chunk {
                region::seal(left);
            }
            if chunk.is_null() {
                break;
            }
            let used = thread::fetch_add(&raw mut (*chunk).used, slots);
            if used + slots <= CHUNK_SLOTS {
                return slot(chunk, used);
            }
        }
        unpin(thread, outer);
        core::ptr::null_mut()
    }
}

/// Stores a commit word.
///
/// # Safety
/// The slot was reserved by this thread, and is complete but for the word.
#[inline(always)]
unsafe fn publish(slot: *mut u8, word: u64) {
    // SAFETY: the slot is ours and aligned to 64.
    unsafe { (*slot.cast::<AtomicU64>()).store(word, Release) };
}

impl Window {
    /// Stores the commit word, which makes the record visible.
    ///
    /// # Safety
    /// The record behind the commit word is complete.
    #[inline(always)]
    pub unsafe fn publish(&self, word: u64) {
        // SAFETY: the caller's promise.
        unsafe { publish(self.slot, word) };
    }

    /// Ends the reservation.
    ///
    /// # Safety
    /// `thread` is the one that reserved; nothing is written through the window any more.
    #[inline(always)]
    pub unsafe fn close(self, thread: *mut Thread) {
        // SAFETY: the caller's promise.
        unsafe { unpin(thread, self.outer) };
    }
}

/// Whether the thread's state belongs to this process. Not so in a child that was forked inside the
/// delegated call (`daemon`, a handler that forks): there the state is a copy, and its chunk the
/// parent's.
///
/// # Safety
/// `thread` is the calling thread's state.
#[inline(always)]
pub unsafe fn still_own(thread: *mut Thread) -> bool {
    // SAFETY: the caller's promise.
    unsafe { (*thread).process == plain::process().load(Relaxed) }
}

/// A chunk that is kept from being recycled.
pub struct Kept {
    outer: *mut Chunk,
}

/// Keeps a chunk if it is still the thread's, of the same generation. Otherwise it may be somebody else's.
///
/// # Safety
/// `thread` is the calling thread's state, and this process's own; `chunk` was the thread's, or none is there. [`Kept::release`]
/// follows.
#[inline(always)]
pub unsafe fn keep(thread: *mut Thread, chunk: *mut Chunk, generation: u32) -> Option<Kept> {
    // SAFETY: the state is ours; a current chunk is ours and mapped.
    unsafe {
        let (current, outer) = pin(thread);
        // In this order: what is no chunk of the thread's is not looked into.
        if current == chunk && region::generation(chunk) == generation {
            return Some(Kept { outer });
        }
        unpin(thread, outer);
        None
    }
}

impl Kept {
    /// Nothing is written to it any more.
    ///
    /// # Safety
    /// `thread` is the one that it was kept for.
    #[inline(always)]
    pub unsafe fn release(self, thread: *mut Thread) {
        // SAFETY: the caller's promise.
        unsafe { unpin(thread, self.outer) };
    }
}

/// What stands behind the commit word of an [`Extension`], as one word.
#[inline(always)]
fn head(seq: u32, len: usize, role: u8, part: u8) -> u64 {
    seq as u64 | (len as u64) << 32 | (role as u64) << 48 | (part as u64) << 56
}

/// Writes one extension record, whose body is cut at [`MAX_BODY`].
///
/// # Safety
/// `thread` is the calling thread's settled state; the body can be read.
#[inline(never)]
pub unsafe fn extension(thread: *mut Thread, kind: u8, seq: u32, role: u8, body: &[u8]) {
    // SAFETY: the caller's promise.
    unsafe {
        if (1..=ONE_SLOT).contains(&body.len()) {
            one_slot(thread, kind, seq, role, body.as_ptr(), body.len());
        } else {
            several_slots(thread, kind, seq, role, 0, &[body]);
        }
    }
}

/// Likewise of `parts` in a row.
///
/// # Safety
/// As [`extension`].
#[inline(never)]
pub unsafe fn extension_by(thread: *mut Thread, kind: u8, seq: u32, role: u8, part: u8, parts: &[&[u8]]) {
    // SAFETY: the caller's promise.
    unsafe { several_slots(thread, kind, seq, role, part, parts) };
}

#[inline(always)]
unsafe fn several_slots(thread: *mut Thread, kind: u8, seq: u32, role: u8, part: u8, parts: &[&[u8]]) {
    let len = parts.iter().map(|p| p.len()).sum::<usize>().min(MAX_BODY);
    let slots = extension_slots(len);
    // SAFETY: the window's slots are ours; head and body fill no more than `slots` of them.
    unsafe {
        if !still_own(thread) {
            return;
        }
        let Some(window) = reserve(thread, slots as u32) else {
            return region::count_lost_extension();
        };
        let generation = region::generation(window.chunk);
        // For processes and marks, which have ticks in their body.
        let flags = if clock::coarse() { FLAG_COARSE } else { 0 };
        let commit = Commit { generation, kind, slots: slots as u8, state: STATE_DONE, flags };
        let start = window.slot;
        start.add(8).cast::<u64>().write(head(seq, len, role, part));
        let mut at = 0;
        for bytes in parts {
            let n = bytes.len().min(len - at);
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), start.add(Extension::SIZE + at), n);
            at += n;
        }
        window.publish(commit.word());
        window.close(thread);
    }
}

/// The most that the body of an extension of one slot has.
pub const ONE_SLOT: usize = SLOT_BYTES - Extension::SIZE;

/// Writes an extension of one slot, the common case.
///
/// # Safety
/// As [`extension`]; `len` is 1 to [`ONE_SLOT`], and so many bytes can be read at `from`.
#[inline(always)]
pub unsafe fn one_slot(thread: *mut Thread, kind: u8, seq: u32, role: u8, from: *const u8, len: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if !still_own(thread) {
            return;
        }
        let Some(window) = reserve(thread, 1) else { return region::count_lost_extension() };
        fill_one(window.slot, region::generation(window.chunk), kind, seq, role, from, len);
        window.close(thread);
    }
}

/// Likewise in a chunk that is kept. False if it has no room.
///
/// # Safety
/// As [`one_slot`]; the chunk is the thread's, of this generation, and kept.
#[inline(always)]
pub unsafe fn one_slot_in(
    chunk: *mut Chunk,
    generation: u32,
    kind: u8,
    seq: u32,
    role: u8,
    from: *const u8,
    len: usize,
) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let used = thread::fetch_add(&raw mut (*chunk).used, 1);
        if used >= CHUNK_SLOTS {
            return false;
        }
        let slot = slot(chunk, used);
        fetch_ahead(chunk, slot);
        fill_one(slot, generation, kind, seq, role, from, len);
        true
    }
}

/// By overlapping copies of fixed size, which are cheaper than a call of memcpy.
///
/// # Safety
/// As [`one_slot`]; the slot was reserved in a chunk of this generation, which is kept or pinned.
#[inline(always)]
unsafe fn fill_one(slot: *mut u8, generation: u32, kind: u8, seq: u32, role: u8, from: *const u8, len: usize) {
    // SAFETY: the caller's promise; the slot is ours and has 48 bytes behind the head.
    unsafe {
        let to = slot.add(Extension::SIZE);
        if len >= 16 {
            to.cast::<[u8; 16]>().write(from.cast::<[u8; 16]>().read());
            if len > 32 {
                to.add(16).cast::<[u8; 16]>().write(from.add(16).cast::<[u8; 16]>().read());
            }
            to.add(len - 16).cast::<[u8; 16]>().write(from.add(len - 16).cast::<[u8; 16]>().read());
        } else if len >= 4 {
            let low = len.min(8) - 4;
            to.cast::<[u8; 4]>().write(from.cast::<[u8; 4]>().read());
            to.add(low).cast::<[u8; 4]>().write(from.add(low).cast::<[u8; 4]>().read());
            if len > 8 {
                to.add(len - 8).cast::<[u8; 8]>().write(from.add(len - 8).cast::<[u8; 8]>().read());
            }
        } else {
            to.write(from.read());
            to.add(len / 2).write(from.add(len / 2).read());
            to.add(len - 1).write(from.add(len - 1).read());
        }
        slot.add(8).cast::<u64>().write(head(seq, len, role, 0));
        publish(slot, Commit { generation, kind, slots: 1, state: STATE_DONE, flags: 0 }.word());
    }
}
