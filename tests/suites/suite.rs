//! A suite in one of its ways of running, and what became of each of its tests.

use crate::built::{shim, tool};
use sockshim_reader::order::Events;
use sockshim_reader::{Event, Tail, Trace};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a suite may take: the slowest takes three minutes where it has a processor for itself.
const PATIENCE: Duration = Duration::from_secs(900);
/// Bytes of a region that nobody drains: several times what the most talkative suite fills.
const REGION_BYTES: &str = "256M";

/// How a suite is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Without us.
    Native,
    /// By the tool.
    Run,
    /// Preloaded, with a region file as its trace.
    Region,
}

/// A program that runs tests and writes what became of them, `id<TAB>outcome` a line.
pub struct Suite {
    /// What people call it.
    pub name: String,
    /// The program and its arguments up to the file for the outcomes.
    pub program: Vec<OsString>,
    /// Arguments behind it for a run of everything.
    pub everything: Vec<OsString>,
    /// What stands in front of the id of each test that is to run alone.
    pub only: &'static str,
    /// Arguments behind it that every run has, in front of the ids.
    pub always: Vec<OsString>,
}

/// What a run gave.
#[derive(Default)]
pub struct Ran {
    /// By test. An empty outcome is that of a test that began and never ended.
    pub outcomes: BTreeMap<String, String>,
    /// How many calls are on record.
    pub calls: u64,
    /// What is wrong with the run as a whole, or with its trace.
    pub wrong: Vec<String>,
    /// Where the files of the run are.
    pub folder: PathBuf,
}

impl Suite {
    /// Runs all of its tests, or some by id.
    pub fn run(&self, way: Way, only: &[&str]) -> Ran {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        // A short path: tests make Unix sockets in it.
        let number = RUNS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("sockshim-suites-{}-{number}", std::process::id()));
        // Where it runs is none of our files: tests watch what happens there.
        fs::create_dir_all(folder.join("tmp")).unwrap();
        fs::create_dir_all(folder.join("here")).unwrap();
        let (outcomes, trace) = (folder.join("outcomes"), folder.join("trace.sst"));
        let mut command = self.command(way, &folder, &trace);
        command.arg(&outcomes).args(&self.always);
        if only.is_empty() {
            command.args(&self.everything);
        }
        command.args(only.iter().map(|id| format!("{}{id}", self.only)));
        let said = File::create(folder.join("said")).unwrap();
        command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        let child = command.process_group(0).spawn().unwrap_or_else(|e| panic!("{}: {e}", self.name));

        let mut ran = Ran { folder, ..Ran::default() };
        ran.wrong.extend(self.end(child));
        let lines = fs::read_to_string(&outcomes).unwrap_or_default();
        ran.outcomes =
            lines.lines().filter_map(|line| line.split_once('\t')).map(|(id, o)| (id.into(), o.into())).collect();
        if way != Way::Native {
            match calls(&trace, way) {
                Ok(calls) => ran.calls = calls,
                Err(wrong) => ran.wrong.push(wrong),
            }
        }
        ran
    }

    /// The command up to the file for the outcomes.
    fn command(&self, way: Way, folder: &Path, trace: &Path) -> Command {
        let mut command = if way == Way::Run {
            let mut command = Command::new(tool());
            command.args(["run", "-q", "-o"]).arg(trace).arg("--").arg(&self.program[0]);
            command
        } else {
            Command::new(&self.program[0])
        };
        command.args(&self.program[1..]).current_dir(folder.join("here")).env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
        command.env("HOME", folder).env("TMPDIR", folder.join("tmp"));
        // libuv gives most of its tests five seconds, which is not enough for all on a busy machine.
        command.env("UV_RUN_AS_ROOT", "1").env("UV_TEST_TIMEOUT_MULTIPLIER", "10");
        if way == Way::Region {
            command.env("LD_PRELOAD", shim()).env("SOCKSHIM_TRACE", trace).env("SOCKSHIM_SIZE", REGION_BYTES);
        }
        command
    }

    /// Waits for it, and tells what is wrong with how it ended.
    fn end(&self, mut child: Child) -> Option<String> {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > PATIENCE {
                // SAFETY: no memory is involved; the process group is that of our child, which has not been waited for.
                unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
                child.wait().unwrap();
                return Some(format!("not over after {PATIENCE:?}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        (!status.success()).then(|| format!("ended with {status}"))
    }
}

/// How many calls a trace holds, or what is wrong with it.
fn calls(file: &Path, way: Way) -> Result<u64, String> {
    let mut events = Events::new(Trace::open(file).map_err(|e| format!("the trace: {e}"))?);
    let (mut calls, mut processes) = (0, 0);
    for event in events.by_ref() {
        let event = event.map_err(|e| format!("the trace: {e}"))?;
        calls += u64::from(matches!(event, Event::Call(_)));
        processes += u64::from(matches!(event, Event::Process(_)));
    }
    let trace = events.trace();
    let whole = match trace.tail() {
        Tail::Ended(_) => way == Way::Run,
        Tail::Region { .. } => way == Way::Region,
        _ => false,
    };
    let (lost, damaged) = (trace.lost().unwrap_or((0, 0)), trace.damaged_bytes());
    if !whole || lost != (0, 0) || damaged != 0 || processes == 0 {
        let tail = trace.tail();
        return Err(format!("the trace: {tail:?}, lost {lost:?}, {damaged} bytes damaged, {processes} processes"));
    }
    Ok(calls)
}
