//! Starts the victim without us, with the shim alone, or by the tool, and waits for what is left of it.

use crate::built::{scratch, shim, succeed, tool};
use crate::ledger::Ledger;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{LazyLock, atomic::AtomicU32, atomic::Ordering};
use std::time::Duration;

/// How long anything may take. It is there for what hangs: nothing here takes a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the victim is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Without us.
    Native,
    /// With the shim alone: the region is the trace.
    Preload,
    /// By the tool.
    Run,
}

/// What the victim is to do: see `victim.c`.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    pub how: &'static str,
    pub threads: u32,
    pub children: u32,
    pub calls: u32,
    /// Bytes to keep of each payload.
    pub snaplen: u32,
    /// Size of the region.
    pub region: &'static str,
}

/// A victim that runs.
pub struct Victim {
    pub mode: Mode,
    pub task: Task,
    pub ledger: Ledger,
    pub trace: PathBuf,
    /// The victim, or the tool.
    pub child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<Vec<u8>>,
}

impl Victim {
    pub fn start(mode: Mode, task: Task) -> Victim {
        static PROGRAM: LazyLock<PathBuf> = LazyLock::new(compile);
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let file = |kind| scratch("crash").join(format!("{}-{number}.{kind}", std::process::id()));
        let (ledger, trace) = (Ledger::new(file("ledger")), file("sst"));
        let _ = std::fs::remove_file(&trace);
        let Task { how, threads, children, calls, snaplen, region } = task;
        let (program, snaplen) = (PROGRAM.as_os_str(), snaplen.to_string());
        let mut command = Command::new(if mode == Mode::Run { tool().into_os_string() } else { program.into() });
        match mode {
            Mode::Native => {}
            Mode::Preload => {
                command.env("LD_PRELOAD", shim()).env("SOCKSHIM_TRACE", &trace);
                command.env("SOCKSHIM_SNAPLEN", &snaplen).env("SOCKSHIM_SIZE", region);
            }
            Mode::Run => {
                command.args(["run", "-q", "--snaplen", &snaplen, "--region-size", region, "-o"]);
                command.arg(&trace).arg("--").arg(program);
            }
        }
        command.arg(ledger.path()).arg(how).args([threads, children, calls].map(|n| n.to_string()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // SAFETY: between fork and exec, system calls alone.
        unsafe {
            command.pre_exec(|| {
                // Whether there is a core file is no part of what is compared.
                libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 });
                Ok(())
            });
        }
        let mut child = command.spawn().unwrap();
        let (stdin, mut stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        let (send, receive) = channel();
        std::thread::spawn(move || {
            let mut text = Vec::new();
            stdout.read_to_end(&mut text).unwrap();
            // Nobody listens when a test has failed.
            let _ = send.send(text);
        });
        Victim { mode, task, ledger, trace, child, stdin, stdout: receive }
    }

    /// What is said of it when something is wrong.
    pub fn text(&self) -> String {
        format!("{:?} {:?}, {}", self.mode, self.task, self.trace.display())
    }

    /// Lets the victim end, where it waits for that.
    pub fn release(&mut self) {
        self.stdin = None;
    }

    /// Waits until all its processes are gone, and the tool too. Its pipe ends with the last of them, and a
    /// process closes it behind its last access to memory.
    #[track_caller]
    pub fn gone(&mut self) -> (ExitStatus, String) {
        self.release();
        let Ok(stdout) = self.stdout.recv_timeout(PATIENCE) else { panic!("{}: it hangs", self.text()) };
        (self.child.wait().unwrap(), String::from_utf8(stdout).unwrap())
    }

    /// Waits, busily, for what the ledger shows before long.
    #[track_caller]
    pub fn wait_for(&mut self, what: impl Fn(&Ledger) -> bool) {
        let began = std::time::Instant::now();
        while !what(&self.ledger) {
            for _ in 0..100 {
                std::hint::spin_loop();
            }
            assert!(began.elapsed() < PATIENCE, "{}: it hangs", self.text());
            assert!(self.child.try_wait().unwrap().is_none(), "{}: it ended by itself", self.text());
        }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // Ended already, unless the test failed. The pid in the ledger is that of a victim that lives, or of
        // one that its parent has not waited for, while `child` has not ended.
        if let Ok(None) = self.child.try_wait() {
            kill(self.ledger.pid());
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
        if !std::thread::panicking() {
            // A victim that was killed early enough has made none.
            let _ = std::fs::remove_file(&self.trace);
        }
    }
}

/// Kills a process that is ours.
pub fn kill(pid: u32) {
    if pid != 0 {
        // SAFETY: sends a signal.
        unsafe { libc::kill(pid as libc::pid_t, libc::SIGKILL) };
    }
}

fn compile() -> PathBuf {
    let binary = scratch("crash").join("victim");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/victim.c");
    let flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"];
    succeed(Command::new("gcc").args(flags).arg(&binary).arg(source));
    binary
}
