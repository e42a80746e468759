//! What tracing costs, side by side: `cargo bench --bench side_by_side`, or `make bench`.
//!
//! Every figure is a comparison of two runs made one after the other, the untraced one and the traced
//! one, in turns; what is told is the median of these pairs, with the least and the most. A machine
//! that is busy with other things changes both of a pair.

mod growth;
mod lttng;
mod machine;
mod report;
mod subjects;
mod workloads;

use report::Table;
use subjects::Subject;
use workloads::{Measured, Workload};

const USAGE: &str = "\
cargo bench --bench side_by_side -- [--quick] [--pairs N] [--only WORKLOAD,...] [--against SUBJECT,...] [--write FILE]

  --quick     fewer pairs and shorter runs, without the servers: under two minutes
  --pairs     how many times each is compared (9; with --quick 3)
  --only      these workloads; growth: what grows with connections, threads, records
  --against   these subjects
  --write     puts the table between the markers of this file too
";

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (mut quick, mut pairs, mut only, mut against, mut write) = (false, None, None, None, None);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| wrong(&format!("{argument} needs a value")));
        match &*argument {
            "--quick" => quick = true,
            "--pairs" => pairs = Some(value().parse().unwrap_or_else(|_| wrong("--pairs takes a number"))),
            "--only" => only = Some(list(&value())),
            "--against" => against = Some(list(&value())),
            "--write" => write = Some(value()),
            _ => wrong(&format!("unknown argument {argument}")),
        }
    }
    let pairs: usize = pairs.unwrap_or(if quick { 3 } else { 9 });
    machine::raise_limits();
    let scratch = machine::Scratch::new();
    let bare = subjects::bare();
    let chosen = |names: &Option<Vec<String>>, name: &str| names.as_ref().is_none_or(|n| n.iter().any(|n| n == name));
    let lttng = chosen(&against, "lttng").then(|| lttng::Session::start(&scratch)).flatten();
    let (subjects, missing) = subjects::all(&scratch, lttng.as_ref(), quick);
    let mut table = Table::new(pairs, missing);
    for workload in workloads::all(&scratch, quick).into_iter().filter(|w| chosen(&only, w.name)) {
        for subject in subjects.iter().filter(|s| chosen(&against, s.name) && s.does(workload.name)) {
            progress(&format!("{} under {}", workload.name, subject.name));
            let measured: Option<Vec<_>> =
                (0..pairs).map(|turn| pair(&workload, &bare, subject, turn, &scratch)).collect();
            table.add(&workload, subject, measured);
        }
    }
    let mut text = table.markdown();
    let traced = subjects.iter().find(|subject| subject.name == "sockshim");
    let wanted = if only.is_some() { chosen(&only, "growth") } else { !quick };
    if let Some(traced) = traced.filter(|_| wanted) {
        let growth = growth::Growth { scratch: &scratch, bare: &bare, traced, pairs: pairs.min(5), quick };
        text.push_str("\nAs the work grows:\n\n");
        text.push_str(&growth.markdown(progress));
    }
    progress("");
    println!("{text}");
    if let Some(file) = write {
        report::write(&file, &text);
    }
}

/// The same thing untraced and traced, now in this order, now in that. None if it could not be run.
fn pair(
    workload: &Workload,
    bare: &Subject,
    subject: &Subject,
    turn: usize,
    scratch: &machine::Scratch,
) -> Option<(Measured, Measured)> {
    // What is a thousand times slower is run with fewer operations, and is compared with as few.
    let share = subject.share;
    if turn.is_multiple_of(2) {
        let without = workload.run(bare, share, scratch)?;
        Some((without, workload.run(subject, share, scratch)?))
    } else {
        let with = workload.run(subject, share, scratch)?;
        Some((workload.run(bare, share, scratch)?, with))
    }
}

/// What is being done, on a line that is written over, where somebody looks.
fn progress(text: &str) {
    use std::io::IsTerminal;
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{text}");
    }
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(str::to_owned).collect()
}

fn wrong(what: &str) -> ! {
    eprintln!("{what}\n\n{USAGE}");
    std::process::exit(2)
}
