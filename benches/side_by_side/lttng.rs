//! LTTng-UST as a peer: it records for a daemon, which is started for as long as is measured.

use crate::machine::{Scratch, installed};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The daemon, with one session that records the events of `lttng.c`.
pub struct Session {
    daemon: Child,
    /// What is preloaded.
    pub library: PathBuf,
}

impl Session {
    /// None if LTTng is not installed, or somebody else's daemon is there: that one is left alone.
    pub fn start(scratch: &Scratch) -> Option<Session> {
        // The last belongs to the headers.
        let there = ["lttng", "lttng-sessiond", "lttng-gen-tp"].into_iter().all(installed);
        if !there || lttng(&["list"]) {
            return None;
        }
        let library = scratch.build("lttng.c", "lttng.so", &["-fPIC", "-shared", "-llttng-ust"]);
        let daemon =
            Command::new("lttng-sessiond").arg("--no-kernel").stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let session = Session { daemon: daemon.ok()?, library };
        let begun = Instant::now();
        while !lttng(&["list"]) {
            if begun.elapsed() > Duration::from_secs(10) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = format!("--output={}", scratch.path("lttng").display());
        let ready = lttng(&["create", "sockshim-bench", &output])
            && lttng(&["enable-event", "--userspace", "sockshim_bench:*"])
            && lttng(&["start"]);
        ready.then_some(session)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        lttng(&["destroy", "sockshim-bench"]);
        let _ = Command::new("kill").arg(self.daemon.id().to_string()).status();
        let _ = self.daemon.wait();
    }
}

/// Whether the command succeeded.
fn lttng(words: &[&str]) -> bool {
    let done =
        Command::new("lttng").arg("--no-sessiond").args(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}
