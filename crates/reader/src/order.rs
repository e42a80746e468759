//! Events of many threads, by time.

use crate::assemble::{Plain, Who};
use crate::event::Event;
use chain::Chain;
pub use events::Events;
pub use flow::{Calls, Flow, Next};
use std::collections::VecDeque;

mod chain;
mod events;
mod flow;

/// How much later than others an event may be told: the time for which the region holds a call back
/// before it tells it as entered, and two ticks of the coarse clock.
pub const HOLD_NS: u64 = 30_000_000;

/// Holds events back until nothing earlier can come, and gives them in order.
///
/// A call stands at the time when it was entered; a long one stands there as
/// [`Event::Entered`], and as [`Event::Call`] at the time when it ended. So what has to be held back
/// is bounded, however long a call takes.
#[derive(Default)]
struct Reorder {
    /// Sorted by time.
    order: VecDeque<Held>,
    /// What was pushed since it was sorted.
    fresh: Vec<Held>,
    /// The events themselves, which are too large to be moved about.
    events: Vec<Option<Event>>,
    vacant: Vec<usize>,
    /// Plain calls, which most are.
    chains: Vec<Chain>,
    vacant_chains: Vec<usize>,
    /// The chain that the last event went to, and may go on.
    open: Option<usize>,
    /// Plain calls that may come before the chain ends.
    room: usize,
    /// Calls of the first chain that are given one after the other. Meanwhile it stands in the order as when the first
    /// of them was next.
    turn: Option<Turn>,
    pushed: u64,
    latest_ns: u64,
}

/// Up to where events may be given.
#[derive(Clone, Copy)]
enum Until {
    /// Those in front of this time.
    Time(u64),
    /// All of them.
    End,
}

impl Until {
    #[inline]
    fn gives(self, time_ns: u64) -> bool {
        match self {
            Until::Time(before_ns) => time_ns < before_ns,
            Until::End => true,
        }
    }
}

/// An event that is held: its time; its number, which keeps events of one time as they came; its
/// place among the events, or, with CHAIN, among the chains. A chain is held as the first of its calls.
type Held = (u64, u64, usize);
const CHAIN: usize = 1 << (usize::BITS - 1);

/// Calls of a chain that come in front of all else: from one on, which has this number, up to another.
#[derive(Clone, Copy)]
struct Turn {
    place: usize,
    from: usize,
    number: u64,
    end: usize,
}

/// Where that lies which is next.
enum First {
    Event(usize),
    /// A chain, and its first call that is not next.
    Chain(usize, usize),
}

impl Reorder {
    /// Takes in an event. One without a time of its own stands behind the one before it.
    fn push(&mut self, event: Event) {
        let time_ns = event.time_ns().unwrap_or(self.latest_ns);
        (self.latest_ns, self.open) = (time_ns, None);
        let place = self.vacant.pop().unwrap_or(self.events.len());
        match self.events.get_mut(place) {
            Some(vacant) => *vacant = Some(event),
            None => self.events.push(Some(event)),
        }
        self.hold(time_ns, place);
    }

    /// A run of records begins, which has so many slots.
    fn begin_run(&mut self, slots: usize) {
        if let Some(chain) = self.open.take().and_then(|place| self.chains.get_mut(place)) {
            chain.close();
        }
        self.room = slots;
    }

    /// Takes in a plain call.
    #[inline]
    fn push_plain(&mut self, who: Who, plain: Plain<'_>, payload: &[u8]) {
        self.latest_ns = plain.start_ns;
        if let Some(chain) = self.open.and_then(|place| self.chains.get_mut(place))
            && chain.push(who, plain, payload)
        {
            self.pushed += 1;
            self.room = self.room.saturating_sub(1);
            return;
        }
        self.begin_chain(who, plain, payload);
    }

    fn begin_chain(&mut self, who: Who, plain: Plain<'_>, payload: &[u8]) {
        let place = self.vacant_chains.pop().unwrap_or(self.chains.len());
        if place == self.chains.len() {
            self.chains.push(Chain::default());
        }
        if let Some(chain) = self.chains.get_mut(place) {
            chain.begin(who, plain, payload, self.room);
        }
        self.hold(plain.start_ns, place | CHAIN);
        (self.open, self.room) = (Some(place), self.room.saturating_sub(1));
    }

    fn hold(&mut self, time_ns: u64, place: usize) {
        let held = (time_ns, self.pushed, place);
        self.pushed += 1;
        // What one thread tells is in order already.
        if self.fresh.is_empty() && self.order.back().is_none_or(|last| *last < held) {
            self.order.push_back(held);
        } else {
            self.fresh.push(held);
        }
    }

    /// The event at a place, which is then vacant.
    fn take(&mut self, place: usize) -> Option<Event> {
        self.vacant.push(place);
        self.events.get_mut(place)?.take()
    }

