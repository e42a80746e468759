//! Records of many threads in, events by time out.

use super::chain::Chain;
use super::{First, HOLD_NS, Reorder, Until};
use crate::assemble::{Assembler, Plain, Told, Who};
use crate::clock::Clock;
use crate::event::{CallInfo, Event};
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
    plain: Event,
}

/// What is next, looked at where it lies.
pub enum Next<'a> {
    /// An event.
    Event(&'a Event),
    /// Calls.
    Calls(Calls<'a>),
}

/// Calls that one thread made one after the other, all of which come in front of all else. None was told as entered, and
/// nothing belongs to them but payload.
pub struct Calls<'a> {
    chain: &'a mut Chain,
    end: usize,
    clock: &'a Clock,
    place: &'a mut CallInfo,
    /// Of which kind the one in that place is.
    kind: Option<u16>,
}

impl Calls<'_> {
    /// How many there are still.
    pub fn left(&self) -> usize {
        self.end - self.chain.at()
    }

    /// The next one, looked at where it lies. Those with the same number differ in their times, in `seq` and in payload,
    /// and in nothing else.
    #[inline]
    pub fn next_ref(&mut self) -> Option<(u16, &CallInfo)> {
        if self.chain.at() >= self.end {
            return None;
        }
        self.chain.tell(self.clock, self.place, &mut self.kind)?;
        Some((self.kind?, self.place))
    }

    /// The one that was looked at.
    pub fn last(&self) -> &CallInfo {
        self.place
    }
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
        Flow {
            clock,
            assembler,
            reorder: Reorder::default(),
            until: Until::Time(0),
            lent: None,
            plain: Event::Call(CallInfo::none()),
        }
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
    pub fn has_next(&mut self) -> bool {
        self.reorder.has_next(self.until)
    }

    /// What is next that nothing can come in front of any more. Of calls those that are not looked at are next again.
    #[inline]
    pub fn next_all(&mut self) -> Option<Next<'_>> {
        if let Some(place) = self.lent.take() {
            self.reorder.forget(place);
        }
        match self.reorder.next(self.until)? {
            First::Chain(place, end) => {
                let Event::Call(info) = &mut self.plain else { return None };
                let chain = self.reorder.chains.get_mut(place)?;
                Some(Next::Calls(Calls { chain, end, clock: &self.clock, place: info, kind: None }))
            }
            First::Event(place) => {
                self.lent = Some(place);
                self.reorder.events.get(place)?.as_ref().map(Next::Event)
            }
        }
    }

    /// The next event that nothing can come in front of any more, looked at where it lies.
    #[inline]
    pub fn next_ref(&mut self) -> Option<&Event> {
        if let Some(place) = self.lent.take() {
            self.reorder.forget(place);
        }
        match self.reorder.next(self.until)? {
            First::Chain(place, _) => {
                let Event::Call(info) = &mut self.plain else { return None };
                self.reorder.chains.get_mut(place)?.tell(&self.clock, info, &mut None)?;
                Some(&self.plain)
            }
            First::Event(place) => {
                self.lent = Some(place);
                self.reorder.events.get(place)?.as_ref()
            }
        }
    }

    /// The same, to keep.
    pub fn next_event(&mut self) -> Option<Event> {
        match self.reorder.next(self.until)? {
            First::Chain(place, _) => {
                let mut info = CallInfo::none();
                self.reorder.chains.get_mut(place)?.tell(&self.clock, &mut info, &mut None)?;
                Some(Event::Call(info))
            }
            First::Event(place) => self.reorder.take(place),
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
    fn plain(&mut self, who: Who, plain: Plain<'_>, payload: &[u8]) {
        match self.carried {
            true => self.event(Event::Call(plain.info(who, payload, self.clock))),
            false => self.reorder.push_plain(who, plain, payload),
        }
    }
}
