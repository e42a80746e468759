//! `sockshim diff` tells what a program does otherwise than before, and nothing else.

#[path = "support/built.rs"]
mod built;
#[path = "support/there.rs"]
mod there;

use built::{scratch, tool};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use there::there;

/// Answers one request, after so long.
fn answer(listener: &TcpListener, pause: Duration) {
    let (mut client, _) = listener.accept().unwrap();
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && client.read(&mut byte).unwrap() == 1 {
        request.extend(byte);
    }
    std::thread::sleep(pause);
    client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello").unwrap();
    // Who closes first is no accident: it has all, and closes.
    _ = client.read(&mut byte);
}

/// Traces curl, which asks for the page at a port.
fn curl(name: &str, port: u16) -> PathBuf {
    let trace = scratch("diff").join(format!("{name}.sst"));
    let mut run = Command::new(tool());
    run.args(["run", "-q", "-o"]).arg(&trace).args(["--", "curl", "-s", "-o", "/dev/null", "--noproxy", "*"]);
    run.arg(format!("http://127.0.0.1:{port}/")).status().unwrap();
    trace
}

/// Exit status, stdout, stderr. Traces are named as in the folder.
fn diff(arguments: &[&str], before: &Path, after: &Path) -> (Option<i32>, String, String) {
    let mut command = Command::new(tool());
    command.current_dir(scratch("diff")).args(["diff", "--color", "never"]).args(arguments);
    let output = command.args([before.file_name().unwrap(), after.file_name().unwrap()]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_same_program_twice_behaves_the_same() {
    if !there("curl") {
        return;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let traces = ["same-1", "same-2"].map(|name| {
        std::thread::scope(|scope| {
            scope.spawn(|| answer(&listener, Duration::ZERO));
            curl(name, port)
        })
    });
    let (code, out, err) = diff(&["--no-times"], &traces[0], &traces[1]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.starts_with("same-1.sst and same-2.sst behave the same: "), "{out}");
    assert_eq!(diff(&["--no-times"], &traces[0], &traces[0]).0, Some(0));
}

#[test]
fn a_server_that_then_refuses_is_what_changed() {
    if !there("curl") {
        return;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let answered = std::thread::scope(|scope| {
        scope.spawn(|| answer(&listener, Duration::ZERO));
        curl("answered", port)
    });
    drop(listener);
    let refused = curl("refused", port);
    let (code, out, err) = diff(&["--no-times"], &answered, &refused);
    assert_eq!((code, err.as_str()), (Some(1), ""), "{out}");
    let (told, functions) = out.split_once("    functions   - ").expect(&out);
    // curl makes sockets for its own threads before the one that connects.
    let number = told.split(['#', ' ']).find(|word| word.parse::<u32>().is_ok()).expect(&out).to_owned();
    let sent = told.split("sent        ").nth(1).expect(&out).split(' ').next().unwrap();
    let expected = format!(
        "~ curl active IPv4 to 127.0.0.1:*  #{number} → #{number}\n    \
         ended       peer-closed → refused\n    \
         errors      + connect ECONNREFUSED\n    \
         sent        {sent} B → 0 B\n    \
         received    62 B → 0 B\n"
    );
    let expected = match told.contains("we-closed") {
        true => expected.replace("peer-closed", "we-closed"),
        false => expected,
    };
    assert_eq!(told, expected);
    let functions = functions.lines().next().unwrap();
    assert!(["recv", "send"].iter().all(|name| functions.split(", ").any(|word| word == *name)), "{out}");
    let (code, brief, _) = diff(&["--brief", "--no-times"], &answered, &refused);
    assert_eq!(code, Some(1));
    assert!(brief.lines().count() == 1 && out.ends_with(&brief), "{brief}");
    // The other way round it is the same story.
    let (_, back, _) = diff(&["--no-times"], &refused, &answered);
    assert!(back.contains("errors      - connect ECONNREFUSED\n"), "{back}");
}

#[test]
fn what_takes_much_longer_is_told_with_the_ratio() {
    if !there("curl") {
        return;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let [quick, slow] = [("quick", 50), ("slow", 2000)].map(|(name, pause_ms)| {
        std::thread::scope(|scope| {
            scope.spawn(|| answer(&listener, Duration::from_millis(pause_ms)));
            curl(name, port)
        })
    });
    let (code, out, _) = diff(&["--threshold", "2x"], &quick, &slow);
    assert_eq!(code, Some(1), "{out}");
    let line = out.lines().find(|line| line.trim_start().starts_with("first byte")).expect(&out);
    assert!(line.contains(" → 2.") && line.ends_with("x as much"), "{out}");
    assert_eq!(diff(&["--no-times"], &quick, &slow).0, Some(0));
}

#[test]
fn what_cannot_be_read_is_trouble() {
    let file = scratch("diff").join("no.sst");
    std::fs::write(&file, "this is no trace").unwrap();
    let missing = scratch("diff").join("missing.sst");
    for (before, after) in [(&file, &file), (&missing, &file)] {
        let (code, out, err) = diff(&[], before, after);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        assert!(err.contains(before.file_name().unwrap().to_str().unwrap()), "{err}");
    }
}
