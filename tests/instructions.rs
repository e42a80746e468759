//! What the hooks cost in instructions, which are the same on every machine, busy or not: a rise of more
//! than five in a hundred against the committed figures is a mistake, or has a reason and a new figure.

#[path = "support/c_programs.rs"]
#[allow(dead_code)]
mod c_programs;

use c_programs::{Build, Program, scratch, shim};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

const FIGURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");
const HEAD: &str = "\
# Instructions of one call, glibc's own included: untraced, and recorded with a preview of 32 bytes.
# Measured by tests/instructions.rs; UPDATE_INSTRUCTIONS=1 writes this file anew.
";

#[test]
fn no_hook_takes_more_instructions_than_it_did() {
    let programs = Program::all();
    let program = programs.iter().find(|program| program.name == "syscall_counts").expect("the program that counts");
    let binary = program.build(Build::Plain).unwrap();
    let one = Path::new("1");
    let trace = scratch("instructions").join("trace");
    let untraced = program.run(&[&binary], "untraced", &[("SHOW_INSTRUCTIONS", one)]);
    let shown = [("SHOW_INSTRUCTIONS", one), ("LD_PRELOAD", &*shim()), ("SOCKSHIM_TRACE", &*trace)];
    let traced = program.run(&[&binary], "traced", &shown);
    let _ = std::fs::remove_file(&trace);
    if untraced.skipped() {
        return eprintln!("skipped: no process may be stepped through here");
    }
    let (untraced, traced) = (counts(&untraced.stderr), counts(&traced.stderr));
    assert!(untraced.len() > 20 && untraced.keys().eq(traced.keys()), "{untraced:?}\n{traced:?}");
    let mut text = HEAD.to_owned();
    for (name, count) in &traced {
        let _ = writeln!(text, "{name} {} {count}", untraced[name]);
    }
    if std::env::var_os("UPDATE_INSTRUCTIONS").is_some() {
        return std::fs::write(FIGURES, text).unwrap();
    }
    let figures = std::fs::read_to_string(FIGURES).unwrap();
    let committed: BTreeMap<&str, u64> = figures
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| (line.split(' ').next().unwrap(), line.rsplit(' ').next().unwrap().parse().unwrap()))
        .collect();
    assert!(committed.keys().eq(traced.keys().map(String::as_str).collect::<Vec<_>>().iter()), "other rows:\n{text}");
    let mut risen = String::new();
    for (name, &count) in &traced {
        let before = committed[&**name];
        if count * 100 > before * 105 {
            let _ = writeln!(risen, "{name}: {before} before, {count} now");
        } else if count * 105 < before * 100 {
            eprintln!("{name}: {before} before, {count} now: UPDATE_INSTRUCTIONS=1 keeps what was won");
        }
    }
    assert!(risen.is_empty(), "more instructions than were committed in benches/instructions.txt:\n{risen}");
}

/// `name: 123 instructions`, a line each.
fn counts(stderr: &[u8]) -> BTreeMap<String, u64> {
    let text = String::from_utf8_lossy(stderr);
    let count = |line: &str| {
        let (name, rest) = line.split_once(": ")?;
        Some((name.to_owned(), rest.strip_suffix(" instructions")?.parse().ok()?))
    };
    text.lines().filter_map(count).collect()
}
