//! `sockshim explore`: finds planted mistakes, and what real programs do.

use crate::{Web, c_program, scratch, there, tool};
use std::process::Command;

fn explore(flags: &[&str], command: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(tool()).arg("explore").args(flags).arg("--").args(command).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text + &String::from_utf8_lossy(&output.stderr))
}

/// The row of a call and a fault.
fn row<'a>(table: &'a str, call: &str, fault: &str) -> &'a str {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    let begins = format!("{call} {fault} ");
    table.lines().find(|line| words(line).starts_with(&begins)).unwrap_or("")
}

#[test]
fn planted_mistakes_are_found_and_only_they() {
    let program = c_program("careless");
    let program = program.to_str().unwrap();
    let (code, table) = explore(&["--timeout", "2s", "--jobs", "2"], &[program]);
    assert_eq!(code, Some(1), "{table}");
    assert!(row(&table, "connect #1", "ECONNREFUSED").contains("CRASH SIGSEGV"), "{table}");
    assert!(row(&table, "send #1", "EAGAIN").contains("HANG, busy"), "{table}");
    assert!(row(&table, "recv #1", "half_close").contains("HANG"), "{table}");
    assert!(!row(&table, "recv #1", "half_close").contains("busy"), "{table}");
    assert!(row(&table, "getsockname #1", "ENOTCONN").contains("LEAK 1 socket"), "{table}");
    assert!(row(&table, "recv #1", "short=1").contains("OTHER OUTPUT"), "{table}");
    assert!(row(&table, "send #1", "EPIPE").contains("exit 3: cannot send"), "{table}");
    assert_eq!(row(&table, "recv #1", "EINTR"), "", "it was survived: {table}");
    let summary = table.lines().find(|line| line.contains("faults: ")).unwrap();
    assert!(summary.contains("crashed") && summary.contains("hung") && summary.contains("leaked"), "{summary}");
    assert!(table.contains("again: sockshim run --inject connect:error=ECONNREFUSED:when=1:process=1 -- "), "{table}");
    assert!(table.contains("left out by --max") == explore_max(program), "{table}");
}

/// Whether --max says what it leaves out.
fn explore_max(program: &str) -> bool {
    let (code, table) = explore(&["--max", "1", "--functions", "socket", "--all"], &[program]);
    assert_eq!(code, Some(0), "{table}");
    assert!(table.contains("1 fault, ") && table.contains("left out by --max"), "{table}");
    false
}

#[test]
fn curl_bears_what_can_fail() {
    if !there::there("curl") {
        return;
    }
    let Some(web) = Web::start("explore-curl") else { return };
    let functions = "socket,connect,send,%received";
    let (code, table) = explore(&["--functions", functions, "--timeout", "10s"], &["curl", "-sS", &web.page()]);
    assert_eq!(code, Some(0), "{table}");
    for (call, fault, status) in [
        ("socket #1", "EMFILE", "exit 7:"),
        ("connect #1", "ECONNREFUSED", "exit 7:"),
        ("connect #1", "ETIMEDOUT", "exit 28:"),
        ("send #1", "EPIPE", "exit 55:"),
        ("recv #1", "ECONNRESET", "exit 56:"),
        ("recv #1", "half_close", "exit 52:"),
    ] {
        assert!(row(&table, call, fault).contains(status), "{call} {fault}: {table}");
    }
}

#[test]
fn what_cannot_be_explored_is_said() {
    let (code, said) = explore(&[], &["true"]);
    assert_eq!(code, Some(125), "{said}");
    assert!(said.contains("made no call that could be made to fail"), "{said}");
    let (code, said) = explore(&["--functions", "conect"], &["true"]);
    assert_eq!(code, Some(125), "{said}");
    assert!(said.contains("`conect` is no function"), "{said}");
    assert_eq!(explore(&[], &["no-such-program-1b2c"]).0, Some(127));
    let left = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    let ours = format!("sockshim-explore-{}-", std::process::id());
    assert!(left.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().starts_with(&ours)));
    let _ = scratch("inject");
}
