//! Events of many threads, by time.

use crate::assemble::{Assembler, Plain, Told};
use crate::clock::Clock;
use crate::error::Error;
use crate::event::Event;
use crate::trace::Trace;
use chain::Chain;
use sockshim_format::region::SLOT_BYTES;
use std::collections::VecDeque;

mod chain;

/// How much later than others an event may be told: the time for which the region holds a call back
/// before it tells it as entered, and two ticks of the coarse clock.
pub const HOLD_NS: u64 = 30_000_000;

/// Holds events back until nothing earlier can come, and gives them in order.
///
/// A call stands at the time when it was entered; a long one stands there as
/// [`Event::Entered`], and as [`Event::Call`] at the time when it ended. So what has to be held back
/// is bounded, however long a call takes.
#[derive(Default)]
pub struct Reorder {
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

/// An event that is held: its time; its number, which keeps events of one time as they came; its
/// place among the events, or, with CHAIN, among the chains. A chain is held as the first of its calls.
type Held = (u64, u64, usize);
const CHAIN: usize = 1 << (usize::BITS - 1);

/// What is next.
enum Next<'a> {
    /// The place of an event.
    Event(usize),
    Plain(&'a Plain, &'a [u8]),
}

impl Reorder {
    /// Takes in an event. One without a time of its own stands behind the one before it.
    pub fn push(&mut self, event: Event) {
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
    fn push_plain(&mut self, plain: Plain, payload: &[u8]) {
        self.latest_ns = plain.start_ns;
        if let Some(chain) = self.open.and_then(|place| self.chains.get_mut(place))
            && chain.push(plain, payload)
        {
            self.pushed += 1;
            self.room = self.room.saturating_sub(1);
            return;
        }
        self.begin_chain(plain, payload);
    }

    fn begin_chain(&mut self, plain: Plain, payload: &[u8]) {
        let chain = Chain::new(plain, payload, self.room);
        let place = self.vacant_chains.pop().unwrap_or(self.chains.len());
        match self.chains.get_mut(place) {
            Some(vacant) => *vacant = chain,
            None => self.chains.push(chain),
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

    /// Gives the events that nothing can come in front of any more, when every call that ended
    /// before `complete_ns` has been pushed.
    pub fn release(&mut self, complete_ns: u64, sink: &mut dyn FnMut(Event)) {
        self.give(Until::Time(complete_ns.saturating_sub(HOLD_NS)), sink);
    }

    /// Gives all that is left.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Event)) {
        self.give(Until::End, sink);
    }

    fn give(&mut self, until: Until, sink: &mut dyn FnMut(Event)) {
        self.sort();
        // Plain calls are pushed by `Events` alone.
        while let Some(Next::Event(place)) = self.next(until) {
            self.take(place).into_iter().for_each(&mut *sink);
        }
    }

    /// The event at a place, which is then vacant.
    fn take(&mut self, place: usize) -> Option<Event> {
        self.vacant.push(place);
        self.events.get_mut(place)?.take()
    }

    /// What is next of the events that are sorted, and is held no more.
    #[inline]
    fn next(&mut self, until: Until) -> Option<Next<'_>> {
        let (time_ns, number, place) = *self.order.front()?;
        // Hostile times end at the end of time.
        if let Until::Time(before_ns) = until
            && time_ns >= before_ns
        {
            return None;
        }
        if place & CHAIN == 0 {
            self.order.pop_front();
            return Some(Next::Event(place));
        }
        let (given, behind) = self.chains.get_mut(place & !CHAIN)?.give()?;
        match behind {
            Some(time_ns) => self.put_back((time_ns, number + 1, place)),
            None => {
                self.order.pop_front();
                self.vacant_chains.push(place & !CHAIN);
            }
        }
        let (plain, payload) = self.chains.get(place & !CHAIN)?.get(given)?;
        Some(Next::Plain(plain, payload))
    }

    /// What was first has another time now.
    #[inline]
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

/// Puts what is told into order.
struct Push<'a> {
    reorder: &'a mut Reorder,
    clock: &'a Clock,
    /// It is of earlier files of the run. Where its thread stands is all that a call without anything says.
    carried: bool,
}

impl Told for Push<'_> {
    fn event(&mut self, event: Event) {
        match event {
            Event::Call(call) if self.carried && call.extensions.is_empty() => {}
            Event::Call(call) if self.carried => self.reorder.push(Event::Earlier(call)),
            event => self.reorder.push(event),
        }
    }

    #[inline]
    fn plain(&mut self, plain: Plain, payload: &[u8]) {
        match self.carried {
            true => self.event(Event::Call(plain.info(payload, self.clock))),
            false => self.reorder.push_plain(plain, payload),
        }
    }
}

/// The events of a trace, in order of time.
pub struct Events {
    trace: Trace,
    clock: Clock,
    assembler: Assembler,
    reorder: Reorder,
    /// Up to where the events that are held can be given.
    until: Until,
    /// The place of the event that was lent, and is to be dropped.
    lent: Option<usize>,
    /// The plain call that was lent.
    plain: Option<Event>,
    done: bool,
}

