//! What a TCP socket holds unread where it ends. The kernel is asked only where what the program has read does not tell:
//! the answers must be the same.

#[path = "support/built.rs"]
mod built;

#[path = "support/there.rs"]
mod there;

use built::{lines, root, scratch, shim, succeed, tool};
use sockshim_format::op::Op;
use sockshim_format::record::{KIND_TCP_INFO, ROLE_FOUND, TcpState};
use sockshim_reader::order::Events;
use sockshim_reader::{CallInfo, Event, Trace};
use std::path::PathBuf;
use std::process::Command;

/// All ways to end; `in-turn` twice, for the numbers of the first are then those of others.
const WAYS: &[&str] = &[
    "all",
    "in-turn",
    "part",
    "peek",
    "thrown-away",
    "fin",
    "part-fin",
    "reset",
    "part-reset",
    "copy",
    "child",
    "urgent",
    "again",
    "in-turn",
    "part",
];

fn ends(test: &str) -> PathBuf {
    let program = scratch("unread").join(test);
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-o"]).arg(&program);
    succeed(gcc.arg(root().join("tests/unread/ends.c")));
    program
}

/// What was told of the socket that a call closes.
fn unread(call: &CallInfo) -> Option<i32> {
    let told = call.extensions.iter().find(|e| e.kind == KIND_TCP_INFO && e.role != ROLE_FOUND)?;
    Some(TcpState::read(&told.body).expect("it begins with a state").unread_bytes)
}

#[test]
fn what_is_left_unread_is_what_the_kernel_says() {
    let trace = scratch("unread").join("ends.sst");
    let mut run = Command::new(tool());
    run.args(["run", "-q", "-o"]).arg(&trace).arg("--").arg(ends("told")).args(WAYS);
    let said: Vec<i32> = lines(&mut run).iter().map(|line| line.parse().expect("a number")).collect();
    let mut told = Vec::new();
    let mut asked = false;
    for event in Events::new(Trace::open(&trace).unwrap()) {
        let Event::Call(call) = event.unwrap() else { continue };
        match Op::from_number(call.call.op) {
            // The program asks in front of each end that counts.
            Some(Op::Ioctl) => asked = true,
            Some(Op::Close) if std::mem::take(&mut asked) => told.push(unread(&call).expect("TCP_INFO")),
            _ => {}
        }
    }
    assert_eq!(told, said, "{WAYS:?}");
    assert!(said.iter().any(|bytes| *bytes > 0) && said.contains(&0), "{said:?}");
}

/// How often a way asks the kernel. The listener, which is left open, knows no answer.
fn questions(way: &str, program: &std::path::Path) -> usize {
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-e", "trace=ioctl", "-E"]).arg(format!("LD_PRELOAD={}", shim().display()));
    strace.arg("-E").arg(format!("SOCKSHIM_TRACE={}", scratch("unread").join("asked.sst").display()));
    let output = succeed(strace.arg(program).args(["-q", way]));
    let calls = String::from_utf8(output.stderr).unwrap();
    calls.lines().filter(|line| line.contains("FIONREAD") && !line.contains("EINVAL")).count()
}

#[test]
fn the_kernel_is_not_asked_where_all_was_read() {
    if !there::there("strace") {
        return;
    }
    let program = ends("asked");
    // Who closes with something unread resets the other end, which has received nothing: that may be how it was before it was ever
    // connected.
    for (way, questions_of_it) in [("all", 0), ("in-turn", 0), ("thrown-away", 0), ("reset", 0), ("part", 2)] {
        assert_eq!(questions(way, &program), questions_of_it, "{way}");
    }
    // The other end has received a FIN and is closed by then: for all that is told, that may have been a byte.
    assert_eq!(questions("fin", &program), 1);
}
