//! Which calls are recorded, where the program has said so: `sockshim_filter`.
//!
//! A filter is rules in the words of a plan that choose and do nothing else. One that is about a socket (its peer, its
//! own end, its family) means that socket from the first call on for which it holds, to its end. Nothing is told of
//! a socket before that, and then what it is; once it is on record, the calls that copy or end it are, whatever the
//! rules say, for otherwise it would seem to be open for ever.

use crate::inject::choose::{Facts, elsewhere};
use crate::inject::{Mistake, Words, keep, read};
use crate::next;
use crate::recorder::{descriptors, left_out, may_ask, plain};
use crate::sys;
use core::ffi::{CStr, c_int};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering::*};
use sockshim_format::op::{Op, Phase};
use sockshim_format::plan::{Plan, may_fail, parse_filter};

/// A filter that is in force.
struct Loaded {
    plan: Plan,
    /// Of its rules those that are about another program, a bit each.
    elsewhere: u32,
    /// No other filter of the process has this number.
    number: u32,
}

/// The filter, null without one. Never freed: another thread may be reading it.
static FILTER: AtomicPtr<Loaded> = AtomicPtr::new(core::ptr::null_mut());

/// Records from now on what the text says, and nothing else.
pub fn install(text: &CStr) -> Result<(), Mistake<'_>> {
    static NEXT: AtomicU32 = AtomicU32::new(TAKING + 1);
    let plan = read(text, parse_filter)?;
    let place = keep(Loaded { elsewhere: elsewhere(&plan), plan, number: NEXT.fetch_add(1, Relaxed) });
    if place.is_null() || !room() {
        return Err(Mistake { word: text.to_bytes(), why: "too much: there is no memory" });
    }
    FILTER.store(place, Release);
    left_out::FILTERED.store(true, Relaxed);
    Ok(())
}

/// Records everything again. What was left out is met when it is used.
pub fn clear() {
    FILTER.store(core::ptr::null_mut(), Release);
    left_out::FILTERED.store(false, Relaxed);
}

/// Whether there is a filter.
#[inline(always)]
pub fn is_there() -> bool {
    !FILTER.load(Relaxed).is_null()
}

/// Sockets that are known at a time. Further ones take the place of others, which rules then have to be asked about again.
const SOCKETS: usize = 4096;
/// Places where a socket may be found.
const TRIES: usize = 8;
/// Instead of the number of a filter: a place that is free, and one that is being taken.
const FREE: u32 = 0;
const TAKING: u32 = 1;

/// A socket that a filter has been asked about.
struct Known {
    /// The number of the filter: what another one knew counts no more.
    filter: AtomicU32,
    /// The rules that mean it, a bit each.
    meant: AtomicU32,
    socket: AtomicU64,
    /// Whether its peer was known when that was found out, so that it stays so.
    settled: AtomicBool,
}

/// Mapped with the first filter, and kept: programs that lock their memory pay for what is mapped.
static TABLE: AtomicPtr<[Known; SOCKETS]> = AtomicPtr::new(core::ptr::null_mut());

/// Makes room for the table, if it is not there yet; false if there is no memory.
fn room() -> bool {
    if !TABLE.load(Acquire).is_null() {
        return true;
    }
    let size = size_of::<[Known; SOCKETS]>();
    // Pages of zeros are a table of places that are free.
    let place: *mut [Known; SOCKETS] = sys::mmap(size, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1).cast();
    // Of two filters that begin at the same time one table stays unused.
    if !place.is_null() {
        let _ = TABLE.compare_exchange(core::ptr::null_mut(), place, AcqRel, Acquire);
    }
    !place.is_null()
}

impl Known {
    fn places(socket: u64) -> impl Iterator<Item = &'static Known> {
        // SAFETY: null, or a table that `room` has mapped and that stays mapped.
        let table: &[Known] = unsafe { TABLE.load(Acquire).as_ref() }.map_or(&[], |table| table);
        let start = (socket.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize;
        (start..start + TRIES).filter_map(|place| table.get(place % SOCKETS))
    }

