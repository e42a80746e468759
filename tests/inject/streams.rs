//! Bytes: how many at a time, up to where, how fast, and how it ends. A C program that tells each read.

use crate::{c_program, inject};

/// What the reader read, piece by piece: it prints the length of each, then why it ended.
fn pieces(test: &str, rules: &[&str], how: &str) -> (Vec<String>, crate::Ran) {
    let program = c_program("stream");
    let ran = inject(test, rules, &[program.to_str().unwrap(), how]);
    assert_eq!(ran.code(), Some(0), "{rules:?}: {}", String::from_utf8_lossy(&ran.output.stderr));
    (ran.stdout().split_whitespace().map(str::to_owned).collect(), ran)
}

#[test]
fn transfers_are_as_long_as_a_rule_lets_them_be() {
    for how in ["read", "recv", "readv", "recvmsg"] {
        let rule = format!("{how}:short=300");
        let (told, ran) = pieces(&format!("short-{how}"), &[&rule], how);
        assert_eq!(told, ["300", "300", "300", "100", "end", "same"], "{how}");
        assert_eq!(ran.injected(), 3, "{how}: the last asks for no more than a rule lets pass");
    }
    for how in ["write", "send", "writev", "sendmsg"] {
        let (told, _) = pieces(&format!("short-{how}"), &[&format!("{how}:short=400")], how);
        assert_eq!(told, ["400", "400", "200", "end", "same"], "{how}: how it was sent");
    }
}

#[test]
fn a_stream_is_cut_exactly_where_a_rule_says() {
    let (told, _) = pieces("split", &["read:split=17", "read:split=18", "read:split=999"], "read");
    assert_eq!(told, ["17", "1", "981", "1", "end", "same"]);
    let (told, _) = pieces("split-write", &["write:split=1"], "write");
    assert_eq!(told, ["1", "999", "end", "same"]);
}

#[test]
fn a_connection_ends_after_so_many_bytes() {
    let (told, ran) = pieces("error-after", &["read:error=ECONNRESET:after=250"], "read");
    assert_eq!(told, ["250", "ECONNRESET"]);
    assert_eq!(ran.injected(), 2, "cut short, then failed");
    let (told, _) = pieces("reset-after", &["read:reset:after=250"], "read");
    assert_eq!(told, ["250", "ECONNRESET"]);
    let (told, _) = pieces("half-close-after", &["read:half_close:after=600"], "read");
    assert_eq!(told, ["600", "end", "400", "missing"]);
    // The peer sees a reset, too: it is the writer that tells.
    let (told, _) = pieces("reset-seen", &["write:reset:after=400"], "write");
    assert_eq!(told, ["400", "ECONNRESET", "peer:ECONNRESET"]);
    let (told, _) = pieces("half-close-seen", &["write:half_close:after=400"], "write");
    assert_eq!(told, ["400", "EPIPE", "peer:end"]);
}

#[test]
fn calls_that_are_made_again_get_everything() {
    let rules = ["read:error=EINTR:when=1+2", "read:short=100"];
    let (told, _) = pieces("eintr", &rules, "read");
    let all = ["EINTR", "100"].repeat(10);
    assert_eq!(told, [&all[..], &["EINTR", "end", "same"]].concat());
}

#[test]
fn a_silent_peer_is_silent_for_the_kernel_too() {
    // poll waits until its time is over: nothing arrives, and nothing says that the peer is gone.
    let (told, ran) = pieces("silence", &["connect:silence"], "poll");
    assert_eq!(told, ["connect:EINPROGRESS", "poll:0"]);
    assert!(ran.lines("connect(")[0].contains("(INJECTED)"), "{:?}", ran.lines("connect("));
}

#[test]
fn bandwidth_and_latency_are_told_with_what_they_took() {
    let (told, ran) = pieces("bandwidth", &["read:bandwidth=10000"], "read");
    assert_eq!(told, ["1000", "end", "same"]);
    let slow = ran.lines("= 1000 (DELAYED)");
    assert_eq!(slow.len(), 1, "{:?}", ran.lines(" read("));
    let report = ran.report();
    assert!(report.contains("read delayed by 100ms by rule 1"), "{report}");
}