impl Events {
    /// Reads all of `trace`.
    pub fn new(trace: Trace) -> Events {
        let assembler = Assembler::new(trace.clock().clone());
        Events::of(trace, assembler)
    }

    /// Reads all of `trace` but payload, of which the model makes nothing; but for handshakes of TLS, in a trace that
    /// shows them.
    pub fn without_payload(trace: Trace) -> Events {
        if trace.shows_handshakes() {
            return Events::new(trace);
        }
        let assembler = Assembler::without_payload(trace.clock().clone());
        Events::of(trace, assembler)
    }

    fn of(trace: Trace, assembler: Assembler) -> Events {
        let clock = trace.clock().clone();
        Events {
            trace,
            clock,
            assembler,
            reorder: Reorder::default(),
            until: Until::Time(0),
            lent: None,
            plain: None,
            done: false,
        }
    }

    /// The trace, for its clock, its end and its damage.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The next event, looked at where it lies: of millions the moving takes as long as all else.
    pub fn next_ref(&mut self) -> Option<Result<&Event, Error>> {
        if let Some(place) = self.lent.take() {
            self.reorder.forget(place);
        }
        while self.lent.is_none() {
            match self.reorder.next(self.until) {
                Some(Next::Plain(plain, payload)) => {
                    match &mut self.plain {
                        Some(Event::Call(place)) => plain.tell(payload, &self.clock, place),
                        place => *place = Some(Event::Call(plain.info(payload, &self.clock))),
                    }
                    return self.plain.as_ref().map(Ok);
                }
                Some(Next::Event(place)) => self.lent = Some(place),
                None if self.done => return None,
                None => {
                    if let Err(error) = self.advance() {
                        (self.until, self.done) = (Until::End, true);
                        return Some(Err(error));
                    }
                }
            }
        }
        let event = self.lent.and_then(|place| self.reorder.events.get(place)?.as_ref());
        event.map(Ok)
    }

    /// Reads one pass.
    fn advance(&mut self) -> Result<(), Error> {
        let Events { trace, clock, assembler, reorder, until, done, .. } = self;
        match trace.next_pass()? {
            Some(pass) => {
                if trace.clock() != clock {
                    clock.clone_from(trace.clock());
                    assembler.set_clock(clock);
                }
                let mut push = Push { reorder, clock, carried: pass.is_carried() };
                for batch in pass.batches() {
                    push.reorder.begin_run(batch.slots.len() / SLOT_BYTES);
                    assembler.feed_apart(&batch, &mut push);
                }
                assembler.flush(&mut |event| push.event(event));
                let complete_ns = pass.complete_ticks().map(|ticks| clock.real_ns(ticks));
                *until = Until::Time(complete_ns.map_or(0, |ns| ns.saturating_sub(HOLD_NS)));
                trace.take_back(pass);
            }
            None => (*until, *done) = (Until::End, true),
        }
        reorder.sort();
        Ok(())
    }
}

impl Iterator for Events {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Result<Event, Error>> {
        loop {
            match self.reorder.next(self.until) {
                Some(Next::Plain(plain, payload)) => {
                    return Some(Ok(Event::Call(plain.info(payload, &self.clock))));
                }
                Some(Next::Event(place)) => return self.reorder.take(place).map(Ok),
                None if self.done => return None,
                None => {}
            }
            if let Err(error) = self.advance() {
                (self.until, self.done) = (Until::End, true);
                return Some(Err(error));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::MarkInfo;

    fn mark(time_ns: u64, tid: u32) -> Event {
        Event::Mark(MarkInfo { process: 1, pid: 1, tid, time_ns, text: Vec::new() })
    }

    #[test]
    fn events_come_in_order_and_as_they_came() {
        let mut reorder = Reorder::default();
        let mut given = Vec::new();
        let mut give = |event: Event| match event {
            Event::Mark(mark) => given.push((mark.time_ns - HOLD_NS, mark.tid)),
            Event::Lost { count, .. } => given.push((0, count)),
            _ => {}
        };
        for (time_ns, tid) in [(5, 1), (9, 1), (2, 2), (5, 2)] {
            reorder.push(mark(HOLD_NS + time_ns, tid));
        }
        reorder.push(Event::Lost { process: 1, tid: 2, count: 77 });
        reorder.release(2 * HOLD_NS + 6, &mut give);
        for (time_ns, tid) in [(7, 3), (12, 3), (6, 4)] {
            reorder.push(mark(HOLD_NS + time_ns, tid));
        }
        reorder.push(mark(u64::MAX, 5));
        reorder.finish(&mut give);
        let expected = [(2, 2), (5, 1), (5, 2), (0, 77), (6, 4), (7, 3), (9, 1), (12, 3), (u64::MAX - HOLD_NS, 5)];
        assert_eq!(given, expected);
    }
}