    /// What a filter knows of a socket; `None` if it is not known which one it is.
    fn of(socket: u64, filter: u32) -> Option<&'static Known> {
        if socket == 0 {
            return None;
        }
        let is_it = |known: &&Known| known.filter.load(Acquire) == filter && known.socket.load(Relaxed) == socket;
        if let Some(known) = Known::places(socket).find(is_it) {
            return Some(known);
        }
        let take = |known: &&Known, before: u32| {
            before != TAKING && known.filter.compare_exchange(before, TAKING, Acquire, Relaxed).is_ok()
        };
        let free = |known: &&Known| {
            let before = known.filter.load(Relaxed);
            before != filter && take(known, before)
        };
        let full = |known: &&Known| take(known, filter);
        let known = Known::places(socket).find(free).or_else(|| Known::places(socket).find(full))?;
        known.meant.store(0, Relaxed);
        known.settled.store(false, Relaxed);
        known.socket.store(socket, Relaxed);
        known.filter.store(filter, Release);
        Some(known)
    }
}

/// Whether a call that is coming in with these arguments is left out. It is counted then.
#[cold]
#[inline(never)]
pub fn leaves_out(op: Op, words: &Words) -> bool {
    // SAFETY: null, or a filter that `install` has written and that stays mapped.
    let Some(filter) = (unsafe { FILTER.load(Acquire).as_ref() }) else { return false };
    let facts = Facts::of(op, words);
    if !may_fail(op) || descriptors::is_other(facts.fd) || ends_what_is_told(op, words) {
        return false;
    }
    let socket = match descriptors::known(facts.fd) {
        0 if facts.fd >= 0 && may_ask() => sys::cookie(facts.fd).unwrap_or(0),
        socket => socket,
    };
    // What is no socket is the hook's business: it knows which calls are about sockets alone.
    if socket == 0 && facts.fd >= 0 && op.phase() != Phase::Wait {
        return false;
    }
    let known = Known::of(socket, filter.number);
    let before = known.map_or(0, |known| known.meant.load(Relaxed));
    let moves = matches!(op.base(), Op::Connect | Op::Bind | Op::Listen | Op::Sendto);
    let settled = known.is_some_and(|known| known.settled.load(Relaxed)) && !moves;
    let process = plain::process().load(Relaxed);
    let (mut meant, mut wanted) = (before, false);
    for (index, rule) in filter.plan.rules().iter().enumerate() {
        if filter.elsewhere >> index & 1 == 0 && (rule.process_number == 0 || rule.process_number == process) {
            if meant >> index & 1 == 0 && !settled && facts.is_at(rule) {
                meant |= 1 << index;
            }
            wanted |= meant >> index & 1 != 0 && rule.functions.has(op) && facts.is_fd(rule);
        }
    }
    if let Some(known) = known {
        known.meant.store(meant, Relaxed);
        known.settled.store(settled || facts.has_peer(), Relaxed);
        if op.base() == Op::Close {
            known.filter.store(FREE, Relaxed);
        }
    }
    if !wanted {
        left_out::count();
    }
    !wanted
}

/// Whether a call copies or ends what a descriptor names that is on record, or may be: of one that was never asked
/// about, nobody knows.
fn ends_what_is_told(op: Op, words: &Words) -> bool {
    let [first, second, third, ..] = *words;
    let told = |fd: usize| descriptors::is_on_record(fd as c_int);
    match op.base() {
        Op::Dup => told(first),
        Op::Dup2 | Op::Dup3 => told(first) || told(second),
        Op::Fcntl => matches!(second as c_int, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) && told(first),
        // SAFETY: libc is going to use the stream itself.
        Op::Fclose => told(unsafe { next::fileno(first as *mut libc::FILE) } as usize),
        // SAFETY: likewise.
        Op::Freopen => told(unsafe { next::fileno(third as *mut libc::FILE) } as usize),
        // Flags (the third argument) of which one may be CLOSE_RANGE_CLOEXEC: recorded for nothing, at worst.
        Op::CloseRange => descriptors::sockets_between(first as u32, second as u32).next().is_some(),
        Op::Shutdown => told(first),
        Op::Close => descriptors::may_be_on_record(first as c_int),
        _ => false,
    }
}
