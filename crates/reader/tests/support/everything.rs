//! Reads a file to its end through every layer, as the views do: events, model, lines. Used by the
//! property tests and, by its path, by the fuzz target.

use sockshim_format::line::Line;
use sockshim_reader::order::Events;
use sockshim_reader::{CallInfo, Error, Event, Model, Tail, Trace};
use std::fmt::Write;
use std::path::Path;

/// What a file told.
pub struct Told {
    pub events: u64,
    pub tail: Tail,
}

/// Events that a file can tell at most: each slot a call that is entered and done, each run a loss.
pub fn most_events(path: &Path) -> Result<u64, Error> {
    let mut trace = Trace::open(path)?;
    let mut most = 0;
    while let Some(pass) = trace.next_pass()? {
        most += pass.batches().map(|batch| 1 + 2 * (batch.slots.len() / 64) as u64).sum::<u64>();
    }
    Ok(most)
}

/// Reads the file, and counts.
pub fn read(path: &Path) -> Result<Told, Error> {
    let mut events = Events::new(Trace::open(path)?);
    let (mut model, mut line, mut count) = (Model::new(), String::new(), 0);
    for event in events.by_ref() {
        let event = event?;
        model.feed(&event);
        if let Event::Entered(call) | Event::Call(call) = &event {
            print(&mut line, &model, call);
        }
        count += 1;
    }
    model.finish(matches!(events.trace().tail(), Tail::Ended(_)));
    for conn in model.connections() {
        assert!(!conn.closed_first().words().is_empty());
        assert!(conn.other_end.is_none_or(|other| model.connection(other).is_some()));
    }
    Ok(Told { events: count, tail: events.trace().tail() })
}

/// The line of a call, as the live view prints it.
fn print(line: &mut String, model: &Model, call: &CallInfo) {
    use sockshim_format::address::Address;
    let parts = call.parts();
    let peer = model.of_call(call).map(|conn| Address(&conn.peer)).filter(|peer| !peer.0.is_empty());
    line.clear();
    let _ = write!(line, "{}", Line { call: &call.call, parts: &parts, peer, duration_ns: call.duration_ns() });
    assert!(!line.is_empty());
}
