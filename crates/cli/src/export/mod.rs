//! `sockshim export`: what a trace holds, in the formats of other tools.
//!
//! A format is one module that implements [`Exporter`] and one line of [`FORMATS`]. It is fed with the
//! events of a trace, and writes to an [`Output`], which puts a whole file in its place or none at all.
//!
//! - [`jsonl`], [`csv`]: a row per call or connection; [`rows`] has the fields, [`keys`] their names
//! - `parquet`: the same as columns, in one file or many
//! - [`pcapng`]: packets; [`timeline`]: tracks; [`otlp`]: spans, which may be sent as well
//! - [`prometheus`]: numbers, which may be asked for while the program runs
//! - [`text`]: numbers, times and payload as text, into a buffer that is used again
//! - [`stream`]: JSON Lines while the program runs
//! - [`progress`]: for whoever waits in front of a terminal; [`listed`]: for whoever asks which formats there are

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap::error::ErrorKind;
use sockshim_reader::model::Connection;
use sockshim_reader::order::Events;
use sockshim_reader::{Event, Model, Tail, Trace};

use crate::entry::Exit;
use crate::flags::{Export, Flags};
use crate::views::safe;
use crate::{palette, watch};
use listed::{ABSENT, list, not_here};
use output::Output;
use progress::Progress;

pub mod csv;
mod delay;
pub mod jsonl;
pub mod keys;
pub mod listed;
pub mod otlp;
pub mod output;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod pcapng;
pub mod progress;
pub mod prometheus;
mod pump;
pub mod rows;
pub mod stream;
pub mod text;
pub mod timeline;

/// Turns what is in a trace into the format of another tool.
pub trait Exporter {
    /// What comes in front of everything.
    fn begin(&mut self, about: &About<'_>, out: &mut dyn Write) -> io::Result<()>;
    /// Session keys of TLS, before anything happens: lines of an NSS key log. Only for formats that look
    /// ahead, and that are meant to have secrets in them.
    fn keys(&mut self, _lines: &[u8], _whole: &Model, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
    /// Something happened, which `known.so_far` has been fed with.
    fn event(&mut self, event: &Event, known: Known<'_>, out: &mut dyn Write) -> io::Result<()>;
    /// A connection has finished, and is told as a row.
    fn connection(&mut self, _connection: &Connection, _model: &Model, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
    /// Nothing more happens.
    fn end(&mut self, ended: &Ended<'_>, out: &mut dyn Write) -> io::Result<()>;
}

/// What is known of a run beforehand.
#[derive(Clone, Copy, Debug, Default)]
pub struct About<'a> {
    /// The command line.
    pub command: &'a str,
    /// The machine.
    pub host: &'a str,
    /// Which of its boots.
    pub boot_id: &'a str,
    /// The random id of the run.
    pub id: [u64; 2],
    /// Which file of the run it is, from 1: in each of them connections are numbered anew.
    pub part: u64,
    /// When it began, in nanoseconds since the epoch.
    pub start_ns: u64,
}

impl<'a> About<'a> {
    fn of(trace: &'a Trace) -> About<'a> {
        About {
            command: trace.meta("command").unwrap_or_default(),
            host: trace.meta("host").unwrap_or_default(),
            boot_id: trace.meta("boot_id").unwrap_or_default(),
            id: trace.id(),
            part: trace.part(),
            start_ns: trace.clock().first().real_ns,
        }
    }
}

/// What is known while events are told.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// As far as the events have been told.
    pub so_far: &'a Model,
    /// As it is in the end, for formats that [look ahead](Format::looks_ahead); for others the same as `so_far`.
    /// Connections have the same ids in both.
    pub whole: &'a Model,
}

/// How it ended.
pub struct Ended<'a> {
    /// All that is known.
    pub model: &'a Model,
    /// Calls that could not be recorded.
    pub lost: u64,
    /// Whether the recording ended in order, and all of it was there.
    pub whole: bool,
}

/// What formats are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// One row per connection rather than per call.
    pub connections: bool,
    /// What was kept of the bytes, where that is not told anyway.
    pub payload: bool,
}

/// A format that can be written.
pub struct Format {
    /// Its name on the command line.
    pub name: &'static str,
    /// How names of its files end.
    pub extension: &'static str,
    /// What it is, and for whom.
    pub about: &'static str,
    /// A command that reads it, of a file `x.EXTENSION`.
    pub example: &'static str,
    /// Whether it is nothing to look at in a terminal.
    pub is_binary: bool,
    /// Whether it can be told per connection too.
    pub has_connections: bool,
    /// Whether it has to know how things end while it tells how they begin: the trace is then read twice.
    pub looks_ahead: bool,
    /// Whether it is done with a connection when that has finished: then a trace of any length takes no more memory.
    pub forgets: bool,
    /// Makes its exporter.
    pub make: fn(Options) -> Box<dyn Exporter>,
}

/// All of them, in the order in which they are listed.
pub const FORMATS: &[Format] = &[
    jsonl::FORMAT,
    csv::FORMAT,
    #[cfg(feature = "parquet")]
    parquet::FORMAT,
    pcapng::FORMAT,
    timeline::perfetto::FORMAT,
    timeline::chrome::FORMAT,
    otlp::FORMAT,
    prometheus::FORMAT,
];

/// Their names.
pub fn names() -> impl Iterator<Item = &'static str> {
    FORMATS.iter().map(|format| format.name)
}

/// Writes a trace in another format, or tells which ones there are.
pub fn export(flags: &Export) -> Result<Exit> {
    if flags.list {
        list(&mut anstream::stdout().lock(), ABSENT)?;
        return Ok(Exit::SUCCESS);
    }
    let format = chosen(flags);
    if let Some(endpoint) = &flags.endpoint {
        return otlp::send::send(flags, format, endpoint);
    }
    let options = Options { connections: flags.connections, payload: flags.payload };
    #[cfg(feature = "parquet")]
    if is_folder(format, &flags.output) {
        let mut folder = parquet::Folder::new(flags.output.clone(), options);
        let name = shown(&flags.output);
        named(write(flags, format, &mut folder, &mut io::sink(), &mut say), &name)?;
        folder.put().with_context(|| format!("cannot write {name}"))?;
        return Ok(Exit::SUCCESS);
    }
    let mut output = Output::open(&flags.output, format.is_binary)?;
    let name = output.name().to_owned();
    named(write(flags, format, (format.make)(options).as_mut(), &mut output, &mut say), &name)?;
    output.finish().with_context(|| format!("cannot write {name}"))?;
    Ok(Exit::SUCCESS)
}

/// What whoever uses the export should know.
fn say(text: String) {
    let style = palette::WARNING;
    let _ = writeln!(anstream::stderr(), "{style}sockshim:{style:#} {text}");
}

/// Names the output in what went wrong with it.
fn named(written: Result<()>, name: &str) -> Result<()> {
    match written {
        // A pipe whose reader had enough is the caller's to judge.
        Err(error) if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) => {
            Err(error)
        }
        Err(error) if error.downcast_ref::<io::Error>().is_some() => {
            Err(error).with_context(|| format!("cannot write {name}"))
        }
        written => written,
    }
}

