//! Reading a trace for people: the model of all of it, and what there is to say about the file itself.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use sockshim_reader::order::Events;
use sockshim_reader::{Error, Event, Model, Tail, Trace};

use crate::palette;
use crate::views::{count, safe};
use crate::watch;

/// What a trace tells.
pub struct Reading {
    /// Its connections and processes; all that can be known afterwards is in it.
    pub model: Model,
    /// How many calls it has.
    pub calls: u64,
    /// The zero of times.
    pub zero_ns: u64,
    /// The events, all of which have been given.
    events: Events,
    /// Where it could not be read further.
    error: Option<Error>,
}

/// A trace that is open, and has not been read.
pub struct Opened(Events);

impl Opened {
    /// Opens the files of a trace. Payload is read if somebody wants to show it.
    pub fn open(files: &[PathBuf], payload: bool) -> Result<Opened> {
        let trace = Trace::open_all(files)?;
        Ok(Opened(if payload { Events::new(trace) } else { Events::without_payload(trace) }))
    }

    /// When the recording began; unknown of a region that lies there alone.
    pub fn begin_ns(&self) -> Option<u64> {
        let trace = self.0.trace();
        (!matches!(trace.tail(), Tail::Region { .. })).then_some(trace.clock().first().real_ns)
    }

    /// Says on stderr what the trace begins with, if that is not the beginning of the run.
    pub fn tell(&self) -> io::Result<()> {
        let trace = self.0.trace();
        if trace.calls_before() == 0 {
            return Ok(());
        }
        let before = count(trace.calls_before(), "earlier call");
        note(match trace.keeps_newest() {
            true => format!("the newest of the run: {before} were overwritten (run --keep)"),
            false => format!("file {} of the run: {before} are in the files before it", trace.part()),
        })
    }

    /// Reads all of it, and hands each event on when the model has taken it in.
    pub fn read(self, mut each: impl FnMut(&Model, &Event) -> io::Result<()>) -> Result<Reading> {
        let begin_ns = self.begin_ns();
        let Opened(mut events) = self;
        let (mut model, mut calls, mut error) = (Model::new(), 0, None);
        while let Some(event) = events.next_ref() {
            match event {
                Ok(event) => {
                    model.feed(event);
                    calls += u64::from(matches!(event, Event::Call(_)));
                    each(&model, event)?;
                }
                Err(e) => error = Some(e),
            }
        }
        let trace = events.trace();
        model.finish(matches!(trace.tail(), Tail::Ended(_)));
        let (lost, lost_extensions) = trace.lost().unwrap_or_default();
        model.lost_in_all(lost.saturating_add(lost_extensions).saturating_add(trace.calls_before()));
        watch::tell(&mut model, trace.notes());
        let zero_ns = begin_ns.or(model.span().map(|span| span.start_ns)).unwrap_or(0);
        Ok(Reading { model, calls, zero_ns, events, error })
    }
}

impl Reading {
    /// The trace.
    pub fn trace(&self) -> &Trace {
        self.events.trace()
    }

    /// Says on stderr what the file lacks: calls that were lost, damage, an end.
    pub fn tell(self, file: &Path) -> Result<()> {
        let trace = self.events.trace();
        if let Some((lost, _)) = trace.lost().filter(|(lost, _)| *lost > 0) {
            warn(format!(
                "{} lost while it was recorded",
                if lost == 1 { "1 call was".into() } else { format!("{lost} calls were") }
            ))?;
        }
        let file = file.display();
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
        self.error.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// A line on stderr that people should notice.
pub fn warn(text: String) -> io::Result<()> {
    let style = palette::WARNING;
    writeln!(anstream::stderr(), "{style}sockshim:{style:#} {text}")
}

/// A line on stderr for completeness.
pub fn note(text: String) -> io::Result<()> {
    let style = palette::FAINT;
    writeln!(anstream::stderr(), "{style}sockshim: {text}{style:#}")
}
