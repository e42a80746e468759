//! A filter that a program sets: what it means is on record, with its end, and nothing else is; how much was left out
//! is told.

#[path = "support/built.rs"]
mod built;

use built::{root, scratch, shim, succeed, tool};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The program, built once.
fn program() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let (program, folder) = (scratch("filter").join("filter"), shim().parent().unwrap().to_owned());
        let mut gcc = Command::new("gcc");
        gcc.args(["-Wall", "-Wextra", "-Werror", "-O1", "-D_GNU_SOURCE", "-I"]).arg(root().join("include"));
        gcc.arg(root().join("tests/filter/filter.c")).arg("-o").arg(&program).arg("-L").arg(&folder);
        succeed(gcc.args(["-lsockshim", "-lpthread"]).arg(format!("-Wl,-rpath,{}", folder.display())));
        program
    })
}

struct Ran {
    trace: PathBuf,
    /// Of the servers A and B.
    ports: [String; 2],
}

fn run(mode: &str) -> Ran {
    let trace = scratch("filter").join(format!("{mode}.sst"));
    let mut run = Command::new(tool());
    let output = succeed(run.args(["run", "-q", "-o"]).arg(&trace).arg("--").arg(program()).arg(mode));
    let said = String::from_utf8(output.stdout).unwrap();
    let mut ports = said.split_whitespace().map(str::to_owned);
    Ran { trace, ports: [ports.next().unwrap(), ports.next().unwrap()] }
}

