//! Real children. Where signals or the end of the tool itself matter, this test binary is run again
//! as the tool: see `acting_as_the_tool`.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use super::*;
use crate::target::{Reason, inspect};

const SCRIPT: &str = "SOCKSHIM_TEST_SCRIPT";
/// Must be loadable, or the loader complains; every program has this one already.
const HARMLESS_SHIM: &str = "libc.so.6";

// What `entry` does in the tool: here Rust's runtime has ignored SIGPIPE before any test could look.
#[used]
#[unsafe(link_section = ".init_array")]
static PREPARE: extern "C" fn() = {
    extern "C" fn prepare() {
        prepare_signals();
    }
    prepare
};

fn run_sh(script: &str) -> Child {
    let argv = ["sh", "-c", script].map(OsString::from);
    spawn(&inspect(OsStr::new("sh")).unwrap(), &argv, Path::new(HARMLESS_SHIM), &[], None).unwrap()
}

/// Not a test by itself: the tool, when the variable is there.
#[test]
fn acting_as_the_tool() {
    let Ok(script) = std::env::var(SCRIPT) else { return };
    let mut child = run_sh(&script);
    let status = child.wait().unwrap();
    if script.contains("# linger") {
        println!("ended");
        while signal_after_exit().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        println!("signal {}", signal_after_exit().unwrap());
    }
    exit_like(status)
}

/// A shell that first does `before` and then becomes the tool, running `script`.
fn tool_after(before: &str, script: &str) -> Command {
    let mut tool = Command::new("sh");
    tool.args(["-c", &format!("{before} exec \"$0\" \"$@\"")]).arg(std::env::current_exe().unwrap());
    tool.args(["--exact", "spawn::tests::acting_as_the_tool", "--nocapture", "--test-threads=1"]);
    tool.env(SCRIPT, script).env_remove(PRELOAD).stdout(Stdio::piped()).stderr(Stdio::piped());
    tool
}

