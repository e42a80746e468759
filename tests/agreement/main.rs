//! Agreement with the kernel: real programs under `sockshim run --verify`. Every call on a socket, and
//! every wait, that went through a public function of libc's is in the trace, as strace saw it, and
//! nothing else is. What passed around the shim is named.
//!
//! ```text
//! programs     real programs on loopback
//! behaviours   the programs of c-tests/
//! holes        what the audit has to find
//! harness, server, web, recorded: those of tests/real_programs; c_programs: of tests/c_tests
//! ```
//! The table of what was compared is printed past the test harness, so that a log of CI has it.

#[allow(dead_code)] // the test that it belongs to uses all of it
#[path = "../support/c_programs.rs"]
mod c_programs;
#[allow(dead_code)]
#[path = "../real_programs/harness.rs"]
mod harness;
#[allow(dead_code)]
#[path = "../real_programs/recorded.rs"]
mod recorded;
#[allow(dead_code)]
#[path = "../real_programs/server.rs"]
mod server;
#[path = "../support/tally.rs"]
mod tally;
#[allow(dead_code)]
#[path = "../real_programs/web.rs"]
mod web;

mod behaviours;
mod holes;
mod programs;

use c_programs::{Program, for_each};
use harness::{Mode, Outcome, installed};
use sockshim_reader::{Audit, Trace, Verdict};
use std::collections::BTreeMap;
use std::io::Write;

/// A program's name, and what its audit found.
type Audited = (String, Audit);

/// The audit that the trace of a run holds.
#[track_caller]
fn audit(outcome: &Outcome) -> Audit {
    assert_eq!(outcome.mode, Mode::Verify);
    let trace = Trace::open(&outcome.trace).unwrap_or_else(|e| panic!("{}: {e}\n{}", outcome.name, outcome.stderr));
    trace.audit().unwrap_or_else(|| panic!("{}: no audit\n{}", outcome.name, outcome.stderr)).clone()
}

/// The audit of a run in which nothing disagrees. `around` are the ways on which calls may have passed
/// around the shim: how their names begin.
#[track_caller]
fn agreed(outcome: &Outcome, around: &[&str]) -> Audited {
    let (name, audit) = (outcome.name.clone(), audit(outcome));
    assert!(audit.agrees(), "{name}: the kernel disagrees\n{}\n{audit}", outcome.stderr);
    for (way, count) in audit.of(Verdict::Unseen) {
        assert!(
            around.iter().any(|known| way.starts_with(known)),
            "{name}: {count} calls passed around the shim by {way}\n{audit}"
        );
    }
    (name, audit)
}

/// What one line of the table says.
fn line(name: &str, numbers: [u64; 4]) -> String {
    let [compared, matched, inside, around] = numbers;
    format!("{name:<34}{compared:>9}{matched:>9}{inside:>9}{around:>9}\n")
}

fn numbers(audit: &Audit) -> [u64; 4] {
    let total = |verdicts: &[Verdict]| verdicts.iter().map(|verdict| audit.total(*verdict)).sum();
    let compared = [Verdict::Seen, Verdict::Wrong, Verdict::Missed, Verdict::Invented];
    [total(&compared), total(&[Verdict::Seen]), total(&[Verdict::Inside]), total(&[Verdict::Unseen])]
}

/// The table: a line per program, then one per call.
fn table(audited: &[Audited]) -> String {
    let heads = |first: &str| format!("{first:<34}{:>9}{:>9}{:>9}{:>9}\n", "compared", "matched", "inside", "around");
    let mut text = format!("\n{}", heads("PROGRAM"));
    let mut all = Audit::default();
    for (name, audit) in audited {
        text += &line(name, numbers(audit));
        Verdict::ALL.iter().for_each(|v| audit.of(*v).for_each(|(name, count)| all.add(*v, name, count)));
    }
    text += &format!("\n{}", heads("CALL"));
    let mut calls: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
    for verdict in Verdict::ALL {
        for (name, count) in all.of(verdict) {
            let columns: &[usize] = match verdict {
                Verdict::Seen => &[0, 1],
                Verdict::Wrong | Verdict::Missed | Verdict::Invented => &[0],
                Verdict::Inside => &[2],
                Verdict::Unseen => &[3],
            };
            columns.iter().for_each(|column| calls.entry(name).or_default()[*column] += count);
        }
    }
    calls.iter().for_each(|(name, numbers)| text += &line(name, *numbers));
    text + &format!("\n{}", line("all", numbers(&all)))
}

/// Prints the table, and asserts that there is nothing in it that disagrees.
fn conclude(mut audited: Vec<Audited>) {
    audited.sort_by(|a, b| a.0.cmp(&b.0));
    let table = table(&audited);
    // Not by `print!`, which the test harness swallows.
    std::io::stdout().write_all(table.as_bytes()).unwrap();
    let all = |verdict: Verdict| audited.iter().map(|(_, audit)| audit.total(verdict)).sum::<u64>();
    let [seen, wrong] = [all(Verdict::Seen), all(Verdict::Wrong)];
    // Rounded down: 100.00% is all of them.
    let percent = |of: u64| (seen as f64 / of.max(1) as f64 * 10_000.0).floor() / 100.0;
    let (recall, precision) =
        (percent(seen + wrong + all(Verdict::Missed)), percent(seen + wrong + all(Verdict::Invented)));
    tally::tally(&format!("calls_compared={} recall={recall:.2}% precision={precision:.2}%", seen + wrong));
    assert!(audited.iter().all(|(_, audit)| audit.agrees()), "{table}");
}

#[test]
fn real_programs_agree_with_the_kernel() {
    if installed("strace", &["strace"]) {
        let audited: Vec<Audited> = for_each(programs::ALL, |program| program()).into_iter().flatten().collect();
        for (name, audit) in &audited {
            assert!(audit.total(Verdict::Seen) > 0, "{name}: nothing was compared\n{audit}");
        }
        conclude(audited);
    }
}

#[test]
fn programs_of_one_behaviour_each_agree_with_the_kernel() {
    if installed("strace", &["strace"]) && installed("gcc", &["gcc"]) {
        conclude(for_each(&Program::all(), behaviours::audited).into_iter().flatten().collect());
    }
}
