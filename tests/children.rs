//! What a traced program executes: followed where that can be, and never hindered.

#[path = "support/built.rs"]
mod built;

use built::{scratch, succeed, tool};
use sockshim_reader::event::ProcessInfo;
use sockshim_reader::order::Events;
use sockshim_reader::{Event, Trace};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Runs a command by the tool, and gives the processes of its trace too.
fn run(name: &str, flags: &[&str], command: &[&str]) -> (Output, Vec<ProcessInfo>) {
    let trace = scratch("children").join(format!("{name}.sst"));
    let mut tool = Command::new(lone_tool());
    tool.args(["run", "-q", "-o"]).arg(&trace).args(flags).arg("--").args(command);
    let output = tool.output().unwrap();
    let mut processes = Vec::new();
    for event in Events::new(Trace::open(&trace).unwrap()) {
        if let Event::Process(process) = event.unwrap() {
            processes.push(process);
        }
    }
    fs::remove_file(trace).unwrap();
    (output, processes)
}

/// A copy of the tool that lies alone, and so extracts its shim to where every user can read it: the
/// sources may lie where only their owner may enter.
fn lone_tool() -> &'static Path {
    static TOOL: OnceLock<PathBuf> = OnceLock::new();
    TOOL.get_or_init(|| {
        let path = scratch("children/tool").join("sockshim");
        fs::copy(tool(), &path).unwrap();
        path
    })
}

fn names(processes: &[ProcessInfo]) -> Vec<String> {
    processes.iter().map(ProcessInfo::name).collect()
}

/// A C program, compiled by `compiler`; None when that is not installed.
fn compiled(name: &str, compiler: &[&str]) -> Option<PathBuf> {
    let required = std::env::var_os("SOCKSHIM_REQUIRE_PROGRAMS").is_some_and(|value| value == "1");
    if Command::new(compiler[0]).arg("--version").output().is_err() {
        println!("SKIPPED: {name}: {} is not installed", compiler[0]);
        assert!(!required, "SOCKSHIM_REQUIRE_PROGRAMS=1 asks for {}", compiler[0]);
        return None;
    }
    let (source, binary) = (scratch("children").join(format!("{name}.c")), scratch("children").join(name));
    let text = "#include <stdio.h>\n#include <stdlib.h>\n#include <sys/socket.h>\n#include <unistd.h>\n\
        int main(void) { int s = socket(AF_INET, SOCK_STREAM, 0); printf(\"%d %s\\n\", s, getenv(\"ONLY\") ? \"set\" : \"no\");\
        return close(s); }\n";
    fs::write(&source, text).unwrap();
    succeed(Command::new(compiler[0]).args(&compiler[1..]).arg(&source).arg("-o").arg(&binary));
    Some(binary)
}

/// Runs a shell that runs `child`, natively and by the tool, and compares.
fn is_not_hindered(name: &str, child: &Path) -> Vec<ProcessInfo> {
    let line = format!("{0}; echo $?; env -i ONLY=this {0}; echo $?", child.display());
    let native = succeed(Command::new("sh").args(["-c", &line]));
    let (traced, processes) = run(name, &[], &["sh", "-c", &line]);
    assert_eq!(String::from_utf8_lossy(&traced.stdout), String::from_utf8_lossy(&native.stdout));
    assert_eq!(String::from_utf8_lossy(&traced.stderr), String::from_utf8_lossy(&native.stderr));
    processes
}

#[test]
fn what_is_closed_stays_closed() {
    // The shell keeps its own descriptors elsewhere; the one that tells is a fourth.
    let tells = "for n in 0 1 2 3; do [ ! -e /proc/self/fd/$n ] || echo $n >&3; done";
    for closed in ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"] {
        let line = format!("exec 3>&1; exec {closed}; exec \"$@\"");
        let mut native = Command::new("sh");
        native.args(["-c", &line, "sh", "sh", "-c", tells]);
        let mut traced = Command::new("sh");
        traced.args(["-c", &line, "sh"]).arg(lone_tool()).args(["run", "-q", "--", "sh", "-c", tells]);
        let (native, traced) = (succeed(&mut native).stdout, succeed(&mut traced).stdout);
        assert_eq!(String::from_utf8_lossy(&traced), String::from_utf8_lossy(&native), "{closed}");
        assert!(native.ends_with(b"3\n") && native.len() < 8, "{closed}: {}", String::from_utf8_lossy(&native));
    }
}

#[test]
fn an_ordinary_child_is_followed() {
    let child = compiled("ordinary", &["gcc"]).expect("gcc is there");
    let processes = names(&is_not_hindered("ordinary", &child));
    assert_eq!(processes.iter().filter(|name| *name == "ordinary").count(), 2, "{processes:?}");
}

#[test]
fn a_child_for_musl_runs_as_without() {
    let Some(child) = compiled("musl", &["musl-gcc"]) else { return };
    let processes = names(&is_not_hindered("musl", &child));
    assert!(!processes.contains(&"musl".into()), "{processes:?}");
}

#[test]
fn a_static_child_runs_as_without() {
    let child = compiled("static", &["gcc", "-static"]).expect("gcc is there");
    let processes = names(&is_not_hindered("static", &child));
    assert!(!processes.contains(&"static".into()), "{processes:?}");
}

#[test]
fn a_scrubbed_environment_stays_scrubbed() {
    let native = succeed(Command::new("env").args(["-i", "A=b", "env"]));
    let (traced, processes) = run("scrubbed", &[], &["env", "-i", "A=b", "env"]);
    assert_eq!(traced.stdout, native.stdout);
    assert_eq!(names(&processes), ["env", "env"]);
    let (traced, processes) = run("no-follow", &["--no-follow"], &["env", "-i", "A=b", "env"]);
    assert_eq!(traced.stdout, native.stdout);
    assert_eq!(names(&processes), ["env"]);
}

/// The region is its owner's alone; the tool lets the processes of its run in.
#[test]
fn a_child_of_another_user_is_followed() {
    // SAFETY: asks a number.
    if unsafe { libc::geteuid() } != 0 {
        println!("SKIPPED: only root can become another user");
        return;
    }
    let as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let (traced, processes) = run("user", &[], &[&as_nobody[..], &["env", "-i", "id", "-u"]].concat());
    assert_eq!(traced.stdout, b"65534\n", "{traced:?}");
    assert_eq!(names(&processes), ["setpriv", "env", "id"]);
    assert_eq!(processes[2].process.uid, 65534);
}
