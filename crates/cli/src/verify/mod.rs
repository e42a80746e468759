//! `sockshim run --verify`: compares what was recorded with what the kernel was asked.
//!
//! The program runs under strace, which tells each system call with its stack. The stack says by
//! which way the call was made, and so whether it has to be in the trace:
//!
//! ```text
//! strace    what strace writes, read           symbols   which public function an address lies in
//! way       through the shim, or around it     programs  which program runs where
//! records   what of the trace is compared      align     which record belongs to which call
//! compare   the two sides of each call         address   in one form for both
//! report    for people
//! ```

mod address;
mod align;
mod compare;
mod programs;
mod records;
pub mod report;
mod strace;
mod symbols;
#[cfg(test)]
mod tests;
mod way;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sockshim_reader::Event;

pub use compare::Comparison;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use records::Records;
use strace::{Account, TRACED};

use crate::spawn;

/// What strace may tell before it is stopped.
const MOST_BYTES: u64 = 2 << 30;

/// The files of strace in its folder are this, and the number of a task.
const PREFIX: &str = "t";

/// An audit that is going on.
#[derive(Debug)]
pub struct Verifier {
    strace: PathBuf,
    folder: PathBuf,
    records: Records,
}

impl Verifier {
    /// Makes sure that strace is there, may trace, and can tell stacks.
    pub fn begin() -> Result<Verifier> {
        let strace =
            find("strace").context("--verify needs strace, which is not installed (apt-get install strace)")?;
        let folder = make_folder().context("cannot make a folder for what strace tells")?;
        let verifier = Verifier { strace, folder, records: Records::default() };
        verifier.try_it()?;
        Ok(verifier)
    }

    /// Traces a program of ours that does next to nothing.
    fn try_it(&self) -> Result<()> {
        let file = self.folder.join("try");
        let tool = std::env::current_exe().context("cannot find the file of this tool")?;
        let mut command = Command::new(&self.strace);
        command.args(["-k", "-e", "trace=write", "-o"]).arg(&file).arg("--").arg(tool).arg("--version");
        let output = command.stdin(Stdio::null()).output().with_context(|| self.strace.display().to_string())?;
        let told = fs::read(&file).unwrap_or_default();
        let _ = fs::remove_file(&file);
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().next().unwrap_or_default();
            bail!("--verify needs strace, which cannot trace here: {said}\n{}", remedy(said));
        }
        if !told.split(|byte| *byte == b'\n').any(|line| line.starts_with(b" > ")) {
            bail!("--verify needs a strace that tells stacks (-k); {} does not", self.strace.display());
        }
        Ok(())
    }

    /// strace itself.
    pub fn strace(&self) -> &Path {
        &self.strace
    }

    /// The command that runs `argv` under strace, with these variables in its environment and not in
    /// strace's.
    ///
    /// With -D the program is our own child, as it is without strace: its parent, its signals and its
    /// end are what they are.
    pub fn command(&self, argv: &[OsString], variables: &[(OsString, OsString)]) -> Vec<OsString> {
        let mut command: Vec<OsString> = ["strace", "-D", "-f", "-ff", "-k", "-y", "-e", "signal=none", "-e"]
            .into_iter()
            .chain([TRACED, "-o"])
            .map(OsString::from)
            .collect();
        command.push(self.folder.join(PREFIX).into());
        for (name, value) in variables {
            let mut pair = name.clone();
            pair.push("=");
            pair.push(value);
            command.extend(["-E".into(), pair]);
        }
        command.push("--".into());
        command.extend_from_slice(argv);
        command
    }

    /// Takes in what was recorded.
    pub fn event(&mut self, event: &Event) {
        self.records.event(event);
    }

    /// Waits for strace to end, which stays until all processes have, and compares.
    pub fn compare(self) -> Result<Comparison> {
        // Somebody who sends another signal has waited enough.
        while !named(&self.folder).is_empty() && spawn::signal_after_exit().is_none() {
            if self.tells_too_much() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.tells_too_much() {
            bail!("strace told more than {} GiB, so it was stopped: verify a shorter run", MOST_BYTES >> 30);
        }
        let account = Account::read(&self.folder, PREFIX).context("cannot read what strace has told")?;
        Ok(compare::compare(&account, &self.records))
    }

    /// Whether strace has filled so much of the disk that it has to be stopped. Of a stack that the
    /// program has overwritten it may tell without end.
    pub fn tells_too_much(&self) -> bool {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let bytes: u64 = files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum();
        if bytes > MOST_BYTES {
            stop(&self.folder);
        }
        bytes > MOST_BYTES
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        // It would go on writing to files that nobody sees.
        stop(&self.folder);
        // What cannot be removed is left.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What to do about it.
fn remedy(said: &str) -> &'static str {
    if said.contains("not permitted") || said.contains("ptrace") {
        "ptrace has to be allowed: --cap-add=SYS_PTRACE for a container, kernel.yama.ptrace_scope below 3"
    } else {
        "run `strace -k true` to see more"
    }
}

/// The processes that have the folder in their command line: strace, as long as it runs. It is nobody's
/// child, so it cannot be waited for.
fn named(folder: &Path) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let folder = folder.as_os_str().as_bytes();
    let pid = |process: fs::DirEntry| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let line = fs::read(process.path().join("cmdline")).ok()?;
        line.windows(folder.len()).any(|part| part == folder).then(|| Pid::from_raw(pid))
    };
    processes.flatten().filter_map(pid).collect()
}

/// Ends strace. What it traced goes on.
fn stop(folder: &Path) {
    for pid in named(folder) {
        // It may have ended by itself meanwhile.
        let _ = kill(pid, Signal::SIGKILL);
    }
}

/// A folder for strace's files. Other users may run in the program, but strace stays ours.
fn make_folder() -> std::io::Result<PathBuf> {
    let nanoseconds = std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.subsec_nanos());
    let folder = std::env::temp_dir().join(format!("sockshim-verify-{}-{nanoseconds:08x}", std::process::id()));
    std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o700).create(&folder)?;
    std::path::absolute(folder)
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsStr::new("/usr/bin:/bin").to_owned());
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
