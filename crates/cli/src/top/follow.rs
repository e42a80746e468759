//! The events of a trace while it is being written.

use std::path::Path;

use anyhow::Result;
use sockshim_reader::{Event, Flow, Tail, Trace};

/// So long after a call even a tool that had to wait for its turn has written it down: what is older has nothing to
/// wait for.
const SETTLED_NS: u64 = 200_000_000;

/// Reads a trace as it grows.
pub struct Follower {
    trace: Trace,
    flow: Flow,
    live: bool,
}

impl Follower {
    pub fn open(path: &Path) -> Result<Follower> {
        let trace = Trace::open(path)?;
        Ok(Follower { flow: Flow::new(trace.clock().clone()), trace, live: true })
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
        let clock = self.flow.clock();
        clock.real_ns(clock.now_ticks())
    }

    /// Gives what has been written since the last time.
    pub fn poll(&mut self, sink: &mut dyn FnMut(&Event)) -> Result<()> {
        if !self.live {
            return Ok(());
        }
        self.read(sink)?;
        self.live = self.trace.grow()?;
        self.read(sink)?;
        match self.live {
            true => self.flow.settle(self.now_ns().saturating_sub(SETTLED_NS)),
            false => self.flow.finish(),
        }
        self.give(sink);
        Ok(())
    }

    fn read(&mut self, sink: &mut dyn FnMut(&Event)) -> Result<()> {
        while let Some(pass) = self.trace.next_pass()? {
            self.flow.set_clock(self.trace.clock());
            pass.batches().for_each(|batch| self.flow.feed(&batch, pass.is_carried()));
            let complete_ns = pass.complete_ticks().map(|ticks| self.flow.clock().real_ns(ticks));
            self.flow.end_pass(complete_ns, pass.is_carried());
            self.give(sink);
        }
        Ok(())
    }

    fn give(&mut self, sink: &mut dyn FnMut(&Event)) {
        while let Some(event) = self.flow.next_ref() {
            sink(event);
        }
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
