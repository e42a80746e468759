//! The events of a trace while it is being written.

use std::path::Path;

use anyhow::Result;
use sockshim_reader::{Assembler, Clock, Event, Reorder, Tail, Trace};

/// So long after a call even a tool that had to wait for its turn has written it down: what is older has nothing to
/// wait for.
const SETTLED_NS: u64 = 200_000_000;

/// Reads a trace as it grows.
pub struct Follower {
    trace: Trace,
    clock: Clock,
    assembler: Assembler,
    reorder: Reorder,
    live: bool,
}

impl Follower {
    pub fn open(path: &Path) -> Result<Follower> {
        let trace = Trace::open(path)?;
        let clock = trace.clock().clone();
        Ok(Follower { assembler: Assembler::new(clock.clone()), trace, clock, reorder: Reorder::default(), live: true })
    }

    /// Whether more may come.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// The trace.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The present, on the clock of the trace.
    pub fn now_ns(&self) -> u64 {
        self.clock.real_ns(self.clock.now_ticks())
    }

    /// Gives what has been written since the last time.
    pub fn poll(&mut self, sink: &mut dyn FnMut(Event)) -> Result<()> {
        if !self.live {
            return Ok(());
        }
        self.read(sink)?;
        self.live = self.trace.grow()?;
        self.read(sink)?;
        if self.live {
            let settled_ns = self.now_ns().saturating_sub(SETTLED_NS);
            self.reorder.release(settled_ns, sink);
        } else {
            self.reorder.finish(sink);
        }
        Ok(())
    }

    fn read(&mut self, sink: &mut dyn FnMut(Event)) -> Result<()> {
        let Follower { trace, clock, assembler, reorder, .. } = self;
        while let Some(pass) = trace.next_pass()? {
            if trace.clock() != clock {
                clock.clone_from(trace.clock());
                assembler.set_clock(clock);
            }
            let carried = pass.is_carried();
            let mut push = |event| match event {
                // Where its thread stands is all that a call without anything says.
                Event::Call(call) if carried && call.extensions.is_empty() => {}
                Event::Call(call) if carried => reorder.push(Event::Earlier(call)),
                event => reorder.push(event),
            };
            pass.batches().for_each(|batch| assembler.feed(&batch, &mut push));
            assembler.flush(&mut push);
            if let Some(ticks) = pass.complete_ticks() {
                reorder.release(clock.real_ns(ticks), sink);
            }
        }
        Ok(())
    }

    /// How the run stands, in words.
    pub fn state(&self) -> &'static str {
        match self.trace.tail() {
            _ if self.live => "live",
            Tail::Ended(_) => "ended",
            Tail::Region { closed: true } => "ended",
            _ => "not ended: its sockshim is gone",
        }
    }
}
