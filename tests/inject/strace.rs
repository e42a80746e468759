//! Rules that mean what strace's mean: the same program ends the same way and prints the same under either.

use crate::{c_program, inject, there};
use std::process::Command;

#[test]
fn rules_of_strace_do_what_they_do_under_strace() {
    if !there::there("strace") {
        return;
    }
    let calls = c_program("calls");
    let calls = calls.to_str().unwrap();
    let native = Command::new(calls).output().unwrap();
    let mut different = 0;
    for (number, rule) in [
        "connect:error=ECONNREFUSED:when=2+",
        "connect:error=EINTR:when=1",
        "connect:error=ETIMEDOUT:when=1+2",
        "connect:error=ENETUNREACH:when=2..3",
        "accept:error=EMFILE:when=2",
        "socket:error=ENOBUFS:when=3",
        "socket:retval=-7:when=2",
        "bind:error=EADDRINUSE",
        "listen:error=EADDRINUSE",
        "sendto:error=EAGAIN:when=1",
        "recvfrom:error=ECONNRESET:when=3",
        "recvfrom:retval=0:when=2+",
        "shutdown:error=ENOTCONN:when=1",
        "getsockname:error=ENOBUFS",
        "setsockopt:error=ENOPROTOOPT",
        "getsockname:signal=SIGUSR1:when=1",
        "connect:signal=SIGTERM:when=2",
        "connect:delay_enter=2ms:delay_exit=1000:when=1",
        "sendto:error=111:when=2",
    ]
    .into_iter()
    .enumerate()
    {
        let ours = inject(&format!("strace-{number}"), &[rule], &[calls]);
        let theirs = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e"])
            .arg(format!("inject={rule}"))
            .arg(calls)
            .output()
            .unwrap();
        assert_eq!(ours.output.status, theirs.status, "{rule}");
        let (mine, other) = (ours.stdout(), String::from_utf8_lossy(&theirs.stdout));
        assert_eq!(mine, other, "{rule}");
        assert!(ours.injected() > 0, "{rule}");
        different += usize::from(theirs.stdout != native.stdout || theirs.status != native.status);
    }
    assert!(different >= 16, "of 19 rules only {different} changed anything");
}
