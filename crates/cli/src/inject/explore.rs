//! `sockshim explore`: runs a program again and again, and each time another of its calls fails.
//!
//! The idea of SQLite's tests of I/O errors, for sockets. The program runs once as it is, which tells the calls that
//! there are; then, for each of them and each way in which it may plausibly fail, it runs with that one fault, and
//! what becomes of it is compared with the first run. Each run has the shim and a trace of its own, and no tool:
//! the tool is busy with others.

mod faults;
mod outcome;
mod points;
mod program;
mod report;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use anyhow::{Context, Result, ensure};
use sockshim_format::op::Op;

use crate::entry::Exit;
use crate::flags::Explore;
use crate::{shim, target};
use outcome::Outcome;
use points::Point;
use program::{Program, Run};

/// One fault, and what became of the program.
pub struct Finding {
    point: Point,
    fault: String,
    rule: String,
    outcome: Outcome,
}

/// Explores, and prints what was found.
///
/// # Errors
///
/// The program cannot be run, or makes no call that could fail.
pub fn explore(flags: &Explore, embedded_shim: &[u8]) -> Result<Exit> {
    let target = target::inspect(&flags.command[0])?;
    let shim = shim::locate(embedded_shim)?;
    let program = Program::new(target.path, &flags.command, &shim, flags.timeout)?;
    let functions = functions(&flags.functions)?;
    let first = program.run(0, None)?;
    let again = program.run(1, None)?;
    ensure!(!first.timed_out, "the program did not end within {:?} as it is; see --timeout", flags.timeout);
    let points = points::of(&first.calls, &functions);
    ensure!(
        !points.is_empty(),
        "the program made no call that could be made to fail; sockshim doctor says what is seen"
    );
    let mut plan = Vec::new();
    for point in &points {
        for fault in faults::of(point.op, &flags.errors) {
            plan.push((point.clone(), fault.clone(), point.rule(&fault, flags.persist)));
        }
    }
    let left_out = plan.len().saturating_sub(flags.max.unwrap_or(usize::MAX));
    plan.truncate(flags.max.unwrap_or(usize::MAX));
    let steady = points::of(&again.calls, &functions) == points && again.ending == first.ending;
    let findings = run_all(&program, &plan, &first, flags.jobs)?;
    let exploration =
        report::Exploration { flags, first: &first, points: &points, findings: &findings, left_out, steady };
    exploration.print(&mut anstream::stdout().lock()).context("cannot write")?;
    let bad = findings.iter().any(|finding| finding.outcome.is_bad());
    Ok(if bad { Exit::FAILURE } else { Exit::SUCCESS })
}

/// Runs the program once for each fault, so many at a time.
fn run_all(program: &Program, plan: &[(Point, String, String)], first: &Run, jobs: usize) -> Result<Vec<Finding>> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    let work = || -> Result<()> {
        loop {
            let index = next.fetch_add(1, Relaxed);
            let Some((point, fault, rule)) = plan.get(index) else { return Ok(()) };
            let run = program.run(index + 2, Some(rule))?;
            let outcome = Outcome::of(&run, first);
            let finding = Finding { point: point.clone(), fault: fault.clone(), rule: rule.clone(), outcome };
            found.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((index, finding));
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| Ok(())))
    })?;
    let mut found = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    found.sort_by_key(|(index, _)| *index);
    Ok(found.into_iter().map(|(_, finding)| finding).collect())
}

/// The functions that are meant: as in a rule, or all that are worth it.
fn functions(names: &[String]) -> Result<Vec<Op>> {
    if names.is_empty() {
        return Ok(Op::ALL.iter().copied().filter(|op| op.base() == *op && !faults::usual(*op).is_empty()).collect());
    }
    let text = format!("{}:delay_enter=1", names.join(","));
    let plan = sockshim_format::plan::parse(&text);
    let plan =
        plan.map_err(|mistake| anyhow::anyhow!("--functions: `{}` is {}", &text[mistake.at.clone()], mistake.why))?;
    Ok(plan.functions().iter().collect())
}

/// A folder of our own, removed with all that is in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed lies where everything temporary does.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
