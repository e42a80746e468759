//! The installed region: its header, and the chunks that threads claim from it and seal.
//!
//! # Safety
//! `BASE` points at a mapped region whose header `attach` has checked, and stays mapped for ever.
//! Chunks lie inside it; a chunk's status says who may write to it.

use super::thread::Thread;
use super::{clock, offer, plain};
use crate::{arch, sys};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering::*};
use sockshim_format::region::*;

/// The region; null without one.
static BASE: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());
/// Whether the kernel clears the number of the process in every child that is a copy. If not, `process::came_back` does, which
/// every call asks then.
static WIPES: AtomicBool = AtomicBool::new(true);
/// Whether the region is ours alone, only to print lines from: chunks are reused in place.
static PRIVATE: AtomicBool = AtomicBool::new(false);

/// How long a thread waits at most for a chunk from a tool that gets on, in ticks: about two seconds. Chunks come long
/// before, but others may be faster. (After 200 ms, sixty threads with two processors went on without: then none slept any
/// more, the tool got a thirtieth of what it needed, and half of all calls were lost.)
const PATIENCE_TICKS: u64 = 5_000_000_000;
/// How long it sleeps before it sees whether there still is a tool. (It is woken when there are chunks: hundreds of threads
/// that looked for themselves left the tool next to nothing.)
const PAUSE_NS: u64 = 100_000_000;
/// A heartbeat older than this may be that of a tool that is dead: about half a second.
const HEARTBEAT_TICKS: u64 = 1_250_000_000;

/// Begins to use a region.
///
/// # Safety
/// The mapping lasts until the process ends; the region's header is complete.
pub unsafe fn install(base: *mut u8, private: bool) {
    WIPES.store(plain::wipe_in_children(), Relaxed);
    PRIVATE.store(private, Relaxed);
    // In this order: a thread that comes in between has its old number, and is told apart by it.
    BASE.store(base, Release);
    plain::begin_anew();
}

/// Whether a region is installed.
pub fn installed() -> bool {
    !BASE.load(Relaxed).is_null()
}

/// Whether a child finds the process number cleared by the kernel.
pub fn wipes() -> bool {
    WIPES.load(Relaxed)
}

/// Whether the region serves only to print lines from.
pub fn private() -> bool {
    PRIVATE.load(Relaxed)
}

/// A field of the installed region's header, shared with the tool and other processes.
macro_rules! header {
    ($field:ident: $type:ty) => {
        $crate::recorder::region::header_field::<$type>(core::mem::offset_of!(sockshim_format::region::Header, $field))
    };
}
pub(super) use header;

/// The field at `offset`. Only for `header!`, which takes the offset from the layout and names an
/// atomic type of the field's size.
pub(super) fn header_field<T>(offset: usize) -> &'static T {
    // SAFETY: an installed region begins with a Header, and is mapped for ever; see above.
    unsafe { &*BASE.load(Relaxed).add(offset).cast::<T>() }
}

/// Takes the next process number, and leaves the pid where a later shim looks for living processes: in
/// the place of one that has ended, never of one that lives. A parent outlives its many children, even
/// those that are there all at once.
pub fn take_process_number(pid: u32) -> u32 {
    for place in header!(attached: [AtomicU32; ATTACHED]) {
        let other = place.load(Relaxed);
        let vacant = other == 0 || other == pid || (super::may_ask() && !sys::process_exists(other));
        if vacant && place.compare_exchange(other, pid, Relaxed, Relaxed).is_ok() {
            break;
        }
    }
    header!(processes: AtomicU32).fetch_add(1, AcqRel).wrapping_add(1)
}

/// The region and its bytes, if it is one that others can read.
pub fn readable() -> Option<(*const u8, usize)> {
    let there = installed() && !private();
    there.then(|| (BASE.load(Relaxed).cast_const(), bytes() as usize))
}

/// Its bytes.
pub fn bytes() -> u64 {
    header!(region_bytes: AtomicU64).load(Relaxed)
}

/// Whether these are the first bytes of the file that the region is.
pub fn begins_so(start: &[u8; Header::SIZE]) -> bool {
    const ID: usize = core::mem::offset_of!(Header, id);
    // Written before the region was anybody's, and never again: it needs no atomic.
    header!(id: [u8; 16]).iter().eq(start.iter().skip(ID).take(16))
}

/// All chunks have the room that they need.
pub fn is_sparse_no_more() {
    header!(flags: AtomicU32).fetch_and(!REGION_SPARSE, Release);
}

/// How many processes have attached.
pub fn processes() -> u32 {
    if installed() { header!(processes: AtomicU32).load(Relaxed) } else { 0 }
}

/// Counts calls that could not be recorded.
#[cold]
pub fn count_lost() {
    header!(lost: AtomicU64).fetch_add(1, Relaxed);
}

/// Counts calls that a filter has left out.
pub fn count_left_out() {
    header!(left_out: AtomicU64).fetch_add(1, Relaxed);
}

