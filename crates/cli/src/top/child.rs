//! The program that top runs: under a `sockshim run` of its own, which writes the trace that top reads.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::follow::Follower;
use crate::flags::Top;
use crate::wait::{pidfd, wait_readable};

/// What is printed of the program's output when top ends.
const MOST_OUTPUT: u64 = 64 << 10;
/// A temporary trace is no larger.
const KEEP: &str = "256M";
/// How long a program may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether the trace is there.
const SOON: Duration = Duration::from_millis(5);

/// The program, and the files around it.
pub struct Program {
    run: Child,
    exited: Option<OwnedFd>,
    ended: Option<ExitStatus>,
    trace: PathBuf,
    /// Its output, and whether that was asked for as a file.
    log: PathBuf,
    keeps_log: bool,
    /// What is temporary is there as long as this.
    _folder: Folder,
}

/// A folder for what is temporary.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // If it cannot be removed there is nothing better to do than to leave it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Program {
    /// Starts it.
    pub fn start(flags: &Top) -> Result<Program> {
        let nonce = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.subsec_nanos());
        let path = std::env::temp_dir().join(format!("sockshim-top-{}-{nonce:08x}", std::process::id()));
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make the folder {}; set TMPDIR to one that has room", path.display()))?;
        let folder = Folder(path);
        let trace = flags.output.clone().unwrap_or_else(|| folder.0.join("trace.sst"));
        let log = flags.log.clone().unwrap_or_else(|| folder.0.join("output"));
        let out =
            File::create(&log).with_context(|| format!("cannot write the program's output to {}", log.display()))?;
        let err = out.try_clone().context("cannot share the file of the program's output")?;
        let tool = std::env::current_exe().context("cannot find the file of this tool, which runs the program")?;
        let mut run = Command::new(tool);
        run.args(["run", "-q", "-o"]).arg(&trace);
        if flags.output.is_none() {
            run.args(["--keep", KEEP]);
        }
        run.arg("--").args(&flags.command).stdin(Stdio::null()).stdout(out).stderr(err);
        // Keys that the terminal makes signals of are for us.
        run.process_group(0);
        // One that was there before is not to be taken for the new one.
        if flags.output.is_some() && sockshim_reader::Trace::open(&trace).is_ok() {
            fs::remove_file(&trace).with_context(|| format!("cannot replace the trace {}", trace.display()))?;
        }
        let run = run.spawn().context("cannot run the program")?;
        let exited = pidfd(run.id());
        Ok(Program { run, exited, ended: None, trace, log, keeps_log: flags.log.is_some(), _folder: folder })
    }

    /// Waits until there is a trace. If the program could not be run, gives the exit status that says why.
    pub fn trace(&mut self) -> Result<Result<Follower, ExitStatus>> {
        loop {
            let ended = self.ended();
            match (Follower::open(&self.trace), ended) {
                (Ok(follower), _) => return Ok(Ok(follower)),
                (Err(_), Some(status)) => return Ok(Err(status)),
                (Err(_), None) => self.wait(SOON),
            }
        }
    }

    fn wait(&self, time: Duration) {
        wait_readable([self.exited.as_ref().map(|fd| fd.as_fd()), None], time);
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.run.try_wait().ok().flatten();
        }
        self.ended
    }

    /// How it ended, in words.
    pub fn words(&mut self) -> Option<String> {
        let status = self.ended()?;
        let how = match (status.code(), status.signal()) {
            (Some(0), _) => "ended".to_owned(),
            (Some(code), _) => format!("ended with exit status {code}"),
            (None, Some(signal)) => {
                let name = Signal::try_from(signal).map_or_else(|_| signal.to_string(), |signal| signal.to_string());
                format!("was killed by {name}")
            }
            (None, None) => "is gone".to_owned(),
        };
        let log = if self.keeps_log { format!(": its output is in {}", self.log.display()) } else { String::new() };
        Some(format!("The program {how}{log}. q quits."))
    }

    /// Ends it if it still runs, and prints what it wrote.
    pub fn finish(mut self) -> Result<()> {
        if self.ended().is_none() {
            // It has not been waited for, so the number is its own.
            let _ = kill(Pid::from_raw(self.run.id() as i32), Signal::SIGTERM);
            self.wait(PATIENCE);
            if self.ended().is_none() {
                let pid = self.run.id();
                crate::reading::warn(format!("the program did not end when it was asked to: kill -9 {pid} would"))?;
            }
        }
        if self.keeps_log { Ok(()) } else { self.print_output() }
    }

    /// The end of what it wrote.
    pub fn print_output(&self) -> Result<()> {
        let mut file = open(&self.log)?;
        let bytes = file.metadata().map_or(0, |meta| meta.len());
        let from = bytes.saturating_sub(MOST_OUTPUT);
        if from > 0 {
            crate::reading::note(format!("of the program's output the last {}:", crate::views::bytes(MOST_OUTPUT)))?;
            file.seek(SeekFrom::Start(from)).context("cannot read the program's output")?;
        }
        let mut text = Vec::new();
        file.take(MOST_OUTPUT).read_to_end(&mut text).context("cannot read the program's output")?;
        let mut out = io::stdout().lock();
        out.write_all(&text).and_then(|()| out.flush())?;
        Ok(())
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("cannot read the program's output in {}", path.display()))
}
