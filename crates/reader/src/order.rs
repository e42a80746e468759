//! Events of many threads, by time.

use crate::assemble::{Assembler, Event};
use crate::clock::Clock;
use crate::error::Error;
use crate::trace::Trace;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

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
    held: BinaryHeap<Reverse<Held>>,
    pushed: u64,
    latest_ns: u64,
}

struct Held {
    time_ns: u64,
    /// Keeps events of the same time as they came.
    number: u64,
    event: Event,
}

impl PartialEq for Held {
    fn eq(&self, other: &Held) -> bool {
        (self.time_ns, self.number) == (other.time_ns, other.number)
    }
}
impl Eq for Held {}
impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Held) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Held {
    fn cmp(&self, other: &Held) -> std::cmp::Ordering {
        (self.time_ns, self.number).cmp(&(other.time_ns, other.number))
    }
}

impl Reorder {
    /// Takes in an event. One without a time of its own stands behind the one before it.
    pub fn push(&mut self, event: Event) {
        let time_ns = event.time_ns().unwrap_or(self.latest_ns);
        self.latest_ns = time_ns;
        self.held.push(Reverse(Held { time_ns, number: self.pushed, event }));
        self.pushed += 1;
    }

    /// Gives the events that nothing can come in front of any more, when every call that ended
    /// before `complete_ns` has been pushed.
    pub fn release(&mut self, complete_ns: u64, sink: &mut dyn FnMut(Event)) {
        self.release_before(complete_ns.saturating_sub(HOLD_NS), sink);
    }

    /// Gives all that is left.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Event)) {
        while let Some(Reverse(held)) = self.held.pop() {
            sink(held.event);
        }
    }

    fn release_before(&mut self, time_ns: u64, sink: &mut dyn FnMut(Event)) {
        while self.held.peek().is_some_and(|Reverse(held)| held.time_ns < time_ns)
            && let Some(Reverse(held)) = self.held.pop()
        {
            sink(held.event);
        }
    }
}

/// The events of a trace, in order of time.
pub struct Events {
    trace: Trace,
    clock: Clock,
    assembler: Assembler,
    reorder: Reorder,
    ready: VecDeque<Event>,
    done: bool,
}

impl Events {
    /// Reads all of `trace`.
    pub fn new(trace: Trace) -> Events {
        let clock = trace.clock().clone();
        let assembler = Assembler::new(clock.clone());
        Events { trace, clock, assembler, reorder: Reorder::default(), ready: VecDeque::new(), done: false }
    }

    /// The trace, for its clock, its end and its damage.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Reads one pass.
    fn advance(&mut self) -> Result<(), Error> {
        let Events { trace, clock, assembler, reorder, ready, done } = self;
        let mut give = |event| ready.push_back(event);
        match trace.next_pass()? {
            Some(pass) => {
                if trace.clock() != clock {
                    clock.clone_from(trace.clock());
                    assembler.set_clock(clock);
                }
                pass.batches().for_each(|batch| assembler.feed(&batch, &mut |event| reorder.push(event)));
                assembler.flush(&mut |event| reorder.push(event));
                if let Some(ticks) = pass.complete_ticks() {
                    reorder.release(clock.real_ns(ticks), &mut give);
                }
            }
            None => {
                *done = true;
                reorder.finish(&mut give);
            }
        }
        Ok(())
    }
}

impl Iterator for Events {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Result<Event, Error>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if self.done {
                return None;
            }
            if let Err(error) = self.advance() {
                self.done = true;
                self.reorder.finish(&mut |event| self.ready.push_back(event));
                return Some(Err(error));
            }
        }
    }
}
