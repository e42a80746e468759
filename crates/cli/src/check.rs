//! `sockshim check`: whether a trace is as expected, for tests and CI. What does not hold is told in plain words, with the
//! connection that it does not hold for.

use std::io::{self, Write};

use anyhow::{Context, Result};
use sockshim_reader::Model;
use sockshim_reader::expect::{self, Expectation, Judge, Scene};

use crate::entry::Exit;
use crate::flags::Check;
use crate::reading::{Opened, Run, warn};
use crate::views::{thousands, unseen};
use crate::{out, palette};

/// Exit status: an expectation is wrong in itself, or there is none.
const WRONG: u8 = 2;
/// Connections that are named for one expectation; the others are counted.
const MOST: usize = 10;

/// Compares a trace with what is expected of it.
pub fn check(flags: &Check) -> Result<Exit> {
    let mut all = flags.expectations.all();
    for path in &flags.expect {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the expectations in {}", path.display()))?;
        match expect::lines(&text) {
            Ok(expected) => all.extend(expected),
            Err((line, wrong)) => {
                warn(format!("{}, line {line}: {wrong}", path.display()))?;
                return Ok(Exit::from(WRONG));
            }
        }
    }
    if all.is_empty() {
        warn("nothing is expected: say what, as in --no-leaks or --expect FILE (sockshim check --help)".into())?;
        return Ok(Exit::from(WRONG));
    }
    let reading = Opened::open(&Run::apart(&flags.files)?, false)?.read_in_bounds(None)?;
    let mut results: Vec<Judge> = all.into_iter().map(|expected| Judge::new(expected, MOST)).collect();
    let lacking = reading.lacking();
    let zero_ns = reading.zero_ns;
    reading.each(|model, conn| {
        in_scene(model, zero_ns, &lacking, |scene| results.iter_mut().for_each(|judge| judge.take(scene, conn)));
        Ok(())
    })?;
    in_scene(&reading.model, zero_ns, &lacking, |scene| results.iter_mut().for_each(|judge| judge.end(scene)));
    let mut out = out::stdout();
    print(&mut out, &results)?;
    out.flush()?;
    drop(out);
    reading.tell()?;
    Ok(if results.iter().all(|judge| judge.count == 0) { Exit::SUCCESS } else { Exit::FAILURE })
}

/// Gives what expectations are compared with, of a model as it is at the moment.
fn in_scene(model: &Model, zero_ns: u64, lacking: &[String], mut look: impl FnMut(&Scene<'_>)) {
    look(&Scene {
        model,
        zero_ns,
        meant: &|_| true,
        over: true,
        unseen: &|conn| unseen::words(model, conn),
        not_followed: &|| model.not_followed().iter().map(unseen::not_followed).collect(),
        lacking: &|| lacking.to_vec(),
    });
}

fn print(out: &mut dyn Write, judges: &[Judge]) -> io::Result<()> {
    for Judge { expected, wrong, count, looked_at, .. } in judges {
        let (style, faint) = (palette::ERROR, palette::FAINT);
        // What is said of no connection holds, and is seldom what was meant. A number of them may be none.
        let to = expected.to.as_ref().filter(|_| !matches!(expected.what, Expectation::Connections(_)));
        if let Some(to) = to.filter(|_| *count == 0 && *looked_at == 0) {
            let style = palette::WARNING;
            writeln!(out, "{style}--{expected} holds of no connection: there is none to {to}{style:#}")?;
            continue;
        }
        if *count == 0 {
            writeln!(out, "{faint}--{expected} holds{faint:#}")?;
            continue;
        }
        writeln!(out, "{style}--{expected} does not hold:{style:#}")?;
        wrong.iter().try_for_each(|line| writeln!(out, "  {}", line.text))?;
        if *count > wrong.len() as u64 {
            writeln!(out, "  and {} more", thousands(count - wrong.len() as u64))?;
        }
    }
    let holds = judges.iter().filter(|judge| judge.count == 0).count() as u64;
    match judges.len() as u64 {
        all if all == holds => {
            writeln!(out, "As expected: {}.", if all == 1 { "it holds".into() } else { format!("all {all} hold") })
        }
        all => writeln!(out, "Not as expected: {} of {all} hold.", holds),
    }
}
