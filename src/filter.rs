//! Which calls are recorded, where the program has said so: `sockshim_filter`.
//!
//! A filter is rules in the words of a plan that choose and do nothing else. One that is about a socket (its peer, its
//! own end, its family) means that socket from the first call on for which it holds, to its end. Nothing is told of
//! a socket before that, and then what it is; once it is on record, the calls that copy or end it are, whatever the
//! rules say, for otherwise it would seem to be open for ever.

use crate::inject::choose::{Facts, elsewhere};
use crate::inject::{Mistake, Words, keep, read};
use crate::recorder::left_out::{self, Known};
use crate::recorder::{descriptors, may_ask, region};
use crate::sys;
use core::ffi::CStr;
use core::sync::atomic::{AtomicPtr, Ordering::*};
use sockshim_format::op::{Op, Phase};
use sockshim_format::plan::{Plan, may_fail, parse_filter};

/// A filter that is in force.
struct Loaded {
    plan: Plan,
    /// Of its rules those that are about another program, a bit each.
    elsewhere: u32,
}

/// The filter, null without one. Never freed: another thread may be reading it.
static FILTER: AtomicPtr<Loaded> = AtomicPtr::new(core::ptr::null_mut());

/// Records from now on what the text says, and nothing else.
pub fn install(text: &CStr) -> Result<(), Mistake<'_>> {
    let plan = read(text, parse_filter)?;
    let place = keep(Loaded { elsewhere: elsewhere(&plan), plan });
    if place.is_null() || !left_out::begin() {
        return Err(Mistake { word: text.to_bytes(), why: "too much: there is no memory" });
    }
    FILTER.store(place, Release);
    Ok(())
}

/// Records everything again.
pub fn clear() {
    if !FILTER.swap(core::ptr::null_mut(), AcqRel).is_null() {
        left_out::end();
    }
}

/// Whether there is a filter.
#[inline(always)]
pub fn is_there() -> bool {
    !FILTER.load(Relaxed).is_null()
}

/// Whether a call that is coming in with these arguments is left out. It is counted then.
#[cold]
#[inline(never)]
pub fn leaves_out(op: Op, words: &Words) -> bool {
    // SAFETY: null, or a filter that `install` has written and that stays mapped.
    let Some(filter) = (unsafe { FILTER.load(Acquire).as_ref() }) else { return false };
    let facts = Facts::of(op, words);
    if !may_fail(op) || descriptors::is_other(facts.fd) {
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
    let known = Known::of(socket);
    let before = known.map_or(0, |known| known.meant.load(Relaxed));
    let moves = matches!(op.base(), Op::Connect | Op::Bind | Op::Listen | Op::Sendto);
    let settled = known.is_some_and(|known| known.settled.load(Relaxed)) && !moves;
    let process = region::process().load(Relaxed);
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
        wanted |= known.is_told() && ends(op, words);
        if wanted && !known.is_told() {
            // Met for the first time, as far as the record goes.
            descriptors::forget(facts.fd);
        }
        if matches!(op.base(), Op::Close | Op::Fclose) {
            known.forget();
        }
    }
    if !wanted {
        left_out::count();
    }
    !wanted
}

/// Whether a call copies or ends what a descriptor names.
fn ends(op: Op, words: &Words) -> bool {
    let copies = || matches!(words.get(1).map(|word| *word as i32), Some(libc::F_DUPFD | libc::F_DUPFD_CLOEXEC));
    match op.base() {
        Op::Dup | Op::Dup2 | Op::Dup3 => true,
        Op::Fcntl => copies(),
        op => op.phase() == Phase::Disconnect,
    }
}
