//! Records of many threads in, events by time out.

use super::{HOLD_NS, Next, Reorder, Until};
use crate::assemble::{Assembler, Plain, Told};
use crate::clock::Clock;
use crate::event::Event;
use crate::records::Batch;
use sockshim_format::region::SLOT_BYTES;

/// Puts records together and in order. Most are looked at where they lie: of millions the moving takes as long as
/// all else.
pub struct Flow {
    clock: Clock,
    assembler: Assembler,
    reorder: Reorder,
    /// Up to where the events that are held can be given.
    until: Until,
    /// The place of the event that was lent, and is to be dropped.
    lent: Option<usize>,
    /// The plain call that was lent.
    plain: Option<Event>,
}

impl Flow {
    /// One that tells time by `clock`.
    pub fn new(clock: Clock) -> Flow {
        Flow::of(Assembler::new(clock.clone()), clock)
    }

    /// One that passes payload over, as [`Assembler::without_payload`] does.
    pub fn without_payload(clock: Clock) -> Flow {
        Flow::of(Assembler::without_payload(clock.clone()), clock)
    }

    fn of(assembler: Assembler, clock: Clock) -> Flow {
        Flow { clock, assembler, reorder: Reorder::default(), until: Until::Time(0), lent: None, plain: None }
    }

    /// What time is told by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Takes a better calibrated clock.
    pub fn set_clock(&mut self, clock: &Clock) {
        if self.clock != *clock {
            self.clock.clone_from(clock);
            self.assembler.set_clock(clock);
        }
    }

    /// Takes records in. Those of a thread must come in the order in which they were drained. `carried` are those of
    /// earlier files of the run.
    pub fn feed(&mut self, batch: &Batch<'_>, carried: bool) {
        self.reorder.begin_run(batch.slots.len() / SLOT_BYTES);
        let mut push = Push { reorder: &mut self.reorder, clock: &self.clock, carried };
        self.assembler.feed_apart(batch, &mut push);
    }

    /// A pass is over, whose batches were all fed: every call that ended before `complete_ns` is in, if that is known.
    pub fn end_pass(&mut self, complete_ns: Option<u64>, carried: bool) {
        let mut push = Push { reorder: &mut self.reorder, clock: &self.clock, carried };
        self.assembler.flush(&mut |event| push.event(event));
        self.settle(complete_ns.unwrap_or(0));
    }

    /// Every call that ended before `complete_ns` is in.
    pub fn settle(&mut self, complete_ns: u64) {
        self.until = Until::Time(complete_ns.saturating_sub(HOLD_NS));
        self.reorder.sort();
    }

    /// No more will come: all that is held can be given.
    pub fn finish(&mut self) {
        self.until = Until::End;
        self.reorder.sort();
    }

    /// Whether there is an event that nothing can come in front of any more.
    #[inline]
    pub fn has_next(&self) -> bool {
        self.reorder.order.front().is_some_and(|(time_ns, ..)| self.until.gives(*time_ns))
    }

    /// The next event that nothing can come in front of any more, looked at where it lies.
    pub fn next_ref(&mut self) -> Option<&Event> {
        if let Some(place) = self.lent.take() {
            self.reorder.forget(place);
        }
        match self.reorder.next(self.until)? {
            Next::Plain(plain, payload) => {
                match &mut self.plain {
                    Some(Event::Call(place)) => plain.tell(payload, &self.clock, place),
                    place => *place = Some(Event::Call(plain.info(payload, &self.clock))),
                }
                self.plain.as_ref()
            }
            Next::Event(place) => {
                self.lent = Some(place);
                self.reorder.events.get(place)?.as_ref()
            }
        }
    }

    /// The same, to keep.
    pub fn next_event(&mut self) -> Option<Event> {
        match self.reorder.next(self.until)? {
            Next::Plain(plain, payload) => Some(Event::Call(plain.info(payload, &self.clock))),
            Next::Event(place) => self.reorder.take(place),
        }
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