fn output(mut command: Command) -> Output {
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Starts the tool, waits until the script has said "ready", sends `signal` to `whom`, and returns
/// how the tool ended and what was printed after "ready".
fn signalled(script: &str, signal: i32, to_group: bool) -> (ExitStatus, String) {
    let mut command = tool_after("", script);
    command.process_group(0);
    let mut tool = command.spawn().unwrap();
    let mut lines = BufReader::new(tool.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("ready") {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the script should say ready");
    }
    let pid = tool.id() as i32;
    // SAFETY: no memory is involved; the process is our own unreaped child, which leads its group.
    unsafe { libc::kill(if to_group { -pid } else { pid }, signal) };
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    (tool.wait().unwrap(), rest)
}

#[test]
fn the_exit_code_is_the_programs_own() {
    let mut child = run_sh("exit 3");
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert_eq!(child.wait_nonblocking().unwrap().unwrap().code(), Some(3), "asked again");
    assert_eq!(child.wait().unwrap().code(), Some(3), "and again");
}

#[test]
fn waiting_without_blocking_says_not_yet() {
    let mut child = run_sh("sleep 0.2");
    assert!(child.wait_nonblocking().unwrap().is_none());
    let status = loop {
        match child.wait_nonblocking().unwrap() {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    assert!(status.success());
}

#[test]
fn a_file_that_vanished_or_is_no_program_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gone");
    let target = Target { path: path.clone(), interpreters: vec![], warnings: vec![] };
    let start = || spawn(&target, &["gone".into()], Path::new(HARMLESS_SHIM), &[], None);
    let refusal = start().unwrap_err();
    assert!(matches!(refusal.reason, Reason::NotFound), "{refusal}");
    assert_eq!(refusal.exit_code(), 127);
    std::fs::write(&path, "").unwrap();
    assert_eq!(start().unwrap_err().exit_code(), 126);
}

#[test]
fn the_tool_ends_as_the_program_ended() {
    assert_eq!(output(tool_after("", "exit 42")).status.code(), Some(42));
    for signal in
        [libc::SIGTERM, libc::SIGKILL, libc::SIGINT, libc::SIGPIPE, libc::SIGQUIT, libc::SIGSEGV, libc::SIGRTMIN()]
    {
        let status = output(tool_after("ulimit -c unlimited;", &format!("ulimit -c 0; kill -{signal} $$"))).status;
        assert_eq!(status.signal(), Some(signal));
        assert!(!status.core_dumped(), "signal {signal}: the tool should leave no core of its own");
    }
}

#[test]
fn the_program_sees_the_environment_that_it_would_have_seen() {
    let theirs = [c"Z=1", c"A=2", c"no variable", c"LD_PRELOAD=/x.so", c"M=old", c"MM=3", c"M=second", c"=", c""];
    let ours = [c"LD_PRELOAD=/lib.so:/x.so", c"M=new", c"B="].map(CStr::to_owned);
    let seen = environment(theirs.into_iter(), &ours);
    let expected =
        [c"Z=1", c"A=2", c"no variable", ours[0].as_c_str(), c"M=new", c"MM=3", c"M=second", c"=", c"", c"B="];
    assert_eq!(seen, expected);
    let variables = with_preload(Some("/x.so".into()), Path::new("/lib.so"), &[("M".into(), "new".into())]);
    assert_eq!(variables, [(PRELOAD, "/lib.so:/x.so"), ("M", "new")].map(|(name, value)| (name.into(), value.into())));

    let directory = tempfile::tempdir().unwrap();
    let [native_file, traced_file] = ["native", "traced"].map(|name| directory.path().join(name));
    let script = |file: &Path| format!("exec env > {}", file.display());
    let mut natively = Command::new("sh");
    natively.args(["-c", "exec sh -c \"$SOCKSHIM_TEST_SCRIPT\""]).env(SCRIPT, script(&native_file));
    assert!(natively.env_remove(PRELOAD).status().unwrap().success());
    assert!(output(tool_after("", &script(&traced_file))).status.success());
    let lines = |file: &Path| -> Vec<String> {
        let all = std::fs::read_to_string(file).unwrap();
        let ours = |line: &&str| [SCRIPT, PRELOAD].iter().any(|name| line.starts_with(name));
        all.lines().filter(|line| !ours(line)).map(str::to_owned).collect()
    };
    assert_eq!(lines(&traced_file), lines(&native_file));
}

#[test]
fn the_shim_goes_in_front_and_only_once() {
    let list = |others: &str| preload(Path::new("/new/libsockshim.so"), OsStr::new(others));
    assert_eq!(list(""), "/new/libsockshim.so");
    assert_eq!(list("/a.so /b.so"), "/new/libsockshim.so:/a.so:/b.so");
    assert_eq!(list("/old/libsockshim.so:/a.so"), "/new/libsockshim.so:/a.so");
    assert_eq!(list("libsockshim.so.0:/old/libsockshim.so.0.1.0 /a.so"), "/new/libsockshim.so:/a.so");
    assert_eq!(list("/libsockshim.sock"), "/new/libsockshim.so:/libsockshim.sock");
}

#[test]
fn ignored_and_blocked_signals_are_what_they_would_have_been() {
    let script = "grep -E '^Sig(Blk|Ign)' /proc/self/status";
    // libtest writes before the first line. Signals 32 and 33 are glibc's own.
    let masks = |output: &Output| {
        ["SigBlk:", "SigIgn:"].map(|name| {
            let said = stdout(output);
            let (_, mask) = said.split_once(name).unwrap_or_else(|| panic!("{name} should be in {said:?}"));
            u64::from_str_radix(mask.lines().next().unwrap().trim(), 16).unwrap() & !(3 << 31)
        })
    };
    for before in ["", "trap '' PIPE;", "trap '' HUP INT;", "trap '' CHLD PIPE USR1;"] {
        let natively = Command::new("sh").args(["-c", &format!("{before} exec sh -c \"{script}\"")]).output().unwrap();
        assert_eq!(masks(&output(tool_after(before, script))), masks(&natively), "after {before:?}");
    }
}

#[test]
fn the_status_is_known_even_where_sigchld_was_ignored() {
    assert_eq!(output(tool_after("trap '' CHLD;", "exit 5")).status.code(), Some(5));
}

#[test]
fn a_signal_sent_to_the_tool_alone_is_forwarded() {
    for signal in signals::FORWARDED {
        let script = format!("trap 'echo caught; exit 9' {signal}; echo ready; while :; do sleep 0.01; done");
        let (status, said) = signalled(&script, signal, false);
        assert_eq!((status.code(), said.trim()), (Some(9), "caught"), "signal {signal}");
    }
}

#[test]
fn a_program_that_a_forwarded_signal_kills_takes_the_tool_along() {
    let (status, _) = signalled("echo ready; exec sleep 100", libc::SIGTERM, false);
    assert_eq!(status.signal(), Some(libc::SIGTERM));
}

#[test]
fn a_program_that_signals_its_own_group_gets_the_signal_once() {
    let mut command = tool_after("", "trap 'echo caught' USR1; echo ready; kill -USR1 0; sleep 0.2; exit 0");
    command.process_group(0);
    let output = output(command);
    assert_eq!(stdout(&output).matches("caught").count(), 1);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_signal_after_the_end_of_the_program_is_told_to_the_tool() {
    let mut command = tool_after("", "exit 0 # linger");
    let mut tool = command.spawn().unwrap();
    let mut lines = BufReader::new(tool.stdout.take().unwrap()).lines().map_while(Result::ok);
    lines.find(|line| line.ends_with("ended")).expect("the program should end");
    // SAFETY: no memory is involved; the process is our own unreaped child.
    unsafe { libc::kill(tool.id() as i32, libc::SIGINT) };
    assert!(lines.any(|line| line == "signal 2"));
    assert!(tool.wait().unwrap().success());
}
