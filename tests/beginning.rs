//! What a program asks and tells of itself where it begins: which file, and which namespaces.

#[path = "support/built.rs"]
mod built;

use built::{scratch, succeed, tool};
use sockshim_reader::event::ProcessInfo;
use sockshim_reader::order::Events;
use sockshim_reader::{Event, Model, Trace};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

/// Runs a command by the tool, and gives its processes and connections.
fn run(name: &str, command: &[&str]) -> (Output, Vec<ProcessInfo>, Model) {
    let trace = scratch("beginning").join(format!("{name}.sst"));
    let output = succeed(Command::new(tool()).args(["run", "-q", "-o"]).arg(&trace).arg("--").args(command));
    let (mut processes, mut model) = (Vec::new(), Model::new());
    for event in Events::new(Trace::open(&trace).unwrap()) {
        let event = event.unwrap();
        model.feed(&event);
        if let Event::Process(process) = event {
            processes.push(process);
        }
    }
    (output, processes, model)
}

fn namespace(link: &str) -> u64 {
    fs::metadata(link).unwrap().ino()
}

/// Whether unshare(1) may do so; says it if not.
fn may_unshare(flags: &str) -> bool {
    let may = Command::new("unshare").args([flags, "true"]).output().is_ok_and(|output| output.status.success());
    if !may {
        println!("SKIPPED: unshare {flags} is not there, or needs root");
    }
    may
}

/// What strace shows of `true`, executed where `before` leads.
fn asked(name: &str, before: &[&str]) -> (String, Vec<ProcessInfo>) {
    let (output, processes, _) = run(name, &[before, &["strace", "-qq", "/usr/bin/true"]].concat());
    (String::from_utf8(output.stderr).unwrap(), processes)
}

#[test]
fn a_program_of_the_tools_namespace_does_not_look_into_proc() {
    let (calls, processes) = asked("lock", &[]);
    assert!(calls.contains("F_GETLK, {l_type=F_WRLCK"), "nobody has locked the region: {calls}");
    assert!(!calls.contains("/proc/"), "{calls}");
    assert_eq!(processes.last().unwrap().process.pid_namespace, namespace("/proc/self/ns/pid"));
}

#[test]
fn a_program_of_another_namespace_says_which() {
    if !may_unshare("-pf") {
        return;
    }
    let (calls, processes) = asked("unshared", &["unshare", "-pf"]);
    assert!(calls.contains("l_pid=0}"), "{calls}");
    let process = processes.last().unwrap().process;
    assert!(![0, u64::MAX, namespace("/proc/self/ns/pid")].contains(&process.pid_namespace), "{process:?}");
}

#[test]
fn the_path_is_that_of_the_file() {
    let folder = scratch("beginning/paths");
    let (script, other) = (folder.join("script"), folder.join("other"));
    fs::write(&script, "#!/bin/sh\nexec true\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let _ = fs::remove_file(&other);
    symlink("/usr/bin/env", &other).unwrap();
    let resolved = |path: &str| fs::canonicalize(path).unwrap();
    let path_of = |command: &[&str]| {
        let (_, processes, _) = run("path", command);
        String::from_utf8(processes.into_iter().next_back().unwrap().exe).unwrap()
    };
    let is = |command: &[&str], path: &Path| assert_eq!(Path::new(&path_of(command)), path, "{command:?}");
    is(&["/usr/bin/env"], Path::new("/usr/bin/env"));
    // By another name: that is one.
    is(&[other.to_str().unwrap()], &other);
    let shell = format!("cd {}; exec", folder.display());
    is(&["sh", "-c", &format!("{shell} ./other")], &resolved("/usr/bin/env"));
    is(&["sh", "-c", &format!("{shell} /proc/self/cwd/other")], &resolved("/usr/bin/env"));
    is(&["sh", "-c", &format!("{shell} //proc/self/cwd/other")], &resolved("/usr/bin/env"));
    let mut first = run("script", &[script.to_str().unwrap()]).1.into_iter();
    assert_eq!(first.next().unwrap().exe, resolved("/bin/sh").into_os_string().into_encoded_bytes());
}

#[test]
fn a_socket_says_in_which_network_it_is() {
    const ONE: &str = "import socket; a, b = socket.socketpair(); a.send(b'x'); b.recv(1)";
    // A seccomp filter that allows everything, after which nothing is asked any more.
    const FILTERED: &str = "import ctypes, struct, socket
code = struct.pack('HBBI', 6, 0, 0, 0x7fff0000)
class Program(ctypes.Structure):
    _fields_ = [('len', ctypes.c_ushort), ('code', ctypes.c_char_p)]
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(1, code)), 0, 0) == 0
a, b = socket.socketpair(); a.send(b'x'); b.recv(1)";
    let of = |name: &str, command: &[&str]| {
        let (_, _, model) = run(name, command);
        let mut found: Vec<u64> = model.connections().map(|conn| conn.net_namespace).collect();
        found.dedup();
        found
    };
    let ours = namespace("/proc/self/ns/net");
    // What we ask is no part of the call's time.
    let calls = String::from_utf8(run("order", &["strace", "-qq", "python3", "-c", ONE]).0.stderr).unwrap();
    let at = |what: &str| calls.find(what).unwrap_or_else(|| panic!("no {what} in {calls}"));
    assert!(at("/proc/self/ns/net") < at("socketpair("), "{calls}");
    assert_eq!(of("net", &["python3", "-c", ONE]), [ours]);
    assert_eq!(of("filtered", &["python3", "-c", FILTERED]), [ours]);
    if may_unshare("-n") {
        let theirs = of("other-net", &["unshare", "-n", "python3", "-c", ONE]);
        assert!(theirs.len() == 1 && ![0, ours].contains(&theirs[0]), "{theirs:?}");
    }
}
