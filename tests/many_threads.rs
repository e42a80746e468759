//! More threads than processors, each as fast as it can: the tool gets its turn, and nothing is lost.

#[path = "support/built.rs"]
mod built;

use built::{root, scratch, succeed, tool};
use std::path::PathBuf;
use std::process::Command;

fn workload() -> PathBuf {
    static MADE: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let make = || {
        let program = scratch("many_threads").join("workload");
        let source = root().join("benches/peers/workload.c");
        succeed(Command::new("gcc").args(["-O1", "-pthread", "-o"]).arg(&program).arg(source));
        program
    };
    MADE.get_or_init(make).clone()
}

/// What the trace says of `calls` writes and reads that were made by `threads` threads in a region that has room for a
/// few per cent of them.
fn summary(threads: usize, calls: usize, region: &str) -> String {
    let trace = scratch("many_threads").join(format!("{threads}.sst"));
    let (each, threads) = ((calls / threads / 2).to_string(), threads.to_string());
    let mut run = Command::new(tool());
    run.args(["run", "-q", "--region-size", region, "-o"]).arg(&trace).arg("--").arg(workload());
    let told = succeed(run.args(["threads", &each, &threads]));
    assert_eq!(String::from_utf8_lossy(&told.stderr), "", "nothing to be said of the run");
    let shown = succeed(Command::new(tool()).args(["show", "--connections"]).arg(&trace));
    String::from_utf8(shown.stdout).unwrap().lines().last().unwrap_or_default().to_owned()
}

#[test]
fn threads_that_fill_the_region_wait_for_the_tool() {
    // Each thread's two sockets were made by one call.
    assert_eq!(summary(8, 640_000, "1M"), "16 sockets, 640,008 calls, 1 process.");
    assert_eq!(summary(64, 640_000, "1M"), "128 sockets, 640,064 calls, 1 process.");
    assert_eq!(summary(1000, 640_000, "8M"), "2,000 sockets, 641,000 calls, 1 process.");
}
