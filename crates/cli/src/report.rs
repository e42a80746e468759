//! `sockshim report`: the story of every connection of a trace.

use std::collections::BTreeSet;
use std::io::{self, Write};

use anyhow::{Context, Result};
use sockshim_reader::model::ConnId;
use sockshim_reader::{Event, Trace};

use crate::entry::Exit;
use crate::explain::{Explainer, lang::Lang, page::Page};
use crate::flags::Report;
use crate::html::{self, calls::Calls};
use crate::out;
use crate::reading::{Opened, Reading, Run, note, warn};
use crate::views::report::sequence::Sequence;
use crate::views::report::summary::{self, Summary};
use crate::views::report::{Item, Scene, block};
use crate::views::{Teller, count, thousands};

mod select;
use select::Picked;

/// Exit status: the command line asks for what is not there.
const WRONG: u8 = 2;
/// Columns where no terminal tells how many it has.
const COLUMNS: usize = 100;
/// What fits into fewer columns cannot be read, and nobody has more.
const LEAST_COLUMNS: usize = 60;
const MOST_COLUMNS: usize = 1000;

/// Prints the report.
pub fn report(flags: &Report) -> Result<Exit> {
    let opened = Opened::open(&Run::apart(&flags.files)?, false)?;
    opened.tell()?;
    // A page, or a tale in sentences, is made of all connections together.
    let mut reading = match flags.html.is_some() || flags.telling.explain {
        true => opened.read_all()?,
        false => opened.read_in_bounds(None)?,
    };
    let mut out = out::stdout();
    let wrong = match flags.connection {
        None if flags.html.is_some() => page(&mut out, flags, &reading)?,
        Some(number) => {
            if let Some(id) = number.checked_sub(1).filter(|_| reading.is_long()) {
                reading = reading.only(&BTreeSet::from([id]))?;
            }
            sequence(&mut out, flags, &reading, number)?
        }
        None if reading.is_long() => long_story(&mut out, flags, &mut reading)?,
        None => story(&mut out, flags, &reading, None)?,
    };
    out.flush()?;
    drop(out);
    if let Some(text) = wrong {
        warn(text)?;
        return Ok(Exit::from(WRONG));
    }
    reading.tell()?;
    Ok(Exit::SUCCESS)
}

fn scene(reading: &Reading) -> Scene<'_> {
    let lost = (reading.lost_calls, reading.earlier_calls);
    Scene { model: &reading.model, zero_ns: reading.zero_ns, lost, width: width() }
}

/// The summary and the blocks, or what is wrong with what was asked for.
fn story(
    out: &mut dyn Write,
    flags: &Report,
    reading: &Reading,
    among: Option<&BTreeSet<ConnId>>,
) -> Result<Option<String>> {
    let scene = scene(reading);
    let items = match select::select(scene.model, &flags.selection, among) {
        Ok(items) => items,
        Err(wrong) => return Ok(Some(wrong)),
    };
    if flags.telling.explain {
        return explain(out, flags, reading, &items).map(|()| None);
    }
    summarize(out, &scene, &Summary::of(&scene, &items), reading, &title(reading))?;
    for item in &items {
        writeln!(out)?;
        block::print(out, &scene, item)?;
    }
    if items.is_empty() && scene.model.connections().next().is_some() {
        writeln!(out, "\nNo connection is as asked for; there are {}.", thousands(in_all(reading)))?;
    }
    Ok(None)
}

/// The same of a trace with more connections than are kept: in order if few of them are asked for, else as they finish.
fn long_story(out: &mut dyn Write, flags: &Report, reading: &mut Reading) -> Result<Option<String>> {
    let (mut picked, mut summary) = (Picked::new(&flags.selection), Summary::default());
    reading.each(|model, conn| {
        let item = picked.take(model, conn);
        item.into_iter().for_each(|item| summary.add(&Scene { model, ..scene(reading) }, &item));
        Ok(())
    })?;
    match picked.few() {
        Err(wrong) => return Ok(Some(wrong)),
        Ok(Some(few)) => {
            let again = reading.only(&few)?;
            return story(out, flags, &again, Some(&few));
        }
        Ok(None) => {}
    }
    note(format!(
        "{} are told as they finished: --top N tells the first N in order",
        count(picked.count(), "connection")
    ))?;
    summarize(out, &scene(reading), &summary, reading, &title(reading))?;
    let mut again = Picked::new(&flags.selection);
    reading.each(|model, conn| match again.take(model, conn) {
        Some(item) => {
            writeln!(out)?;
            block::print(out, &Scene { model, ..scene(reading) }, &item)
        }
        None => Ok(()),
    })?;
    Ok(None)
}

