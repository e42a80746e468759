//! `sockshim check` says what does not hold, and where, by its exit status and in words.

#[path = "support/built.rs"]
mod built;

use built::{scratch, succeed, tool};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Exit status, what was told on stdout, and on stderr.
fn check(trace: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(tool());
    let output = command.args(["check", "--color", "never"]).args(arguments).arg(trace).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn demo(test: &str) -> PathBuf {
    let trace = scratch("check").join(format!("{test}.sst"));
    succeed(Command::new(tool()).args(["demo", "-q", "-o"]).arg(&trace));
    trace
}

#[test]
fn the_demo_is_as_expected() {
    let trace = demo("holds");
    let all = ["--no-leaks", "--no-errors", "--no-lints", "--all-seen", "--connections", "2", "--max-connect", "10s"];
    let (code, out, err) = check(&trace, &[&all[..], &["--max-first-byte", "10s"]].concat());
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.ends_with("As expected: all 7 hold.\n"), "{out}");
}

#[test]
fn what_does_not_hold_names_the_connection() {
    let trace = demo("fails");
    // The client closes first in the first conversation, and the server in the second.
    for (end, other) in [("client", "server"), ("server", "client")] {
        let (code, out, _) = check(&trace, &["--closes-first", end, "--no-leaks"]);
        assert_eq!(code, Some(1), "{out}");
        assert!(out.contains(&format!("--closes-first {end} does not hold:\n  #")), "{out}");
        assert_eq!(out.matches(&format!("{other} closed first\n")).count(), 1, "{out}");
        assert!(out.contains("--no-leaks holds\n") && out.contains("1 of 2 hold."), "{out}");
    }
    // It thinks for 30 ms about its first answer, and about the second not at all.
    let (code, out, _) = check(&trace, &["--max-first-byte", "25ms"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("its first byte came after "), "{out}");
    let (code, out, _) = check(&trace, &["--connections", "3", "--connects-to", "example.com:80"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("there were 2") && out.contains("connected to were localhost:"), "{out}");
}

#[test]
fn a_peer_has_several_names() {
    let trace = demo("names");
    let (_, out, _) = check(&trace, &["--connects-to", "nobody:1"]);
    let port = out.split("localhost:").nth(1).unwrap().split([',', '\n']).next().unwrap();
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(check(&trace, &["--connects-to", &format!("{host}:{port}")]).0, Some(0), "{host}:{port}");
    }
}

#[test]
fn how_often_to_whom_and_who_begins() {
    let trace = demo("to");
    let (_, out, _) = check(&trace, &["--connects-to", "nobody:1"]);
    let port = out.split("localhost:").nth(1).unwrap().split([',', '\n']).next().unwrap();
    let (server, twice) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{port} x2"));
    let bounds = ["--max-resolve", "--max-create", "--max-communicate", "--max-disconnect"].map(|flag| [flag, "10s"]);
    let all = ["--to", &server, "--connections", "2", "--writes-first", "client", "--connects-to", &twice];
    let (code, out, _) = check(&trace, &[&all[..], bounds.as_flattened()].concat());
    assert!(code == Some(0) && out.contains("all 7 hold"), "{out}");
    let thrice = format!("127.0.0.1:{port} x3");
    let (code, out, _) = check(&trace, &["--connects-to", &thrice, "--writes-first", "server", "--max-create", "1ns"]);
    assert!(code == Some(1) && out.contains("it was, 2 times") && out.contains("0 of 3 hold"), "{out}");
    assert!(out.contains("to create; ") && out.contains(": client wrote first; "), "{out}");
    let (code, out, _) = check(&trace, &["--to", "127.0.0.1:1", "--connections", "0", "--closes-first", "client"]);
    assert!(code == Some(0) && out.contains("--connections 0 to 127.0.0.1:1 holds"), "{out}");
    let (code, _, err) = check(&trace, &["--max-create", "soon"]);
    assert!(code == Some(2) && err.contains("200us, 50ms, 1.5s"), "{err}");
}

#[test]
fn a_refused_connection_is_an_error() {
    let Ok(listener) = std::net::TcpListener::bind("127.0.0.1:0") else { return println!("SKIPPED: no IPv4") };
    let address = listener.local_addr().unwrap();
    drop(listener);
    let trace = scratch("check").join("refused.sst");
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{}", address.port());
    let mut run = Command::new(tool());
    run.args(["run", "-q", "-o"]).arg(&trace).args(["--", "bash", "-c", &script]).output().unwrap();
    let (code, out, _) = check(&trace, &["--no-errors"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains(&format!("──▶ {address}: refused after ")) && out.contains(": nobody listens there"), "{out}");
}

#[test]
fn expectations_come_from_a_file_too() {
    let trace = demo("file");
    let file = scratch("check").join("demo.expect");
    std::fs::write(&file, "# the demo\nno-leaks\nconnections 2  # pipes\nmax-connect 10s\n").unwrap();
    let expect = file.to_str().unwrap();
    let (code, out, _) = check(&trace, &["--expect", expect, "--no-errors"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("all 4 hold"), "{out}");
    std::fs::write(&file, "no-leaks\nno-leeks\n").unwrap();
    let (code, out, err) = check(&trace, &["--expect", expect]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains("demo.expect, line 2: ") && err.contains("no-leeks"), "{err}");
    let (code, _, err) = check(&trace, &["--expect", "no/such/file"]);
    assert_eq!(code, Some(125));
    assert!(err.contains("cannot read the expectations in no/such/file"), "{err}");
}

#[test]
fn not_all_was_seen_if_the_trace_was_not_ended() {
    let trace = demo("ended");
    let whole = std::fs::read(&trace).unwrap();
    let path = scratch("check").join("torn.sst");
    // The last block says that it was ended; there may be one in front of it.
    let starts: Vec<usize> = (0..whole.len() - 8).step_by(8).filter(|at| whole[*at..].starts_with(b"SBLK")).collect();
    let last = *starts.last().unwrap();
    for (end, word) in [(last, "was not ended"), (last + 8, "is cut short at byte ")] {
        std::fs::write(&path, &whole[..end]).unwrap();
        let (code, out, err) = check(&path, &["--all-seen", "--no-errors"]);
        assert!(code == Some(1) && out.contains("--all-seen does not hold:\n  the trace "), "{out}{err}");
        assert!(out.contains(word) && out.contains("1 of 2 hold"), "{out}{err}");
    }
}

#[test]
fn a_name_that_libc_was_not_asked_for_has_its_address_named() {
    let Ok(listener) = std::net::TcpListener::bind("127.0.0.1:0") else { return println!("SKIPPED: no IPv4") };
    let address = listener.local_addr().unwrap();
    let trace = scratch("check").join("nameless.sst");
    let script = format!("exec 3<>/dev/tcp/{}/{}", address.ip(), address.port());
    let mut run = Command::new(tool());
    succeed(run.args(["run", "-q", "-o"]).arg(&trace).args(["--", "bash", "-c", &script]));
    let (code, out, _) = check(&trace, &["--connects-to", &format!("localhost:{}", address.port())]);
    let hint = format!("nobody asked libc for localhost (curl, for one, knows it without): if {address} is meant");
    assert!(code == Some(1) && out.contains(&hint), "{out}");
    assert_eq!(check(&trace, &["--connects-to", &address.to_string()]).0, Some(0));
    // Another port, or another address: nothing is known of what was meant.
    for other in ["localhost:1".to_owned(), format!("127.0.0.2:{}", address.port())] {
        let (_, out, _) = check(&trace, &["--connects-to", &other]);
        assert!(out.contains("it was not; connected to were ") && !out.contains("is meant"), "{out}");
    }
}

#[test]
fn what_holds_of_no_connection_says_so() {
    let trace = demo("none");
    let (code, out, _) = check(&trace, &["--no-leaks", "--to", "nowhere:80"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("--no-leaks to nowhere:80 holds of no connection: there is none to nowhere:80\n"), "{out}");
    let (code, out, _) = check(&trace, &["--no-leaks"]);
    assert!(code == Some(0) && out.contains("--no-leaks holds\n"), "{out}");
}

#[test]
fn nothing_expected_is_a_mistake() {
    let (code, _, err) = check(&demo("nothing"), &[]);
    assert_eq!(code, Some(2));
    assert!(err.contains("nothing is expected") && err.contains("--no-leaks"), "{err}");
}
