//! A trace of more connections than the tool keeps: each is told as it finishes, and none is missing.

#[path = "support/built.rs"]
mod built;

use built::{root, scratch, succeed, tool};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Before the pause, and after it: so many have finished when the trace is at its end that the first are not kept.
const TURNS: [&str; 2] = ["12000", "15000"];
const PIPES: usize = 27_000;
/// Two ends each, and the listener.
const SOCKETS: usize = 2 * PIPES + 1;

fn traced() -> PathBuf {
    static MADE: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let make = || {
        let (program, trace) = (scratch("many_connections").join("turns"), scratch("many_connections").join("x.sst"));
        let source = root().join("tests/many_connections/turns.c");
        succeed(Command::new("gcc").args(["-O1", "-Wall", "-Werror", "-o"]).arg(&program).arg(source));
        succeed(Command::new(tool()).args(["run", "-q", "-o"]).arg(&trace).arg("--").arg(program).args(TURNS));
        trace
    };
    MADE.get_or_init(make).clone()
}

fn asked(verb: &str, words: &[&str], trace: &Path) -> Output {
    let mut command = Command::new(tool());
    command.env("COLUMNS", "100").arg(verb).args(words).arg(trace);
    succeed(&mut command)
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The numbers of the connections that blocks are about, in their order: a pipe's block names both its ends.
fn blocks(report: &str) -> Vec<usize> {
    let number = |line: &str| line.strip_prefix('#')?.split_whitespace().next()?.parse().ok();
    report.lines().filter_map(number).collect()
}

#[test]
fn a_row_for_each_connection() {
    let trace = traced();
    let csv = text(&asked("export", &["--connections", "--format", "csv"], &trace));
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let column = |name: &str| names.iter().position(|column| *column == name).unwrap();
    let (conn, ending) = (column("conn"), column("ending"));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let ids: BTreeSet<&str> = rows.iter().map(|row| row[conn]).collect();
    assert_eq!((rows.len(), ids.len()), (SOCKETS, SOCKETS));
    assert_eq!(rows.iter().filter(|row| row[ending] != "closed").count(), 0);
    let table = text(&asked("show", &["--connections"], &trace));
    // A heading, and a line that sums up.
    assert_eq!(table.lines().count(), SOCKETS + 2);
    assert!(table.lines().last().unwrap().starts_with("54,001 sockets, "), "{:?}", table.lines().last());
}

#[test]
fn a_row_of_parquet_for_each_connection() {
    let python = root().join("target/python/bin/python3");
    let imports = Command::new(&python).args(["-c", "import duckdb"]).output();
    if !imports.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: target/python cannot import duckdb (make packages)");
        return;
    }
    let (trace, file) = (traced(), scratch("many_connections").join("x.parquet"));
    asked("export", &["--connections", "--format", "parquet", "-o", file.to_str().unwrap()], &trace);
    let count = format!(
        "import duckdb; print(*duckdb.sql(\"select count(*), count(distinct conn) from '{}'\").fetchall()[0])",
        file.display()
    );
    let counted = text(&succeed(Command::new(&python).args(["-c", &count])));
    assert_eq!(counted.trim(), format!("{SOCKETS} {SOCKETS}"));
}

#[test]
fn a_block_for_each_pipe_and_those_that_are_asked_for_in_order() {
    let trace = traced();
    let output = asked("report", &[], &trace);
    let report = text(&output);
    assert!(report.contains("sockets   54,001: 27,000 pipes with both their ends, 1 listener\n"), "{report:.1000}");
    assert!(report.contains("nothing failed, all was closed, every byte of TCP was seen, no call was lost"));
    let told = blocks(&report);
    assert_eq!((told.len(), told.iter().collect::<BTreeSet<_>>().len()), (PIPES + 1, PIPES + 1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--top N"));
    // The first ones, and those that began last: #1 is the listener, #2 and #3 are a pipe.
    assert_eq!(blocks(&text(&asked("report", &["--top", "3"], &trace))), [1, 2, 4]);
    let one = text(&asked("report", &["--connection", "40"], &trace));
    assert_eq!(blocks(&one), [40]);
    assert!(one.contains("SYN") && one.contains("FIN"), "{one}");
}

#[test]
fn what_is_expected_of_all_of_them() {
    let trace = traced();
    let words = ["--connections", "27000", "--no-leaks", "--no-errors", "--all-seen", "--closes-first", "client"];
    assert!(text(&asked("check", &words, &trace)).ends_with("As expected: all 5 hold.\n"));
    let mut wrong = Command::new(tool());
    let output = wrong.args(["check", "--closes-first", "server"]).arg(&trace).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("  and 26,990 more\n"), "{}", text(&output));
}

/// The most memory that an export takes at a time, in KiB. Python tells, which is small itself.
fn most_memory(format: &str, trace: &Path) -> u64 {
    let ask = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); \
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
    let mut python = Command::new("python3");
    python.args(["-c", ask]).arg(tool()).args(["export", "--format", format]).arg(trace);
    text(&succeed(&mut python)).trim().parse().unwrap()
}

#[test]
fn rows_of_calls_need_no_memory_of_connections_that_have_finished() {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("SKIPPED: rows_of_calls_need_no_memory_of_connections_that_have_finished: there is no python3");
        return;
    }
    let trace = traced();
    // Packets keep what they know of all connections.
    let all = most_memory("pcapng", &trace);
    for format in ["jsonl", "csv"] {
        let some = most_memory(format, &trace);
        assert!(some * 2 < all, "{format}: {some} KiB, and {all} KiB with all connections");
    }
}
