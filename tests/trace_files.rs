//! A trace that the shim makes itself, `SOCKSHIM_TRACE=FILE`, and the processes of one run that share it.

#[path = "support/built.rs"]
mod built;

use built::{scratch, shim};
use sockshim_reader::order::Events;
use sockshim_reader::{Event, Trace};
use std::collections::BTreeMap;
use std::process::Command;

/// More than the header remembers pids of processes.
const CHILDREN: usize = 100;

#[test]
fn a_shell_and_all_the_programs_that_it_starts_share_one_trace() {
    let file = scratch("trace_files").join("shell.sst");
    _ = std::fs::remove_file(&file);
    // `true` by its path is no builtin. The shell outlives a hundred of them.
    let script = format!("i=0; while [ $i -lt {CHILDREN} ]; do /bin/true; i=$((i+1)); done; exec /bin/false");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &script]).env("LD_PRELOAD", shim()).env("SOCKSHIM_TRACE", &file);
    assert_eq!(command.status().unwrap().code(), Some(1));

    let mut programs = BTreeMap::<String, usize>::new();
    for event in Events::new(Trace::open(&file).unwrap()) {
        if let Event::Process(process) = event.unwrap() {
            *programs.entry(process.name()).or_default() += 1;
        }
    }
    assert_eq!((programs.get("true"), programs.get("false")), (Some(&CHILDREN), Some(&1)), "{programs:?}");
}