/// Whether the output is a folder of files rather than one.
#[cfg(feature = "parquet")]
fn is_folder(format: &Format, output: &Path) -> bool {
    let is_one = output.as_os_str() == "-" || output.extension().is_some_and(|extension| extension == "parquet");
    format.name == "parquet" && (output.is_dir() || !(is_one || output.exists()))
}

/// The format that was asked for, or that the name of the output stands for.
fn chosen(flags: &Export) -> &'static Format {
    let wrong = |kind: ErrorKind, text: String| -> ! {
        let mut tool = Flags::command();
        tool.build();
        match tool.find_subcommand_mut("export") {
            Some(export) => export.error(kind, text).exit(),
            None => tool.error(kind, text).exit(),
        }
    };
    let name = flags.output.to_string_lossy();
    let found = match &flags.format {
        Some(name) => FORMATS.iter().find(|format| format.name == name),
        None if flags.endpoint.is_some() => Some(&otlp::FORMAT),
        None => FORMATS.iter().find(|format| name.ends_with(&format!(".{}", format.extension))),
    };
    let is_asked = |name: &str, extension: &str| match &flags.format {
        Some(asked) => asked == name,
        None => flags.output.extension().is_some_and(|ending| ending == extension),
    };
    let absent = ABSENT.iter().find(|(name, extension, _)| is_asked(name, extension));
    if let Some((name, _, feature)) = absent.filter(|_| found.is_none()) {
        wrong(ErrorKind::InvalidValue, format!("{name} is {}", not_here(feature)))
    }
    let Some(format) = found else { wrong(ErrorKind::MissingRequiredArgument, listed::which(&name)) };
    if flags.endpoint.is_some() && format.name != otlp::FORMAT.name {
        let text = format!("--endpoint is for the format {}, not for {}", otlp::FORMAT.name, format.name);
        wrong(ErrorKind::ArgumentConflict, text)
    }
    if flags.connections && !format.has_connections {
        let able: Vec<_> = FORMATS.iter().filter(|format| format.has_connections).map(|format| format.name).collect();
        let text = format!("--connections is for the formats {}, not for {}", listed::and(&able), format.name);
        wrong(ErrorKind::ArgumentConflict, text)
    }
    if flags.payload && format.name != "parquet" {
        let text = "--payload is for the format parquet: what others have of the bytes they have always";
        wrong(ErrorKind::ArgumentConflict, text.into())
    }
    if flags.payload && flags.connections {
        wrong(ErrorKind::ArgumentConflict, "--payload is of calls: connections have none".into())
    }
    format
}

