//! The events of a trace.

use super::{Flow, Next};
use crate::error::Error;
use crate::event::Event;
use crate::trace::Trace;

/// The events of a trace, in order of time.
pub struct Events {
    trace: Trace,
    flow: Flow,
    done: bool,
}

impl Events {
    /// Reads all of `trace`.
    pub fn new(trace: Trace) -> Events {
        Events { flow: Flow::new(trace.clock().clone()), trace, done: false }
    }

    /// Reads all of `trace` but payload, of which the model makes nothing; but for handshakes of TLS, in a trace that
    /// shows them.
    pub fn without_payload(trace: Trace) -> Events {
        if trace.shows_handshakes() {
            return Events::new(trace);
        }
        Events { flow: Flow::without_payload(trace.clock().clone()), trace, done: false }
    }

    /// The trace, for its clock, its end and its damage.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The next event, looked at where it lies.
    pub fn next_ref(&mut self) -> Option<Result<&Event, Error>> {
        match self.reach()? {
            Ok(()) => self.flow.next_ref().map(Ok),
            Err(error) => Some(Err(error)),
        }
    }

    /// What is next, looked at where it lies. Of calls those that are not looked at are next again.
    pub fn next_all(&mut self) -> Option<Result<Next<'_>, Error>> {
        match self.reach()? {
            Ok(()) => self.flow.next_all().map(Ok),
            Err(error) => Some(Err(error)),
        }
    }

    /// Reads until there is an event to give. None when all have been given.
    fn reach(&mut self) -> Option<Result<(), Error>> {
        while !self.flow.has_next() {
            if self.done {
                return None;
            }
            if let Err(error) = self.advance() {
                self.finish();
                return Some(Err(error));
            }
        }
        Some(Ok(()))
    }

    /// Reads one pass.
    fn advance(&mut self) -> Result<(), Error> {
        let Some(pass) = self.trace.next_pass()? else {
            self.finish();
            return Ok(());
        };
        self.flow.set_clock(self.trace.clock());
        pass.batches().for_each(|batch| self.flow.feed(&batch, pass.is_carried()));
        let complete_ns = pass.complete_ticks().map(|ticks| self.flow.clock().real_ns(ticks));
        self.flow.end_pass(complete_ns, pass.is_carried());
        self.trace.take_back(pass);
        Ok(())
    }

    fn finish(&mut self) {
        self.done = true;
        self.flow.finish();
    }
}

impl Iterator for Events {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Result<Event, Error>> {
        match self.reach()? {
            Ok(()) => self.flow.next_event().map(Ok),
            Err(error) => Some(Err(error)),
        }
    }
}
