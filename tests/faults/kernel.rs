//! Kernels without what we would like to have. Programs of `c-tests/` run natively and traced under a filter
//! that refuses one thing; their traces must hold what they say all the same.

use crate::c_programs::{Build, Program, for_each, scratch, shim};
use crate::expectations::{self, Recorded};
use crate::{built, calls, compiled, empty_folder, native_talk, same, text};
use libc::*;
use std::path::Path;
use std::process::Command;

const PR_GET_TSC: i64 = 25;

/// What is refused: a system call, an errno, arguments that it must have.
fn refusal(number: c_long, errno: c_int, arguments: &[(usize, i64)]) -> String {
    let arguments: String = arguments.iter().map(|(index, value)| format!(",{index},{value}")).collect();
    format!("{number},{errno}{arguments}")
}

/// Runs programs with something refused, natively and traced.
fn refused(what: &str, refusal: &str, names: &[&str]) {
    refused_in(&scratch(&format!("run/refused/{what}")), what, refusal, names);
}

/// The same with traces in another folder.
fn refused_in(folder: &Path, what: &str, refusal: &str, names: &[&str]) {
    let programs: Vec<Program> = Program::all().into_iter().filter(|p| names.contains(&&*p.name)).collect();
    assert_eq!(programs.len(), names.len(), "{names:?} are all there");
    let (launcher, shim) = (compiled("refuse"), shim());
    let mode = format!("refused/{what}");
    let wrong = for_each(&programs, |program| {
        let binary = program.build(Build::Plain)?;
        let trace = folder.join(format!("{what}-{}.{}.sst", program.name, std::process::id()));
        let mut variables = vec![("REFUSE", Path::new(refusal)), ("RUN", &*binary)];
        let native = program.run(&[&launcher], &mode, &variables);
        if native.skipped() {
            println!("SKIPPED: {what}: {}: no filter can be installed here", program.name);
            return Ok(());
        }
        if !native.status.success() {
            return Err(format!("natively: {}\n{}", native.ending(), text(&native.stdout)));
        }
        variables.extend([("PRELOAD", &*shim), ("SOCKSHIM_TRACE", &*trace)]);
        let traced = program.run(&[&launcher], &mode, &variables);
        if let Some(difference) = traced.differs(&native, true) {
            return Err(difference);
        }
        let recorded = Recorded::read(&trace)?;
        expectations::sane(&recorded, traced.began_ns, traced.ended_ns, false)?;
        expectations::check(&program.text, &recorded)?;
        std::fs::remove_file(&trace).unwrap();
        Ok::<(), String>(())
    });
    let wrong: Vec<String> = programs
        .iter()
        .zip(wrong)
        .filter_map(|(program, result)| Some(format!("=== {}: {}\n{}", what, program.name, result.err()?)))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A child that the kernel does not tell of is noticed at its first call.
#[test]
fn no_wipe_on_fork() {
    let refusal = refusal(SYS_madvise, EINVAL, &[(2, MADV_WIPEONFORK.into())]);
    let programs = [
        "atfork",
        "fork",
        "fork_names",
        "fork_threads",
        "clone",
        "daemon",
        "forkpty",
        "vfork",
        "vfork_exec",
        "spawn",
        "system",
        "popen",
        "tcp_passive",
        "exec",
        "threads",
    ];
    refused("wipeonfork", &refusal, &programs);
}

#[test]
fn no_fallocate() {
    for errno in [EOPNOTSUPP, ENOSYS] {
        refused("fallocate", &refusal(SYS_fallocate, errno, &[]), &["tcp_active", "fork", "exec"]);
    }
}

/// Linux before 5.14. In memory a trace has all its room at once then.
#[test]
fn no_pages_ahead() {
    let refusal = refusal(SYS_madvise, EINVAL, &[(2, MADV_POPULATE_WRITE.into())]);
    let programs = ["tcp_active", "fork", "exec", "threads", "seccomp_many"];
    refused("populate", &refusal, &programs);
    let memory = Path::new("/dev/shm");
    if !memory.is_dir() {
        println!("SKIPPED: there is no {} for traces in memory", memory.display());
        return;
    }
    refused_in(memory, "populate-in-memory", &refusal, &programs);
}

#[test]
fn no_socket_cookie() {
    let refusal = refusal(SYS_getsockopt, ENOPROTOOPT, &[(1, SOL_SOCKET.into()), (2, SO_COOKIE.into())]);
    refused("cookie", &refusal, &["tcp_active", "tcp_passive", "udp", "dup", "fork", "reused_number"]);
}

#[test]
fn no_tcp_info() {
    let refusal = refusal(SYS_getsockopt, ENOPROTOOPT, &[(1, IPPROTO_TCP.into()), (2, TCP_INFO.into())]);
    refused("tcp_info", &refusal, &["tcp_active", "tcp_passive", "half_close", "peer_closes_first"]);
}

#[test]
fn no_random_numbers() {
    refused("getrandom", &refusal(SYS_getrandom, ENOSYS, &[]), &["tcp_active", "fork"]);
}

#[test]
fn no_word_on_the_time_stamp_counter() {
    refused("tsc", &refusal(SYS_prctl, EINVAL, &[(0, PR_GET_TSC)]), &["tcp_active", "clock_filtered"]);
}

#[test]
fn no_close_range() {
    refused("close_range", &refusal(SYS_close_range, ENOSYS, &[]), &["tcp_active", "spawn", "exec"]);
}

/// The tool and the program in it, on such a kernel.
#[test]
fn the_tool_does_without() {
    let folder = empty_folder("tool");
    let native = native_talk("500");
    for (what, refusal) in [
        ("pidfd_open", refusal(SYS_pidfd_open, ENOSYS, &[])),
        ("close_range", refusal(SYS_close_range, ENOSYS, &[])),
        ("getrandom", refusal(SYS_getrandom, ENOSYS, &[])),
        ("fallocate", refusal(SYS_fallocate, EOPNOTSUPP, &[])),
        ("wipeonfork", refusal(SYS_madvise, EINVAL, &[(2, MADV_WIPEONFORK.into())])),
        // Before Linux 5.14: a thread that finds no chunk waits for the tool to offer more.
        ("populate", refusal(SYS_madvise, EINVAL, &[(2, MADV_POPULATE_WRITE.into())])),
    ] {
        let trace = folder.join(format!("{what}.sst"));
        let mut command = Command::new(compiled("refuse"));
        command.env("REFUSE", &refusal).env("RUN", built::tool());
        command.args(["run", "-q", "-o"]).arg(&trace).arg("--").arg(compiled("talk")).arg("500");
        let output = command.output().unwrap();
        if output.status.code() == Some(77) {
            println!("SKIPPED: {what}: no filter can be installed here");
            continue;
        }
        same(&output, &native, what);
        assert!(output.stderr.is_empty(), "{what}: {}", text(&output.stderr));
        assert_eq!(calls(&trace), 1003, "{what}");
    }
}
