//! Folders that are not there, or cannot be written or executed from.

use crate::c_programs::{Build, Program};
use crate::{built, calls, compiled, empty_folder, may_mount, mounted, native_talk, same, text};
use sockshim_format::region::CLOCK_MONOTONIC;
use sockshim_reader::order::Events;
use sockshim_reader::{Event, Trace};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

/// Hides a folder behind an empty one that is mounted with some option, but for the sources, which may lie in it.
const OVER: &str = "over() { mount --bind \"$SOURCES\" /mnt; mount -t tmpfs none \"$2\"; \
    case \"$SOURCES\" in \"$2\"/*) mkdir -p \"$SOURCES\"; mount --bind /mnt \"$SOURCES\";; esac; \
    umount /mnt; mount -o \"remount,$1\" \"$2\"; }";

/// `sockshim run -o $1` of `talk`, by a tool that lies alone, after `mounts`.
fn run(mounts: &str, trace: &Path, variables: &[(&str, &Path)]) -> Output {
    run_program(mounts, trace, variables, &compiled("talk"))
}

/// The same with another program, which is given the number 50 too.
fn run_program(mounts: &str, trace: &Path, variables: &[(&str, &Path)], program: &Path) -> Output {
    let tool = built::scratch("faults/lone").join("sockshim");
    if !tool.exists() {
        // Renamed when it is whole: tests run at the same time.
        let temporary = tool.with_extension(format!("{:?}", std::thread::current().id()));
        fs::copy(built::tool(), &temporary).unwrap();
        fs::rename(&temporary, &tool).unwrap();
    }
    let script = format!("set -e; {OVER}; {mounts}; exec \"$1\" run -q -o \"$2\" -- \"$3\" 50");
    let mut command = mounted(&script, &[&tool, trace, program]);
    command.env("SOURCES", built::root()).env_remove("TMPDIR").env_remove("XDG_CACHE_HOME").env_remove("HOME");
    command.envs(variables.iter().copied()).output().unwrap()
}

/// The run goes on as if nothing were, and is recorded in the file that is returned.
fn does_without(name: &str, mounts: &str, variables: &[(&str, &Path)]) -> PathBuf {
    let trace = empty_folder(name).join("x.sst");
    let output = run(mounts, &trace, variables);
    same(&output, &native_talk("50"), name);
    assert_eq!(calls(&trace), 103, "{name}");
    trace
}

/// Nothing is run, and one line says what to do.
fn is_told(name: &str, mounts: &str, trace: Option<&Path>, words: &[&str]) {
    let own = empty_folder(name).join("x.sst");
    let output = run(mounts, trace.unwrap_or(&own), &[]);
    let said = text(&output.stderr);
    assert_eq!(
        (output.status.code(), &*text(&output.stdout), said.lines().count()),
        (Some(125), "", 1),
        "{name}: {said}"
    );
    assert!(words.iter().all(|word| said.contains(word)), "{name}: {words:?} in {said}");
}

#[test]
fn no_folder_to_execute_from() {
    if !may_mount() {
        return;
    }
    let noexec = "over noexec /tmp; over noexec /var/tmp";
    let home = empty_folder("home");
    does_without("noexec", noexec, &[("XDG_CACHE_HOME", &home)]);
    is_told("noexec-all", noexec, None, &["noexec", "SOCKSHIM_LIB"]);
    let shim = built::shim();
    does_without("noexec-named", noexec, &[("SOCKSHIM_LIB", &shim)]);
}

#[test]
fn folders_that_are_read_only() {
    if !may_mount() {
        return;
    }
    let read_only = "over ro /tmp; over ro /var/tmp";
    is_told("ro", read_only, None, &["Read-only", "SOCKSHIM_LIB"]);
    let folder = empty_folder("ro-trace");
    let mounts = format!("mount -t tmpfs -o ro none {}", folder.display());
    is_told("ro-output", &mounts, Some(&folder.join("x.sst")), &["Read-only", "x.sst", "-o"]);
    // For the region as well: the tool's own folder is not asked.
    let shim =
        format!("{read_only}; mount -t tmpfs -o ro none /dev/shm; export SOCKSHIM_LIB={}", built::shim().display());
    is_told("ro-region", &shim, None, &["live region", "/dev/shm", "TMPDIR"]);
}

#[test]
fn no_dev_shm() {
    if !may_mount() {
        return;
    }
    does_without("no-shm", "mount -t tmpfs none /dev; mknod -m 666 /dev/null c 1 3", &[]);
    // There are 64 KiB, in which a region could begin, and not go on.
    let trace = does_without("full-shm", "mount -t tmpfs -o size=64k none /dev/shm", &[]);
    let trace = Trace::open(&trace).unwrap();
    assert!(trace.meta("region").is_some_and(|region| !region.starts_with("/dev/shm")), "{:?}", trace.meta("region"));
}

#[test]
fn no_proc() {
    if !may_mount() {
        return;
    }
    does_without("no-proc", "mount -t tmpfs none /proc", &[]);
    // Threads that go on after a pass of the tool has looked whether they still run.
    let threads = Program::all().into_iter().find(|program| program.name == "threads").unwrap();
    let binary = threads.build(Build::Plain).unwrap();
    let folder = empty_folder("no-proc-threads");
    let counted = ["true", "mount -t tmpfs none /proc"].map(|mounts| {
        let trace = folder.join(format!("{}.sst", mounts.len()));
        let output = run_program(mounts, &trace, &[], &binary);
        assert_eq!(text(&output.stdout), "joined\n", "{mounts}: {}", text(&output.stderr));
        calls(&trace)
    });
    assert!(counted[0] > 25_000 && counted[1] == counted[0], "with and without /proc: {counted:?} calls");
}

/// Where the kernel does not trust the time-stamp counter, neither do we: the program asks for the time.
#[test]
fn another_clock() {
    if !may_mount() {
        return;
    }
    let folder = empty_folder("clock");
    fs::write(folder.join("source"), "hpet\n").unwrap();
    let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    if !Path::new(source).exists() {
        return println!("SKIPPED: another clock: {source} is not there to be replaced");
    }
    let bind = format!("mount --bind {} {source}", folder.join("source").display());
    does_without("another-clock", &bind, &[]);
    let alone = folder.join("alone.sst");
    let script = format!("{bind}; LD_PRELOAD=\"$1\" SOCKSHIM_TRACE=\"$2\" exec \"$3\" 50");
    let output = mounted(&script, &[&built::shim(), &alone, &compiled("talk")]).output().unwrap();
    same(&output, &native_talk("50"), "another clock, without the tool");
    assert_eq!(calls(&alone), 103);
    for trace in [built::scratch("faults/another-clock").join("x.sst"), alone] {
        let trace = Trace::open(&trace).unwrap();
        assert_eq!(trace.clock().kind(), CLOCK_MONOTONIC);
        let mut before = None;
        for event in Events::new(trace) {
            if let Event::Call(call) = event.unwrap() {
                assert!(before.is_none_or(|before| before <= call.start_ns) && call.start_ns <= call.end_ns);
                before = Some(call.end_ns);
            }
        }
        // By the wall clock it is not long ago.
        let ago = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 - before.unwrap();
        assert!(ago < 3_600_000_000_000, "{ago} ns ago");
    }
}