    /// Whether there is something to give.
    #[inline]
    fn has_next(&mut self, until: Until) -> bool {
        if self.takes_turn() {
            return true;
        }
        self.end_turn();
        self.order.front().is_some_and(|(time_ns, ..)| until.gives(*time_ns))
    }

    /// Whether calls of the first chain are still to be given one after the other.
    #[inline]
    fn takes_turn(&self) -> bool {
        let chain = |place: usize| self.chains.get(place);
        self.turn.is_some_and(|turn| chain(turn.place).is_some_and(|chain| chain.at() < turn.end))
    }

    /// What is next of the events that are sorted; an event is then held no more.
    #[inline]
    fn next(&mut self, until: Until) -> Option<First> {
        match self.turn {
            Some(Turn { place, end, .. }) if self.takes_turn() => Some(First::Chain(place, end)),
            _ => self.next_turn(until),
        }
    }

    fn next_turn(&mut self, until: Until) -> Option<First> {
        self.end_turn();
        let (time_ns, number, place) = *self.order.front()?;
        // Hostile times end at the end of time.
        if !until.gives(time_ns) {
            return None;
        }
        if place & CHAIN == 0 {
            self.order.pop_front();
            return Some(First::Event(place));
        }
        let (other, place) = (self.order.get(1), place & !CHAIN);
        let chain = self.chains.get(place)?;
        let end = chain.until(|time_ns, nth| {
            until.gives(time_ns) && other.is_none_or(|other| (time_ns, number + nth as u64) < (other.0, other.1))
        });
        self.turn = Some(Turn { place, from: chain.at(), number, end });
        Some(First::Chain(place, end))
    }

    /// Puts the chain whose calls were given to where the next of them stands.
    fn end_turn(&mut self) {
        let Some(Turn { place, from, number, .. }) = self.turn.take() else { return };
        let Some(chain) = self.chains.get(place) else { return };
        match chain.next_ns() {
            Some(time_ns) => self.put_back((time_ns, number + (chain.at() - from) as u64, place | CHAIN)),
            None => {
                self.order.pop_front();
                self.vacant_chains.push(place);
            }
        }
    }

    /// What was first has another time now.
    fn put_back(&mut self, held: Held) {
        let next = self.order.get(1).copied();
        match self.order.front_mut() {
            Some(first) if next.is_none_or(|next| held < next) => *first = held,
            _ => {
                self.order.pop_front();
                let at = self.order.partition_point(|other| *other < held);
                self.order.insert(at, held);
            }
        }
    }

    /// Drops an event that was looked at where it lies.
    fn forget(&mut self, place: usize) {
        if let Some(event) = self.events.get_mut(place) {
            *event = None;
        }
        self.vacant.push(place);
    }

    /// Merges what is fresh into the order: little of the latter is later than any of the former.
    fn sort(&mut self) {
        self.end_turn();
        // Each thread's own are in order: a sort that finds such runs has little to do.
        if !self.fresh.is_sorted() {
            self.fresh.sort();
        }
        let Some(first) = self.fresh.first() else { return };
        let from = self.order.partition_point(|held| held < first);
        let mut later = self.order.split_off(from).into_iter().peekable();
        for held in self.fresh.drain(..) {
            while let Some(earlier) = later.next_if(|later| *later < held) {
                self.order.push_back(earlier);
            }
            self.order.push_back(held);
        }
        self.order.extend(later);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::MarkInfo;

    fn mark(time_ns: u64, tid: u32) -> Event {
        Event::Mark(MarkInfo { process: 1, pid: 1, tid, time_ns, text: Vec::new() })
    }

    fn given(reorder: &mut Reorder, until: Until) -> Vec<(u64, u32)> {
        let mut given = Vec::new();
        reorder.sort();
        while let Some(First::Event(place)) = reorder.next(until) {
            match reorder.take(place) {
                Some(Event::Mark(mark)) => given.push((mark.time_ns, mark.tid)),
                Some(Event::Lost { count, .. }) => given.push((0, count)),
                _ => {}
            }
        }
        given
    }

    #[test]
    fn events_come_in_order_and_as_they_came() {
        let mut reorder = Reorder::default();
        for (time_ns, tid) in [(5, 1), (9, 1), (2, 2), (5, 2)] {
            reorder.push(mark(time_ns, tid));
        }
        reorder.push(Event::Lost { process: 1, tid: 2, count: 77 });
        let first = given(&mut reorder, Until::Time(6));
        for (time_ns, tid) in [(7, 3), (12, 3), (6, 4)] {
            reorder.push(mark(time_ns, tid));
        }
        reorder.push(mark(u64::MAX, 5));
        let rest = given(&mut reorder, Until::End);
        assert_eq!(first, [(2, 2), (5, 1), (5, 2), (0, 77)]);
        assert_eq!(rest, [(6, 4), (7, 3), (9, 1), (12, 3), (u64::MAX, 5)]);
    }
}
