//! Events of many threads, by time.

use crate::assemble::{Assembler, Plain, Told};
use crate::clock::Clock;
use crate::error::Error;
use crate::event::Event;
use crate::trace::Trace;
use std::collections::VecDeque;

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
    /// Plain calls, which most are: half as large.
    plain: Vec<Plain>,
    vacant_plain: Vec<usize>,
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
/// place among the events, or, with PLAIN, among the plain calls.
type Held = (u64, u64, usize);
const PLAIN: usize = 1 << (usize::BITS - 1);

impl Reorder {
    /// Takes in an event. One without a time of its own stands behind the one before it.
    pub fn push(&mut self, event: Event) {
        let time_ns = event.time_ns().unwrap_or(self.latest_ns);
        self.latest_ns = time_ns;
        let place = self.vacant.pop().unwrap_or(self.events.len());
        match self.events.get_mut(place) {
            Some(vacant) => *vacant = Some(event),
            None => self.events.push(Some(event)),
        }
        self.hold(time_ns, place);
    }

    /// Takes in a plain call.
    fn push_plain(&mut self, plain: Plain) {
        self.latest_ns = plain.start_ns;
        let place = self.vacant_plain.pop().unwrap_or(self.plain.len());
        match self.plain.get_mut(place) {
            Some(vacant) => *vacant = plain,
            None => self.plain.push(plain),
        }
        self.hold(plain.start_ns, place | PLAIN);
    }

    /// The plain call at a place, which is then vacant.
    fn take_plain(&mut self, place: usize) -> Option<Plain> {
        let place = place & !PLAIN;
        self.vacant_plain.push(place);
        self.plain.get(place).copied()
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
        self.sort();
        let until = Until::Time(complete_ns.saturating_sub(HOLD_NS));
        while let Some(event) = self.next(until) {
            sink(event);
        }
    }

    /// Gives all that is left.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Event)) {
        self.sort();
        while let Some(event) = self.next(Until::End) {
            sink(event);
        }
    }

    /// The next of the events that are sorted.
    fn next(&mut self, until: Until) -> Option<Event> {
        let place = self.place(until)?;
        self.take(place)
    }

    /// The event at a place, which is then vacant.
    fn take(&mut self, place: usize) -> Option<Event> {
        self.vacant.push(place);
        self.events.get_mut(place)?.take()
    }

    /// Where the next event lies, which is held no more.
    fn place(&mut self, until: Until) -> Option<usize> {
        let (time_ns, _, place) = *self.order.front()?;
        // Hostile times end at the end of time.
        if let Until::Time(before_ns) = until
            && time_ns >= before_ns
        {
            return None;
        }
        self.order.pop_front();
        Some(place)
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
            match self.reorder.place(self.until) {
                Some(place) if place & PLAIN != 0 => {
                    let plain = self.reorder.take_plain(place)?;
                    return Some(Ok(self.plain.insert(Event::Call(plain.info(&self.clock)))));
                }
                Some(place) => self.lent = Some(place),
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
                let carried = pass.is_carried();
                let mut push = |told| match told {
                    // Where its thread stands is all that a call without anything says.
                    Told::Plain(_) if carried => {}
                    Told::Plain(plain) => reorder.push_plain(plain),
                    Told::Event(Event::Call(call)) if carried && call.extensions.is_empty() => {}
                    Told::Event(Event::Call(call)) if carried => reorder.push(Event::Earlier(call)),
                    Told::Event(event) => reorder.push(event),
                };
                pass.batches().for_each(|batch| assembler.feed_apart(&batch, &mut push));
                assembler.flush(&mut |event| push(Told::Event(event)));
                let complete_ns = pass.complete_ticks().map(|ticks| clock.real_ns(ticks));
                *until = Until::Time(complete_ns.map_or(0, |ns| ns.saturating_sub(HOLD_NS)));
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
            if let Some(place) = self.reorder.place(self.until) {
                if place & PLAIN == 0 {
                    return self.reorder.take(place).map(Ok);
                }
                let plain = self.reorder.take_plain(place)?;
                return Some(Ok(Event::Call(plain.info(&self.clock))));
            }
            if self.done {
                return None;
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
