//! What the audit has to find: calls that go around the shim, records that are wrong, and a machine
//! that cannot tell.

use crate::harness::{Mode, Outcome, Scratch, find, installed};
use crate::{agreed, audit};
use sockshim_reader::{Audit, Verdict};

/// `holes.c`, built with a definition into a file of this name.
fn build(scratch: &Scratch, name: &str, flags: &[&str]) {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agreement/holes.c");
    let gcc = ["gcc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-o", name, source];
    scratch.run(Mode::Native, "gcc", &[&gcc[..], flags].concat()).is_good();
}

/// A folder with the program in it; None where that, or strace, cannot be had.
fn holes(test: &str) -> Option<Scratch> {
    if !installed("gcc", &["gcc"]) || !installed("strace", &["strace"]) {
        return None;
    }
    let scratch = Scratch::new(test);
    build(&scratch, "holes", &[]);
    Some(scratch)
}

/// Runs it in one way; natively first.
fn run(scratch: &Scratch, way: &str) -> Outcome {
    scratch.run(Mode::Native, way, &["./holes", way]).is_good();
    scratch.run(Mode::Verify, way, &["./holes", way])
}

/// The names and numbers of what met with a verdict.
fn of(audit: &Audit, verdict: Verdict) -> Vec<(&str, u64)> {
    audit.of(verdict).collect()
}

/// Asserts that the tool has said that something is wrong, and has ended accordingly.
#[track_caller]
fn told(outcome: &Outcome, words: &[&str]) -> Audit {
    outcome.exited(1);
    for word in words.iter().chain(&["the kernel disagrees"]) {
        assert!(outcome.stderr.contains(word), "{word:?} is not told:\n{}", outcome.stderr);
    }
    audit(outcome)
}

#[test]
fn what_is_found_by_dlsym_is_missed() {
    let Some(scratch) = holes("missed-dlsym") else { return };
    let outcome = run(&scratch, "dlsym");
    let audit = told(&outcome, &["3 missed", "not in the trace", "sendto(3<socket:[", "in holes"]);
    assert_eq!(of(&audit, Verdict::Missed), [("send", 3)]);
    assert_eq!(audit.count(Verdict::Seen, "send"), 1);
}

#[test]
fn what_a_deeply_bound_library_calls_is_missed() {
    let Some(scratch) = holes("missed-library") else { return };
    build(&scratch, "library.so", &["-shared", "-fPIC", "-DLIBRARY"]);
    let audit = told(&run(&scratch, "library"), &["1 missed", "in library.so"]);
    assert_eq!(of(&audit, Verdict::Missed), [("send", 1)]);
}

#[test]
fn what_is_called_while_the_shim_is_off_is_missed() {
    let Some(scratch) = holes("missed-stopped") else { return };
    let audit = told(&run(&scratch, "stopped"), &["2 missed"]);
    assert_eq!(of(&audit, Verdict::Missed), [("send", 1), ("shutdown", 1)]);
    assert_eq!(audit.count(Verdict::Seen, "send"), 1);
}

#[test]
fn the_programs_own_failure_comes_first() {
    let Some(scratch) = holes("missed-status") else { return };
    scratch.run(Mode::Verify, "status", &["./holes", "dlsym", "3"]).exited(3);
}

#[test]
fn what_goes_around_is_named() {
    let Some(scratch) = holes("around") else { return };
    for (way, name, count) in [("assembly", "system calls of holes itself", 2), ("stdio", "stdio", 1)] {
        let outcome = run(&scratch, way);
        let (_, audit) = agreed(outcome.is_good(), &[name]);
        assert_eq!(of(&audit, Verdict::Unseen), [(name, count)]);
        if way == "stdio" {
            // F_GETFL of fdopen; the rest of the stream, and the end of its descriptor.
            assert_eq!(of(&audit, Verdict::Inside), [("fclose", 2), ("fdopen", 1)]);
        }
    }
}

#[test]
fn records_that_are_not_true_are_wrong() {
    let Some(scratch) = holes("wrong") else { return };
    build(&scratch, "liar.so", &["-shared", "-fPIC", "-DLIAR"]);
    // Behind the shim; not in front of the tool, to which it would lie as well.
    let behind = "LD_PRELOAD=$LD_PRELOAD:$PWD/liar.so exec ./holes";
    let outcome = scratch.run(Mode::Verify, "wrong", &["sh", "-c", behind]);
    let words = ["another result", "in the trace: send(3) = 4", "unknown to the kernel: thread", "recv(4) = 5"];
    let audit = told(&outcome, &words);
    assert_eq!(of(&audit, Verdict::Wrong), [("send", 1)]);
    assert_eq!(of(&audit, Verdict::Invented), [("recv", 1)]);
    assert_eq!(of(&audit, Verdict::Seen), [("socketpair", 1)]);
}

#[test]
fn interrupted_calls_are_one_call() {
    let Some(scratch) = holes("interrupted") else { return };
    let (_, audit) = agreed(run(&scratch, "interrupted").is_good(), &[]);
    // Two of the handler's; one that ended with EINTR, four receives of which one never ended.
    let seen = [("poll", 1), ("recv", 4), ("send", 1), ("socketpair", 1), ("write", 2)];
    assert_eq!(of(&audit, Verdict::Seen), seen);
}

#[test]
fn where_strace_cannot_tell_nothing_runs() {
    let Some(scratch) = holes("no-strace") else { return };
    let refused = |outcome: &Outcome, words: &[&str]| {
        outcome.exited(125);
        words.iter().for_each(|word| assert!(outcome.stderr.contains(word), "{word:?}: {}", outcome.stderr));
        assert!(!scratch.file("ran").exists(), "the program has run");
    };
    scratch.write("run", "#!/bin/sh\n: > ran\n");
    let mut command = scratch.command(Mode::Verify, "missing", &["sh", "run"]);
    command.env("PATH", scratch.path.display().to_string());
    refused(&scratch.finish(Mode::Verify, "missing", command), &["--verify needs strace", "install strace"]);

    // Who is traced cannot be traced by another.
    let inner = scratch.command(Mode::Verify, "traced", &["sh", "run"]);
    let arguments: Vec<String> = inner.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let tool = inner.get_program().to_string_lossy().into_owned();
    let strace = find("strace").unwrap().display().to_string();
    let outer = [&strace, "-f", "-o", "/dev/null", "-e", "trace=none", &tool];
    let words: Vec<&str> = outer.into_iter().chain(arguments.iter().map(String::as_str)).collect();
    let outcome = scratch.run(Mode::Native, "traced", &words);
    refused(&outcome, &["cannot trace here", "SYS_PTRACE"]);
}