/// Reads the trace, once or twice, and feeds the exporter. Says what whoever uses the file should know.
fn write(
    flags: &Export,
    format: &Format,
    exporter: &mut dyn Exporter,
    out: &mut dyn Write,
    say: &mut dyn FnMut(String),
) -> Result<()> {
    let mut progress = Progress::new();
    let whole = match format.looks_ahead {
        true => Some(look_ahead(flags, &mut progress, false)?),
        false => None,
    };
    let mut trace = Trace::open_all(&flags.files)?;
    exporter.begin(&About::of(&trace), out)?;
    if let Some(whole) = &whole {
        let mut written = Ok(());
        trace.keys(&mut |lines| {
            if written.is_ok() {
                written = exporter.keys(lines, whole, out);
            }
        })?;
        written?;
    }
    // Rows of connections need no payload.
    let mut events = if flags.connections { Events::without_payload(trace) } else { Events::new(trace) };
    // What only the end tells is asked beforehand, for connections are told as they finish.
    let mut model = match flags.connections {
        true => look_ahead(flags, &mut progress, true)?.again(),
        false => Model::new(),
    };
    let (mut calls, mut error) = (0, None);
    while let Some(event) = events.next_ref() {
        match event {
            Ok(event) => {
                model.feed(event);
                if matches!(event, Event::Call(_)) {
                    calls += 1;
                    progress.tick(calls);
                }
                let known = Known { so_far: &model, whole: whole.as_ref().unwrap_or(&model) };
                exporter.event(event, known, out)?;
                if flags.connections {
                    let mut all = model.finished().iter().filter_map(|id| model.connection(*id));
                    all.try_for_each(|conn| exporter.connection(conn, &model, out))?;
                }
                if format.forgets {
                    model.forget(|_| false);
                }
            }
            Err(e) => error = Some(e),
        }
    }
    let trace = events.trace();
    finish(&mut model, trace);
    if flags.connections {
        model.connections().try_for_each(|conn| exporter.connection(conn, &model, out))?;
    }
    let lost = trace.lost().map_or(0, |(calls, _)| calls);
    let ended = matches!(trace.tail(), Tail::Ended(_) | Tail::Continued | Tail::Region { closed: true });
    let whole = ended && lost == 0 && trace.damaged_bytes() == 0 && error.is_none();
    exporter.end(&Ended { model: &model, lost, whole }, out)?;
    progress.done();
    remarks(flags, trace, say);
    match error {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// How everything ends, and all connections, unless they are to be forgotten.
fn look_ahead(flags: &Export, progress: &mut Progress, forget: bool) -> Result<Model> {
    let mut events = Events::without_payload(Trace::open_all(&flags.files)?);
    let (mut model, mut count) = (Model::new(), 0);
    while let Some(event) = events.next_ref() {
        // Where it cannot be read further the second reading says so.
        match event {
            Ok(event) => model.feed(event),
            Err(_) if forget => {}
            Err(e) => return Err(e.into()),
        }
        if forget {
            model.forget(|_| false);
        }
        count += 1;
        progress.look_ahead(count);
    }
    finish(&mut model, events.trace());
    Ok(model)
}

fn finish(model: &mut Model, trace: &Trace) {
    model.finish(matches!(trace.tail(), Tail::Ended(_)));
    let (lost, lost_extensions) = trace.lost().unwrap_or_default();
    model.lost_in_all(lost.saturating_add(lost_extensions).saturating_add(trace.calls_before()));
    watch::tell(model, trace.notes());
}

/// What the format may not tell.
fn remarks(flags: &Export, trace: &Trace, say: &mut dyn FnMut(String)) {
    let file = flags.files.last().map_or(String::new(), |file| file.display().to_string());
    if let Some((lost, _)) = trace.lost().filter(|(lost, _)| *lost > 0) {
        say(format!("{} lost while it was recorded", crate::views::count(lost, "call")));
    }
    if trace.damaged_bytes() > 0 {
        let bytes = crate::views::count(trace.damaged_bytes(), "byte");
        say(format!("{file}: {bytes} are damaged and were passed over"));
    }
    match trace.tail() {
        Tail::Torn { offset, reason } => {
            say(format!("{file} is cut short at byte {offset} ({reason}); all that is in front of it was written"));
        }
        Tail::Open if !trace.goes_on() => say(format!("{file} was not ended: its tool still writes, or was killed")),
        _ => {}
    }
}

/// The name of a file for people.
fn shown(path: &Path) -> String {
    safe(path.as_os_str().as_encoded_bytes())
}

#[cfg(test)]
mod tests;
