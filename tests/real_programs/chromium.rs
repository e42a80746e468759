//! Chromium, with its sandbox: a process that clones children without thread-local storage, forks from a
//! zygote, filters system calls, and hands sockets from process to process.

use crate::harness::{Mode, Outcome, Scratch, copy_of_tool, installed, skipped};
use crate::recorded::{Recorded, ports, totals};
use crate::web::{Answer, Web};
use sockshim_reader::model::Role;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

const PAGE: &str = "<html><body><p id=x>waiting</p><script>\
    fetch('/data').then(r => r.text()).then(t => document.getElementById('x').textContent = t)\
    </script></body></html>";

/// Nothing of its own accord, and no name but that of this machine.
const FLAGS: &str = "--headless --disable-gpu --disable-quic --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --host-resolver-rules=MAP*~NOTFOUND --virtual-time-budget=5000 --dump-dom";

/// Renders the page as nobody: root gets no sandbox.
fn render(scratch: &Scratch, mode: Mode, url: &str) -> Outcome {
    let profile = scratch.file(&format!("profile-{}", mode.name()));
    fs::create_dir_all(&profile).unwrap();
    std::os::unix::fs::chown(&profile, Some(65534), Some(65534)).unwrap();
    let profile = format!("--user-data-dir={}", profile.display());
    let home = format!("HOME={}", scratch.path.display());
    let mut words = vec!["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", &home, "chromium"];
    words.extend(FLAGS.split_whitespace().map(|flag| match flag {
        "--host-resolver-rules=MAP*~NOTFOUND" => "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        flag => flag,
    }));
    words.extend([&*profile, url]);
    let native = scratch.command(Mode::Native, "chromium", &words);
    if mode == Mode::Native {
        return scratch.finish(mode, "chromium", native);
    }
    let mut command = Command::new(copy_of_tool(scratch));
    command.args(["run", "-q", "-o"]).arg(scratch.trace(mode, "chromium")).arg("--").args(&words);
    command.current_dir(&scratch.path).env_clear();
    command.envs(native.get_envs().filter_map(|(name, value)| Some((name, value?))));
    scratch.finish(mode, "chromium", command)
}

#[test]
fn chromium_renders_in_its_sandbox() {
    if !installed("chromium", &["chromium", "setpriv"]) {
        return;
    }
    // SAFETY: no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return skipped("chromium", "only root can become the user without privileges that its sandbox wants");
    }
    let scratch = Scratch::new("chromium");
    let pages = vec![
        ("/", Answer::Body(PAGE.into())),
        ("/data", Answer::Body(b"fetched".to_vec())),
        ("/favicon.ico", Answer::Body(vec![])),
    ];
    let web = Web::serve(IpAddr::V4(Ipv4Addr::LOCALHOST), pages);
    let url = format!("http://127.0.0.1:{}/", web.port);
    let native = render(&scratch, Mode::Native, &url);
    native.is_good();
    assert!(native.text().contains("<p id=\"x\">fetched</p>"), "{}\n{}", native.text(), native.stderr);
    let run = render(&scratch, Mode::Run, &url);
    run.differs_in_stderr(&native);

    let recorded = Recorded::of(&run);
    let to_web = |c: &&sockshim_reader::model::Connection| c.peer_address().and_then(|a| a.port()) == Some(web.port);
    let connections: Vec<_> = recorded.tcp(Role::Active).into_iter().filter(to_web).collect();
    assert!(!connections.is_empty());
    let seen: Vec<_> = connections.iter().map(|connection| web.of_port(ports(connection).0)).collect();
    let served = seen.iter().fold((0, 0), |sum, seen| (sum.0 + seen.received_bytes, sum.1 + seen.sent_bytes));
    assert_eq!(totals(&connections), served, "{connections:?}");
    assert!(seen.iter().flat_map(|seen| &seen.requests).any(|request| request == "GET /data"));
}
