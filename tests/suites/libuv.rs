//! libuv's own test suite, from the crate that carries its sources. They are fetched with cargo and
//! built with cmake when they are not there yet.

use crate::built::{root, scratch};
use crate::suite::Suite;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crate, whose number is libuv's.
const CRATE: &str = "libuv-sys2";
const VERSION: &str = "1.53.1";

/// Tests that are left out: what they send would leave this machine, or ask a name server, and what
/// comes back depends on where it is.
const BEYOND_LOOPBACK: &str = "tcp_close_while_connecting tcp_connect_timeout tcp_connect6_link_local udp_send_hang_loop \
    udp_multicast_interface udp_multicast_interface6 udp_multicast_join udp_multicast_join6 udp_multicast_ttl \
    getaddrinfo_fail getaddrinfo_fail_sync threadpool_cancel_getaddrinfo metrics_pool_events";

/// Tests that `make test` leaves to `make soak`: they take half a second and more, waiting.
const SLOW: &str = "hrtime udp_recvmsg_unreachable_error udp_recvmsg_unreachable_error6 delayed_accept tcp_write_ready \
    fs_event_close_in_callback fs_event_watch_dir fs_event_watch_file_current_dir fs_event_close_with_pending_delete_event \
    metrics_idle_time metrics_idle_time_thread loop_update_time loop_stop loop_backend_timeout poll_oob tcp_unexpected_read \
    ipc_send_recv_tcp_inprocess ipc_send_recv_pipe_inprocess tcp_local_connect_timeout tcp6_local_connect_timeout \
    tcp_write_queue_order tcp_close_after_read_timeout udp_send_unreachable udp_ipv6_only udp_dual_stack timer timer_again \
    callback_stack spawn_and_kill spawn_and_kill_with_std fs_poll";

pub fn suites(everything: bool) -> Result<Vec<Suite>, String> {
    let folder = scratch(&format!("libuv-{VERSION}"));
    let source = fetch(&folder)?;
    let built = build(&source, &folder)?;
    let tests = tests(&built, everything)?;
    Ok(vec![Suite {
        name: "libuv".into(),
        program: vec!["/bin/sh".into(), root().join("tests/suites/walk.sh").into()],
        always: vec![built.into(), source.into()],
        everything: tests.into_iter().map(Into::into).collect(),
        only: "",
    }])
}

/// Where cargo keeps the sources, after it has fetched them.
fn fetch(folder: &Path) -> Result<PathBuf, String> {
    fs::write(folder.join("lib.rs"), "").unwrap();
    let manifest = format!(
        "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[lib]\npath = \"lib.rs\"\n\
         [dependencies]\n{CRATE} = \"={VERSION}\"\n[workspace]\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    let metadata = output(Command::new("cargo").args(["metadata", "--format-version=1"]).current_dir(folder))?;
    let marker = format!("{CRATE}-{VERSION}/Cargo.toml\"");
    let end = metadata.find(&marker).ok_or("cargo does not tell where the sources are")?;
    let start = metadata[..end].rfind('"').map_or(0, |quote| quote + 1);
    Ok(Path::new(&metadata[start..end]).join(format!("{CRATE}-{VERSION}/libuv")))
}

fn build(source: &Path, folder: &Path) -> Result<PathBuf, String> {
    let built = folder.join("built");
    output(Command::new("cmake").arg("-S").arg(source).arg("-B").arg(&built))?;
    output(Command::new("cmake").arg("--build").arg(&built).args(["-j2", "--target", "uv_run_tests"]))?;
    Ok(built)
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn tests(built: &Path, everything: bool) -> Result<Vec<String>, String> {
    let list = output(Command::new(built.join("uv_run_tests")).arg("--list").env("UV_RUN_AS_ROOT", "1"))?;
    // `name`, or `name    (helpers: name of another program)`.
    let mut tests: Vec<String> = list.lines().filter_map(|l| l.split_whitespace().next()).map(str::to_owned).collect();
    let beyond: Vec<&str> = BEYOND_LOOPBACK.split_whitespace().collect();
    let slow: Vec<&str> = if everything { vec![] } else { SLOW.split_whitespace().collect() };
    println!("SKIPPED: libuv: {}: they reach beyond loopback", beyond.join(", "));
    tests.retain(|test| !beyond.contains(&&**test) && !slow.contains(&&**test));
    Ok(tests)
}
