//! `sockshim check`: whether a trace is as expected, for tests and CI. What does not hold is told in plain words, with the
//! connection that it does not hold for.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use sockshim_reader::Model;
use sockshim_reader::expect::{self, Expected, Scene, Wrong};

use crate::flags::Check;
use crate::palette;
use crate::reading::{Opened, Run, warn};
use crate::views::{thousands, unseen};

/// Exit status: an expectation is wrong in itself, or there is none.
const WRONG: u8 = 2;
/// Connections that are named for one expectation; the others are counted.
const MOST: usize = 10;

/// Compares a trace with what is expected of it.
pub fn check(flags: &Check) -> Result<ExitCode> {
    let mut all = flags.expectations.all();
    for path in &flags.expect {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the expectations in {}", path.display()))?;
        match expect::lines(&text) {
            Ok(expected) => all.extend(expected),
            Err((line, wrong)) => {
                warn(format!("{}, line {line}: {wrong}", path.display()))?;
                return Ok(ExitCode::from(WRONG));
            }
        }
    }
    if all.is_empty() {
        warn("nothing is expected: say what, as in --no-leaks or --expect FILE (sockshim check --help)".into())?;
        return Ok(ExitCode::from(WRONG));
    }
    let reading = Opened::open(&Run::apart(&flags.files)?, false)?.read(|_, _| Ok(()))?;
    let results = outcomes(&reading.model, &all, reading.zero_ns);
    let mut out = io::BufWriter::new(anstream::stdout().lock());
    print(&mut out, &results)?;
    out.flush()?;
    drop(out);
    reading.tell()?;
    Ok(if results.iter().all(|outcome| outcome.wrong.is_empty()) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// An expectation, and where it does not hold.
struct Outcome {
    flag: String,
    wrong: Vec<Wrong>,
}

fn outcomes(model: &Model, expected: &[Expected], zero_ns: u64) -> Vec<Outcome> {
    let scene = Scene {
        model,
        zero_ns,
        meant: &|_| true,
        over: true,
        unseen: &|conn| unseen::words(model, conn),
        not_followed: &|| model.not_followed().iter().map(unseen::not_followed).collect(),
    };
    let outcome = |expected: &Expected| Outcome { flag: format!("--{expected}"), wrong: scene.wrong(expected) };
    expected.iter().map(outcome).collect()
}

fn print(out: &mut dyn Write, outcomes: &[Outcome]) -> io::Result<()> {
    for Outcome { flag, wrong } in outcomes {
        let (style, faint) = (palette::ERROR, palette::FAINT);
        if wrong.is_empty() {
            writeln!(out, "{faint}{flag} holds{faint:#}")?;
            continue;
        }
        writeln!(out, "{style}{flag} does not hold:{style:#}")?;
        wrong.iter().take(MOST).try_for_each(|line| writeln!(out, "  {}", line.text))?;
        if wrong.len() > MOST {
            writeln!(out, "  and {} more", thousands((wrong.len() - MOST) as u64))?;
        }
    }
    let holds = outcomes.iter().filter(|outcome| outcome.wrong.is_empty()).count() as u64;
    match outcomes.len() as u64 {
        all if all == holds => {
            writeln!(out, "As expected: {}.", if all == 1 { "it holds".into() } else { format!("all {all} hold") })
        }
        all => writeln!(out, "Not as expected: {} of {all} hold.", holds),
    }
}
