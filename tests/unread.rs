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
use std::path::{Path, PathBuf};
use std::process::Command;

/// All ways to end. Numbers are used again: of the first five bytes two are read, of the next five three, which are five with
/// those from before; likewise of a copy.
const WAYS: &[&str] = &[
    "part",
    "rest",
    "all",
    "in-turn",
    "peek",
    "thrown-away",
    "fin",
    "part-fin",
    "reset",
    "part-reset",
    "copy",
    "copy-rest",
    "child",
    "urgent",
    "again",
    "again-by-copy",
    "part",
    "rest",
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

/// What the program says of each end that it asks about, and what the trace tells.
fn said_and_told(name: &str, options: &[&str], ways: &[&str]) -> (Vec<i32>, Vec<i32>) {
    let trace = scratch("unread").join(format!("{name}.sst"));
    let mut run = Command::new(tool());
    run.args(["run", "-q"]).args(options).arg("-o").arg(&trace).arg("--").arg(ends(name)).args(ways);
    let said = lines(&mut run).iter().map(|line| line.parse().expect("a number")).collect();
    let (mut told, mut asked) = (Vec::new(), false);
    for event in Events::new(Trace::open(&trace).unwrap()) {
        let Event::Call(call) = event.unwrap() else { continue };
        match Op::from_number(call.call.op) {
            // The program asks in front of each end that counts.
            Some(Op::Ioctl) => asked = true,
            Some(Op::Close) if std::mem::take(&mut asked) => told.push(unread(&call).expect("TCP_INFO")),
            _ => {}
        }
    }
    (said, told)
}

#[test]
fn what_is_left_unread_is_what_the_kernel_says() {
    let (said, told) = said_and_told("told", &[], WAYS);
    assert_eq!(told, said, "{WAYS:?}");
    assert!(said.iter().any(|bytes| *bytes > 0) && said.contains(&0), "{said:?}");
}

/// A call that is answered in the kernel's place takes nothing.
#[test]
fn what_was_only_said_to_be_read_is_unread() {
    let (said, told) = said_and_told("injected", &["--inject", "recv:retval=2:when=1"], &["twice"]);
    assert_eq!((&said[..], &told[..]), (&[2, 0][..], &[2, 0][..]));
}

/// How often ways ask the kernel. The listener, which is left open, knows no answer.
fn questions(ways: &[&str], program: &Path) -> usize {
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-e", "trace=ioctl", "-E"]).arg(format!("LD_PRELOAD={}", shim().display()));
    strace.arg("-E").arg(format!("SOCKSHIM_TRACE={}", scratch("unread").join("asked.sst").display()));
    let output = succeed(strace.arg(program).arg("-q").args(ways));
    let calls = String::from_utf8(output.stderr).unwrap();
    calls.lines().filter(|line| line.contains("FIONREAD") && !line.contains("EINVAL")).count()
}

#[test]
fn the_kernel_is_not_asked_where_all_was_read() {
    if !there::there("strace") {
        return;
    }
    let program = ends("asked");
    for ways in [&["all", "all"][..], &["in-turn"], &["thrown-away"], &["reset"]] {
        assert_eq!(questions(ways, &program), 0, "{ways:?}");
    }
    // Who closes with something unread resets the other end, which has received nothing: once the reset is there, that may be how
    // it was before it was ever connected.
    assert!((1..=2).contains(&questions(&["part"], &program)));
    // The other end of one that was closed in order has received a FIN: for all that is told, that may have been a byte.
    assert_eq!(questions(&["fin"], &program), 1);
}