/// Counts extensions that could not be recorded.
#[cold]
pub fn count_lost_extension() {
    header!(lost_extensions: AtomicU64).fetch_add(1, Relaxed);
}

/// Stores a later calibration point, for a trace without a tool.
pub fn calibrate_again() {
    if installed() && super::may_ask() && clock::tells(header!(clock: AtomicU32).load(Relaxed)) {
        let (ticks, mono_ns, _) = clock::calibrate();
        header!(last_ticks: AtomicU64).store(ticks, Relaxed);
        header!(last_mono_ns: AtomicU64).store(mono_ns, Relaxed);
    }
}

/// The zero of the text log's clock, and what converts ticks to nanoseconds: the first calibration
/// point, and how far the last one is from it, each as (ticks, CLOCK_MONOTONIC).
pub fn time_base() -> ((u64, u64), (u64, u64)) {
    let ticks = header!(first_ticks: AtomicU64).load(Relaxed);
    let mono_ns = header!(first_mono_ns: AtomicU64).load(Relaxed);
    let last_ticks = header!(last_ticks: AtomicU64).load(Relaxed);
    let last_mono_ns = header!(last_mono_ns: AtomicU64).load(Relaxed);
    ((ticks, mono_ns), (last_ticks.wrapping_sub(ticks), last_mono_ns.wrapping_sub(mono_ns)))
}

/// A word of one of the two bitmaps.
///
/// # Safety
/// `offset` is `free_offset` or `full_offset` of the header, and `word` below chunk_count / 64.
pub(super) unsafe fn bitmap(offset: u32, word: usize) -> &'static AtomicU64 {
    // SAFETY: the caller's promise; `attach` checked that the bitmaps lie inside the mapping.
    unsafe { &*BASE.load(Relaxed).add(offset as usize).cast::<AtomicU64>().add(word) }
}

pub(super) fn chunk_at(index: usize) -> *mut Chunk {
    let offset = header!(chunks_offset: AtomicU32).load(Relaxed) as usize + index * CHUNK_BYTES;
    // SAFETY: callers pass an index below chunk_count, so the chunk lies inside the mapping.
    unsafe { BASE.load(Relaxed).add(offset).cast() }
}

/// The status word of a chunk, as threads and the tool share it.
///
/// # Safety
/// `chunk` lies in the installed region.
#[inline(always)]
pub unsafe fn status(chunk: *mut Chunk) -> &'static AtomicU64 {
    // SAFETY: the caller's promise; `status` is the first field, aligned to 8.
    unsafe { &*(&raw const (*chunk).status).cast::<AtomicU64>() }
}

/// The generation of a chunk that the calling thread owns.
///
/// # Safety
/// As [`status`].
#[inline(always)]
pub unsafe fn generation(chunk: *mut Chunk) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { (status(chunk).load(Relaxed) >> 32) as u32 }
}

/// Claims a free chunk for the calling thread. Waits for the tool, briefly, while it shows that it
/// lives; None means that there is none.
///
/// # Safety
/// `thread` is the calling thread's settled state.
pub unsafe fn claim(thread: *mut Thread) -> Option<*mut Chunk> {
    // SAFETY: the state is ours, and a claimed chunk is ours alone from the exchange on.
    unsafe {
        let (mut deadline, mut seen) = (0, 0);
        loop {
            if let Some(chunk) = search(thread) {
                (*thread).starved = 0;
                return Some(chunk);
            }
            // Who has found that there is none to be had does not ask at every call, but now and then: a disk may have been full
            // for a while.
            if ((*thread).starved == 0 || offer::is_worth_another_try()) && offer::more() {
                continue;
            }
            let now = clock::now();
            let may_ask = super::may_ask();
            if private() && may_ask && deadline == 0 {
                deadline = now;
                free_the_dead();
                continue;
            }
            if deadline == 0 && (*thread).starved == 0 && tool_lives(now) {
                deadline = now + PATIENCE_TICKS;
            }
            // Who may not ask cannot tell a tool that has died from one that waits for a processor, for which we are in the way.
            if now >= deadline || (may_ask && !tool_lives(now)) {
                (*thread).starved = 1;
                return None;
            }
            if !may_ask {
                core::hint::spin_loop();
                continue;
            }
            // What was given back since before the search has to be looked for first. (The tool writes to that line all the
            // time: who finds a chunk does not look there.)
            let given = header!(given: AtomicU32);
            let before = core::mem::replace(&mut seen, given.load(SeqCst));
            if before == seen {
                // The tool may need the very processor that we wait on.
                header!(waiting: AtomicU32).fetch_add(1, SeqCst);
                sys::wait_while(given, seen, PAUSE_NS);
                header!(waiting: AtomicU32).fetch_sub(1, SeqCst);
            }
        }
    }
}

/// Whether there is a tool that will free chunks: it has shown so lately, or is there at least. Where hundreds of threads
/// want the processors it comes to show it once in half a second.
fn tool_lives(now: u64) -> bool {
    let heartbeat = header!(heartbeat: AtomicU64).load(Relaxed);
    let lately = now.wrapping_sub(heartbeat) < HEARTBEAT_TICKS;
    let is_there = || super::may_ask() && sys::process_exists(header!(tool_pid: AtomicU32).load(Relaxed));
    heartbeat != 0 && (lately || is_there())
}