impl Ran {
    fn told(&self, verb: &[&str]) -> String {
        let output = Command::new(tool()).args(verb).arg(&self.trace).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    /// The lines of `show` behind the mark of the filter. One that says only that a call waits has another when it is over.
    fn lines(&self) -> Vec<String> {
        let told = self.told(&["show"]);
        let behind = told.split_once("filter: ").map_or("", |(_, behind)| behind);
        behind
            .lines()
            .skip(1)
            .take_while(|line| !line.is_empty())
            .filter(|line| !line.ends_with("..."))
            .map(str::to_owned)
            .collect()
    }

    /// How many of these lines have this in them.
    fn count(&self, part: &str) -> usize {
        self.lines().iter().filter(|line| line.contains(part)).count()
    }

    /// Nothing seems to be left open: what is on record is so to its end.
    fn is_whole(&self) {
        let check = self.told(&["check", "--no-leaks"]);
        assert!(check.contains("As expected"), "{check}{}", self.told(&["show"]));
        let report = self.told(&["report", "--color", "never"]);
        assert!(!report.contains("never closed") && !report.contains("still open"), "{report}");
    }
}

/// Calls of both listeners, which were on record before there was a filter.
const LISTENERS_CLOSE: usize = 2;

#[test]
fn by_its_peer_a_socket_is_chosen_from_its_connect_to_its_close() {
    let ran = run("peer");
    assert_eq!((ran.count(&format!(":{}", ran.ports[1])), ran.count("accept")), (0, 0), "{:#?}", ran.lines());
    let told = ["socket(", "connect(", "write(", "recv(", "close("].map(|call| ran.count(call));
    assert_eq!(told, [0, 1, 1, 1, 1 + LISTENERS_CLOSE], "{:#?}", ran.lines());
    ran.is_whole();
    // 14 are left out: of the one exchange socket, accept and three at the server's end; of the other all nine.
    for verb in ["show", "report"] {
        let told = ran.told(&[verb]);
        assert!(told.contains("sockshim: 14 calls left out, as a filter of the program asked"), "{told}");
    }
    // What was left out may have passed bytes.
    let check = ran.told(&["check", "--all-seen"]);
    assert!(check.contains("14 calls left out"), "{check}");
}

#[test]
fn by_its_port_what_a_listener_accepts_is_chosen_too() {
    let ran = run("port");
    let told = ["connect(", "accept(", "write(", "read(", "send(", "recv(", "close("].map(|call| ran.count(call));
    assert_eq!(told, [1, 1, 1, 1, 1, 1, 2 + LISTENERS_CLOSE], "{:#?}", ran.lines());
    assert_eq!(ran.count(&format!(":{}", ran.ports[0])), 0, "{:#?}", ran.lines());
    ran.is_whole();
}

#[test]
fn by_functions_calls_are_chosen_and_their_sockets_are_closed() {
    let ran = run("function");
    let told = ["socket(", "connect(", "accept(", "write(", "close("].map(|call| ran.count(call));
    assert_eq!(told, [0, 2, 0, 0, 2 + LISTENERS_CLOSE], "{:#?}", ran.lines());
    ran.is_whole();
}

#[test]
fn a_phase_and_a_peer_have_to_hold_both() {
    let ran = run("phase");
    let told = ["connect(", "write(", "recv(", "read(", "close("].map(|call| ran.count(call));
    assert_eq!(told, [0, 1, 1, 0, 1 + LISTENERS_CLOSE], "{:#?}", ran.lines());
    ran.is_whole();
}

#[test]
fn by_descriptor_and_by_family() {
    let ran = run("fd");
    // Both ends were on record: what is left out is what passed at the other one.
    let told = ["write(", "recv(", "read(", "send(", "close("].map(|call| ran.count(call));
    assert_eq!(told, [1, 1, 0, 0, 2 + LISTENERS_CLOSE], "{:#?}", ran.lines());
    ran.is_whole();
    let ran = run("family");
    let told = ["socketpair(", "write(", "close(", "connect("].map(|call| ran.count(call));
    assert_eq!(told, [1, 1, 2 + LISTENERS_CLOSE, 0], "{:#?}", ran.lines());
    ran.is_whole();
}

#[test]
fn what_was_on_record_before_ends_and_what_was_not_is_met_after() {
    let ran = run("before");
    let told = ["write(", "recv(", "close("].map(|call| ran.count(call));
    assert_eq!(told, [0, 0, 2 + LISTENERS_CLOSE], "{:#?}", ran.lines());
    ran.is_whole();
    let ran = run("after");
    let told = ["filter: off", "connect(", "write(", "read(", "close("].map(|call| ran.count(call));
    assert_eq!(told, [1, 0, 1, 1, 2 + LISTENERS_CLOSE], "{:#?}", ran.lines());
    ran.is_whole();
}

#[test]
fn what_was_on_record_ends_by_whatever_call() {
    let ran = run("ends");
    let told = ["fclose(", "dup2(", "close_range(", " close("].map(|call| ran.count(call));
    // Each connection's other end; of the pair the end that took a connection's place, twice.
    assert_eq!(told, [1, 1, 1, 3 + 2 + LISTENERS_CLOSE], "{:#?}", ran.lines());
    ran.is_whole();
}

#[test]
fn calls_by_number_are_chosen_as_those_by_name() {
    let ran = run("number");
    let told = ["connect(", "write(", "close("].map(|call| ran.count(call));
    assert_eq!(told, [1, 1, 1 + LISTENERS_CLOSE], "{:#?}", ran.lines());
    ran.is_whole();
}

#[test]
fn a_filter_that_is_none_leaves_nothing_out() {
    let ran = run("refused");
    let told = ran.told(&["show"]);
    assert!(!told.contains("filter: ") && !told.contains("left out"), "{told}");
    assert!(told.contains("socket(") && told.contains("accept("), "{told}");
}

#[test]
fn threads_lose_nothing_while_it_comes_and_goes() {
    let ran = run("threads");
    ran.is_whole();
    let told = ran.told(&["show"]);
    // The connections of main alone: half of them under the filter, which means them.
    let connects = told.lines().filter(|line| line.contains(" connect(") && line.contains(") = 0 <")).count();
    assert_eq!(connects, 400, "{}", told.lines().rev().take(20).collect::<Vec<_>>().join("\n"));
}
