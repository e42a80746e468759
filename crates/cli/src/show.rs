//! `sockshim show`: the calls of a trace again, or its connections.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use sockshim_reader::order::Events;
use sockshim_reader::{Event, Model, Tail, Trace};

use crate::flags::Show;
use crate::palette;
use crate::views::{count, live::Live, safe, table};
use crate::watch;

/// Prints a trace.
pub fn show(flags: &Show) -> Result<ExitCode> {
    let trace = Trace::open_all(&flags.files)?;
    if trace.calls_before() > 0 {
        let before = count(trace.calls_before(), "earlier call");
        note(match trace.keeps_newest() {
            true => format!("the newest of the run: {before} were overwritten (run --keep)"),
            false => format!("file {} of the run: {before} are in the files before it", trace.part()),
        })?;
    }
    // The connections know how much has passed, and not what.
    let mut events = if flags.connections { Events::without_payload(trace) } else { Events::new(trace) };
    let mut out = io::BufWriter::new(anstream::stdout().lock());
    let mut model = Model::new();
    let start_ns = events.trace().clock().first().real_ns;
    let mut live = Live::new((!matches!(events.trace().tail(), Tail::Region { .. })).then_some(start_ns));
    let mut calls = 0;
    let mut error = None;
    while let Some(event) = events.next_ref() {
        match event {
            Ok(event) => {
                model.feed(event);
                calls += u64::from(matches!(event, Event::Call(_)));
                if !flags.connections {
                    live.event(&mut out, &model, event)?;
                }
            }
            Err(e) => error = Some(e),
        }
    }
    let trace = events.trace();
    model.finish(matches!(trace.tail(), Tail::Ended(_)));
    let (lost, lost_extensions) = trace.lost().unwrap_or_default();
    model.lost_in_all(lost.saturating_add(lost_extensions).saturating_add(trace.calls_before()));
    watch::tell(&mut model, trace.notes());
    if !flags.connections && calls > 0 {
        writeln!(out)?;
    }
    table::print(&mut out, &model, calls)?;
    out.flush()?;
    drop(out);

    let file = flags.files.last().map_or(String::new(), |file| file.display().to_string());
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
        Tail::Continued => match trace.next_file() {
            "" => note("the run goes on in a newer file".into())?,
            name => note(format!("the run goes on in {}", safe(name.as_bytes())))?,
        },
        _ if trace.goes_on() => note(format!("the run goes on: this is what {file} held when it was opened"))?,
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

fn warn(text: String) -> io::Result<()> {
    let style = palette::WARNING;
    writeln!(anstream::stderr(), "{style}sockshim:{style:#} {text}")
}

fn note(text: String) -> io::Result<()> {
    let style = palette::FAINT;
    writeln!(anstream::stderr(), "{style}sockshim: {text}{style:#}")
}
