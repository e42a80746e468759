//! Faults on demand, in real programs: what a rule says happens, to the calls that it means and to no other; the trace
//! knows, and the story tells it as injected. Where a rule means what strace's means, strace is asked.

#[path = "../support/built.rs"]
mod built;
#[path = "../support/http_server.rs"]
mod http_server;
#[path = "../support/there.rs"]
mod there;

mod calls;
mod datagrams;
mod explore;
mod programs;
mod received;
mod strace;
mod streams;

use built::{scratch, succeed, tool};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::Mutex;

/// A server of files, ended with the test.
pub struct Web {
    child: Child,
    /// `127.0.0.1:40331`.
    pub address: String,
}

impl Web {
    /// One that has `a.txt`, with `hello` in it. `None` if there is no python; that is printed.
    pub fn start(test: &str) -> Option<Web> {
        if !there::there("python3") {
            return None;
        }
        let folder = scratch(test);
        std::fs::write(folder.join("a.txt"), "hello\n").unwrap();
        let (child, port) = http_server::http_server(&folder).expect("the server says its port");
        Some(Web { child, address: format!("127.0.0.1:{port}") })
    }

    /// The page.
    pub fn page(&self) -> String {
        format!("http://{}/a.txt", self.address)
    }

    /// `40331`.
    pub fn port(&self) -> &str {
        self.address.rsplit(':').next().unwrap()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A run with rules: how it ended, and its trace.
pub struct Ran {
    /// What it said, and how it ended.
    pub output: Output,
    trace: PathBuf,
}

/// Runs a command with these rules. `test` names its trace.
pub fn inject(test: &str, rules: &[&str], command: &[&str]) -> Ran {
    let trace = scratch("inject").join(format!("{test}.sst"));
    let mut run = Command::new(tool());
    run.args(["run", "-q", "--snaplen", "64", "-o"]).arg(&trace);
    rules.iter().for_each(|rule| {
        run.args(["--inject", rule]);
    });
    let output = run.arg("--").args(command).output().unwrap();
    Ran { output, trace }
}

impl Ran {
    /// Its exit status.
    pub fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    /// What it printed.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    fn told(&self, verb: &[&str]) -> String {
        let output = succeed(Command::new(tool()).args(verb).arg(&self.trace));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The lines of `show` that have this in them.
    pub fn lines(&self, part: &str) -> Vec<String> {
        self.told(&["show"]).lines().filter(|line| line.contains(part)).map(str::to_owned).collect()
    }

    /// The report, in one line.
    pub fn report(&self) -> String {
        self.told(&["report"]).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// How many calls have a fault, as the exported trace has it.
    pub fn injected(&self) -> usize {
        let lines = self.told(&["export", "--format", "jsonl"]);
        lines.lines().filter(|line| line.contains("\"sockshim.injected\":[")).count()
    }
}

/// A C program of this folder, built once: another test may be running it.
pub fn c_program(name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut built = BUILT.lock().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inject").join(name).with_extension("c");
    let binary = scratch("inject").join(name);
    if built.insert(name.to_owned()) {
        succeed(Command::new("gcc").args(["-Wall", "-Werror", "-O1", "-o"]).arg(&binary).arg(&source).arg("-lresolv"));
    }
    binary
}
