//! Plain calls that one thread made one after the other: they are in order, so they are held as one.
//!
//! Tens of thousands are held while a busy program is read, which is more than a processor keeps at hand. So what a call
//! has in common with those before it is held once.

use crate::assemble::{DURATION_TICKS, Plain, START_TICKS, Slot, Who, tell_payload, word};
use crate::clock::Clock;
use crate::event::CallInfo;
use sockshim_format::record::Call;

/// Calls, of the last that were unlike, that another one is compared with: programs do a few things in turn.
const LOOKS: usize = 3;

#[derive(Default)]
pub(super) struct Chain {
    who: Who,
    calls: Vec<Held>,
    /// Calls that were unlike those before them.
    kinds: Vec<Slot>,
    /// Calls that it takes at most.
    most: usize,
    /// What they carried: slots.
    payload: Vec<u8>,
    /// Which call is next, and where its payload begins.
    at: usize,
    payload_at: usize,
}

/// What a call has for itself.
#[derive(Clone, Copy)]
struct Held {
    start_ns: u64,
    start_ticks: u64,
    duration_ticks: u64,
    seq: u32,
    /// The one that it is like otherwise.
    kind: u16,
    payload_bytes: u16,
}

/// Whether two calls differ in nothing but what is held of each: `seq` shares a word with `fd`.
#[inline]
fn alike(a: &Slot, b: &Slot) -> bool {
    let alike = |at: usize| word(a, at) == word(b, at);
    alike(0) && alike(3) && alike(4) && alike(5) && word(a, SEQ_AND_FD) >> 32 == word(b, SEQ_AND_FD) >> 32 && alike(7)
}
const SEQ_AND_FD: usize = 6;

impl Chain {
    /// Begins with this call, in place of what was given, and has room for so many.
    pub fn begin(&mut self, who: Who, first: Plain<'_>, payload: &[u8], room: usize) {
        (self.who, self.at, self.payload_at) = (who, 0, 0);
        self.most = room.clamp(1, u16::MAX.into());
        self.calls.clear();
        self.kinds.clear();
        self.payload.clear();
        self.calls.reserve_exact(self.most);
        self.add(first, payload);
    }

    /// Takes a call in, if it is the same thread's, not earlier, and there is room.
    #[inline]
    pub fn push(&mut self, who: Who, plain: Plain<'_>, payload: &[u8]) -> bool {
        let follows = self.who == who && self.calls.last().is_some_and(|last| last.start_ns <= plain.start_ns);
        let takes = follows && self.calls.len() < self.most;
        if takes {
            self.add(plain, payload);
        }
        takes
    }

    #[inline]
    fn add(&mut self, plain: Plain<'_>, payload: &[u8]) {
        let Plain { slot, start_ns } = plain;
        let known = self.kinds.iter().rev().take(LOOKS).position(|kind| alike(kind, slot));
        let kind = match known {
            Some(back) => self.kinds.len() - 1 - back,
            None => {
                self.kinds.push(*slot);
                self.kinds.len() - 1
            }
        };
        let (start_ticks, duration_ticks) = (word(slot, START_TICKS), word(slot, DURATION_TICKS));
        let seq = word(slot, SEQ_AND_FD) as u32;
        let (kind, payload_bytes) = (kind as u16, payload.len() as u16);
        self.calls.push(Held { start_ns, start_ticks, duration_ticks, seq, kind, payload_bytes });
        if !payload.is_empty() {
            self.payload.extend_from_slice(payload);
        }
    }

    /// Takes no more calls, and gives back room that was not needed, if that is much: the next chain will want it.
    pub fn close(&mut self) {
        self.most = self.calls.len();
        if self.most < self.calls.capacity() / 4 {
            self.calls.shrink_to_fit();
        }
        if self.kinds.len() < self.kinds.capacity() / 4 {
            self.kinds.shrink_to_fit();
        }
        if self.payload.len() < self.payload.capacity() / 4 {
            self.payload.shrink_to_fit();
        }
    }

    /// Which call is next.
    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    /// When the next call began.
    pub fn next_ns(&self) -> Option<u64> {
        self.calls.get(self.at).map(|held| held.start_ns)
    }

    /// The first call behind the next one that does not come yet. Of a call's time, and how far behind the next one it
    /// is, `comes` tells; none comes behind one that does not.
    pub fn until(&self, comes: impl Fn(u64, usize) -> bool) -> usize {
        let left = self.calls.get(self.at..).unwrap_or_default();
        let comes = |nth: usize| left.get(nth).is_some_and(|held| comes(held.start_ns, nth));
        // Where one thread makes all calls, all come.
        if left.len().checked_sub(1).is_some_and(comes) {
            return self.calls.len();
        }
        // Else few do: the threads of a busy program take turns.
        let (mut before, mut beyond) = (0, 1);
        while comes(beyond) {
            (before, beyond) = (beyond, beyond * 2);
        }
        while before + 1 < beyond {
            let middle = before.midpoint(beyond);
            if comes(middle) { before = middle } else { beyond = middle }
        }
        self.at + beyond
    }

    /// Tells the next call in place of another one. `told` is which of the kinds that one is of, if it is of this chain:
    /// then no more is told than differs.
    #[inline]
    pub fn tell(&mut self, clock: &Clock, place: &mut CallInfo, told: &mut Option<u16>) -> Option<()> {
        let Held { start_ns, start_ticks, duration_ticks, seq, kind, payload_bytes } = *self.calls.get(self.at)?;
        if *told != Some(kind) {
            place.call = Call::read(self.kinds.get(usize::from(kind))?)?;
            (place.process, place.pid, place.tid) = (self.who.process, self.who.pid, self.who.tid);
            (place.announced, *told) = (false, Some(kind));
        }
        (place.call.start_ticks, place.call.duration_ticks, place.call.seq) = (start_ticks, duration_ticks, seq);
        (place.start_ns, place.end_ns) = (start_ns, start_ns.saturating_add(clock.duration_ns(duration_ticks)));
        if payload_bytes > 0 {
            let end = self.payload_at + usize::from(payload_bytes);
            tell_payload(self.payload.get(self.payload_at..end)?, &mut place.extensions);
            self.payload_at = end;
        } else if !place.extensions.is_empty() {
            place.extensions.clear();
        }
        self.at += 1;
        Some(())
    }
}
