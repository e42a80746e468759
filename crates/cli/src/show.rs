//! `sockshim show`: the calls of a trace again, or its connections.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use sockshim_reader::order::Events;
use sockshim_reader::{Event, Model, Tail, Trace};

use crate::flags::Show;
use crate::palette;
use crate::views::{count, live::Live, table};
use crate::watch;

/// Prints a trace.
pub fn show(flags: &Show) -> Result<ExitCode> {
    let mut events = Events::new(Trace::open(&flags.file)?);
    let mut out = io::BufWriter::new(anstream::stdout().lock());
    let mut model = Model::new();
    let start_ns = events.trace().clock().first().real_ns;
    let mut live = Live::new((!matches!(events.trace().tail(), Tail::Region { .. })).then_some(start_ns));
    let mut calls = 0;
    let mut error = None;
    for event in events.by_ref() {
        match event {
            Ok(event) => {
                model.feed(&event);
                calls += u64::from(matches!(event, Event::Call(_)));
                if !flags.connections {
                    live.event(&mut out, &model, &event)?;
                }
            }
            Err(e) => error = Some(e),
        }
    }
    let trace = events.trace();
    model.finish(matches!(trace.tail(), Tail::Ended(_)));
    let (lost, lost_extensions) = trace.lost().unwrap_or_default();
    model.lost_in_all(lost + lost_extensions);
    watch::tell(&mut model, trace.notes());
    if !flags.connections && calls > 0 {
        writeln!(out)?;
    }
    table::print(&mut out, &model, calls)?;
    out.flush()?;
    drop(out);

    let file = flags.file.display();
    let warn = |text: String| {
        let style = palette::WARNING;
        writeln!(anstream::stderr(), "{style}sockshim:{style:#} {text}")
    };
    if let Some((lost, _)) = trace.lost().filter(|(lost, _)| *lost > 0) {
        warn(format!(
            "{} lost while it was recorded",
            if lost == 1 { "1 call was".into() } else { format!("{lost} calls were") }
        ))?;
    }
    if trace.damaged_bytes() > 0 {
        warn(format!("{file}: {} are damaged and were passed over", count(trace.damaged_bytes(), "byte")))?;
    }
    match trace.tail() {
        Tail::Ended(_) | Tail::Region { .. } => {}
        Tail::Open => warn(format!("{file} was not ended: sockshim is still writing it, or was killed"))?,
        Tail::Torn { offset, reason } => {
            warn(format!("{file} is cut short at byte {offset} ({reason}); all that is in front of it was shown"))?;
        }
    }
    match error {
        Some(error) => Err(error.into()),
        None => Ok(ExitCode::SUCCESS),
    }
}