/// What was traced.
fn title(reading: &Reading) -> String {
    let names: Vec<String> = reading.runs().map(Run::name).collect();
    match (reading.command(), names.as_slice()) {
        (Some(command), [name]) => format!("{name}: {command}"),
        (_, names) => names.join(" and "),
    }
}

fn summarize(out: &mut dyn Write, scene: &Scene<'_>, all: &Summary, reading: &Reading, title: &str) -> Result<()> {
    all.print(out, scene, title, reading.calls)?;
    let first = reading.runs().next().map_or(String::new(), Run::name);
    for run in reading.runs().filter(|run| run.shift.run > 0) {
        summary::clock(out, scene, &first, &run.name(), run.clock)?;
    }
    Ok(())
}

/// The same as a page. The trace is read again for the calls.
fn page(out: &mut dyn Write, flags: &Report, reading: &Reading) -> Result<Option<String>> {
    let Some(path) = &flags.html else { return Ok(None) };
    if Trace::open(path).is_ok() {
        let path = path.display();
        return Ok(Some(format!("{path} is a trace, and would be overwritten: name another file for the page")));
    }
    let scene = Scene { width: usize::MAX / 4, ..scene(reading) };
    let items = match select::select(scene.model, &flags.selection, None) {
        Ok(items) => items,
        Err(wrong) => return Ok(Some(wrong)),
    };
    let mut summary = Vec::new();
    summarize(&mut summary, &scene, &Summary::of(&scene, &items), reading, "")?;
    let summary = String::from_utf8_lossy(&summary).into_owned();
    let mut calls = Calls::new(scene.model, &items);
    let runs: Vec<Run> = reading.runs().cloned().collect();
    Opened::open(&runs, true)?.read(|model, event| {
        if let Event::Call(call) = event {
            calls.take(model, call);
        }
        Ok(())
    })?;
    let page = html::page(&scene, &items, &title(reading), &summary, &calls);
    html::save(path, out, &page)?;
    Ok(None)
}

fn names(reading: &Reading) -> String {
    reading.runs().map(Run::name).collect::<Vec<String>>().join(" and ")
}

fn in_all(reading: &Reading) -> u64 {
    reading.model.connections_in_all() as u64
}

/// The calls of one connection. The trace is read again for them: nobody knew before which would be asked for.
fn sequence(out: &mut dyn Write, flags: &Report, reading: &Reading, number: usize) -> Result<Option<String>> {
    let scene = scene(reading);
    let Some(connection) = number.checked_sub(1).and_then(|id| scene.model.connection(id)) else {
        let there = match in_all(reading) {
            0 => "it has none".to_owned(),
            1 => "it has 1 only".to_owned(),
            last => format!("it has 1 to {}", thousands(last)),
        };
        return Ok(Some(format!("there is no connection {number} in {}: {there}", names(reading))));
    };
    let item = Item::of(scene.model, connection);
    if flags.telling.explain {
        return explain(out, flags, reading, &[item]).map(|()| None);
    }
    block::print(out, &scene, &item)?;
    writeln!(out)?;
    let mut sequence = Sequence::new(scene, item, flags.all);
    sequence.begin(out)?;
    let runs: Vec<Run> = reading.runs().cloned().collect();
    let again = Opened::open(&runs, true)?;
    again.read(|model, event| match event {
        Event::Call(call) => sequence.call(out, model, call),
        _ => Ok(()),
    })?;
    sequence.end(out).context("cannot write")?;
    Ok(None)
}

/// Tells of connections in sentences. The trace is read again for them, call by call.
fn explain(out: &mut dyn Write, flags: &Report, reading: &Reading, items: &[Item<'_>]) -> Result<()> {
    let lang = flags.telling.lang.unwrap_or_else(Lang::of_locale);
    let explainer = Explainer::new(lang, Page::of(width()), Some(reading.zero_ns));
    let mut explainer = explainer.only(items.iter().flat_map(Item::ends));
    let runs: Vec<Run> = reading.runs().cloned().collect();
    let again = Opened::open(&runs, true)?.read(|model, event| explainer.event(out, model, event))?;
    explainer.end(out, &again.model, again.calls).context("cannot write")
}

/// Columns: of COLUMNS, or of the terminal that is written to.
fn width() -> usize {
    let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let terminal = || Some(usize::from(terminal_size::terminal_size_of(io::stdout())?.0.0));
    asked.or_else(terminal).unwrap_or(COLUMNS).clamp(LEAST_COLUMNS, MOST_COLUMNS)
}
