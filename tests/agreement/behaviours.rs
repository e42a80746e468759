//! The programs of `c-tests/`: each behaviour that the shim has to get right, compared with the kernel.

use crate::c_programs::{Build, Program, SKIP};
use crate::harness::{Mode, Scratch};
use crate::{Audited, agreed};
use std::os::unix::process::ExitStatusExt;

/// Each of them ends itself after 20 seconds, or makes so many calls that it takes as long as all the
/// others together.
const SLOW: &[(&str, &str)] = &[
    ("signals", "its timers go off faster than strace tells"),
    ("threads", "16,000 calls"),
    ("vfork_threads", "16,000 calls, and 500 processes"),
    ("fork_threads", "4,000 calls"),
    ("limits", "4,000 calls"),
    ("storm", "its timers go off faster than strace tells"),
    ("jump_storm", "its timers go off faster than strace tells"),
    ("own_malloc", "its timer goes off faster than strace tells"),
    ("close_race", "its threads race until strace has told all of it"),
    ("fork_storm", "310 processes"),
    ("thread_churn", "1,000 threads"),
    ("garbage", "strace tells without end of a stack that has been overwritten"),
    ("garbage_messages", "strace tells without end of a stack that has been overwritten"),
    ("exit_in_flight", "strace loses the last calls of threads that end with their process"),
    ("namespaces", "strace and the shim know its processes by different numbers"),
    ("edges_off", "it traces itself, which only one can do"),
    ("syscall_counts", "it traces itself, which only one can do"),
];

/// Ways around the shim that they are about.
const AROUND: &[&str] =
    &["between vfork and exec", "stdio", "threads of libc's own", "system calls of", "syscall() for"];

/// Runs one natively and audited. None if it cannot run here.
pub fn audited(program: &Program) -> Option<Audited> {
    let name = format!("c-tests/{}", program.name);
    if let Some((_, reason)) = SLOW.iter().find(|(name, _)| *name == program.name) {
        println!("SKIPPED: {name} under strace: {reason}");
        return None;
    }
    let binary = program.build(Build::Plain).unwrap_or_else(|e| panic!("{name}: {e}")).display().to_string();
    let scratch = Scratch::new(&format!("agree-{}", program.name));
    let native = scratch.run(Mode::Native, &program.name, &[&binary]);
    if native.status.code() == Some(SKIP) {
        // No package would help.
        println!("SKIPPED: {name}: this machine cannot do what it is about");
        return None;
    }
    let verified = || {
        let traced = scratch.run(Mode::Verify, &program.name, &[&binary]);
        // strace gives up on all when a thread ends while its stack is about to be looked at: then there is nothing to compare with.
        let gave_up = traced.stderr.contains("strace: walk: cannot initialize libunwind");
        gave_up.then(|| println!("{name}: strace gave up, and is asked again"));
        (!gave_up).then_some(traced)
    };
    let traced = (0..3).find_map(|_| verified()).unwrap_or_else(|| panic!("{name}: strace gave up three times"));
    if traced.status.signal() == Some(libc::SIGALRM) && native.status.signal() != Some(libc::SIGALRM) {
        println!("SKIPPED: {name} under strace: it did not end within the time that it gives itself");
        return None;
    }
    assert_eq!(traced.status, native.status, "{name}\n{}", traced.stderr);
    let (_, audit) = agreed(&traced, AROUND);
    Some((name, audit))
}