/// Looks for a free chunk, lowest first: what was used last is warm, and the working set small.
unsafe fn search(thread: *mut Thread) -> Option<*mut Chunk> {
    let free = header!(free_offset: AtomicU32).load(Relaxed);
    let count = header!(chunk_count: AtomicU32).load(Relaxed) as usize;
    for word in 0..count.div_ceil(64) {
        // SAFETY: the word is below chunk_count / 64, rounded up.
        let bits = unsafe { bitmap(free, word) };
        let mut left = bits.load(Relaxed);
        while left != 0 {
            let bit = left.trailing_zeros();
            left &= left - 1;
            let chunk = chunk_at(word * 64 + bit as usize);
            // SAFETY: bits are set for chunks inside the region only.
            let status = unsafe { status(chunk) };
            let found = status.load(Relaxed);
            let generation = ((found >> 32) as u32).wrapping_add(1);
            if found as u32 != CHUNK_FREE {
                continue;
            }
            let owned = chunk_status(generation, CHUNK_OWNED);
            if status.compare_exchange(found, owned, AcqRel, Relaxed).is_err() {
                continue;
            }
            bits.fetch_and(!(1 << bit), Relaxed);
            // Most likely the next that is claimed; until then its header will be here. The tool has had it last.
            if left != 0 {
                arch::fetch_to_write(chunk_at(word * 64 + left.trailing_zeros() as usize) as usize);
            }
            // SAFETY: the exchange made the chunk ours.
            unsafe { describe(chunk, generation, thread) };
            return Some(chunk);
        }
    }
    None
}

/// Writes the header of a chunk that was just claimed; its generation last.
unsafe fn describe(chunk: *mut Chunk, generation: u32, thread: *mut Thread) {
    // SAFETY: the chunk and the state are the calling thread's. `used` and `identity_generation`
    // are read by the tool at any time, so they are stored atomically.
    unsafe {
        (*(&raw const (*chunk).used).cast::<AtomicU32>()).store(0, Relaxed);
        (*chunk).process = (*thread).process;
        (*chunk).pid = super::process::pid();
        (*chunk).tid = (*thread).tid;
        (*chunk).number = (*thread).chunks;
        (*chunk).claimed_ticks = clock::now();
        (*chunk).lost = (*thread).lost;
        (*thread).chunks += 1;
        (*thread).lost = 0;
        (*(&raw const (*chunk).identity_generation).cast::<AtomicU32>()).store(generation, Release);
    }
}

/// Leaves a chunk for good: the tool may recycle it once it has read it.
///
/// # Safety
/// The chunk was the calling thread's, and nothing of ours writes to it any more.
pub unsafe fn seal(chunk: *mut Chunk) {
    let first = header!(chunks_offset: AtomicU32).load(Relaxed) as usize;
    let full = header!(full_offset: AtomicU32).load(Relaxed);
    let index = (chunk as usize).wrapping_sub(BASE.load(Relaxed) as usize + first) / CHUNK_BYTES;
    // One of the private region that this one has taken the place of: nobody reads it.
    if index >= header!(chunk_count: AtomicU32).load(Relaxed) as usize {
        return;
    }
    // SAFETY: the chunk lies in the region, so its bit does too.
    unsafe { bitmap(full, index / 64) }.fetch_or(1 << (index % 64), Release);
}

/// Begins a chunk of a private region anew, for its own thread.
///
/// # Safety
/// The chunk is the calling thread's, and nothing of ours writes to it any more.
pub unsafe fn reuse(chunk: *mut Chunk) {
    // SAFETY: the caller's promise. Slots of the old generation are no records of the new one.
    unsafe {
        let next = generation(chunk).wrapping_add(1);
        status(chunk).store(chunk_status(next, CHUNK_OWNED), Relaxed);
        (*(&raw const (*chunk).used).cast::<AtomicU32>()).store(0, Relaxed);
    }
}

/// In a private region nobody else cleans up: takes back the chunks of threads that have ended.
fn free_the_dead() {
    let free = header!(free_offset: AtomicU32).load(Relaxed);
    for index in 0..header!(chunk_count: AtomicU32).load(Relaxed) as usize {
        let chunk = chunk_at(index);
        // SAFETY: inside the region. A chunk whose thread is gone has no other user; two threads
        // that come here together are told apart by the exchange.
        unsafe {
            let found = status(chunk).load(Acquire);
            let gone = found as u32 == CHUNK_OWNED && !sys::thread_exists((*chunk).pid, (*chunk).tid);
            let freed = chunk_status((found >> 32) as u32, CHUNK_FREE);
            if gone && status(chunk).compare_exchange(found, freed, AcqRel, Relaxed).is_ok() {
                bitmap(free, index / 64).fetch_or(1 << (index % 64), Release);
            }
        }
    }
}
