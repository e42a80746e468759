//! One run of the explored program: with the shim and a trace of its own, in a process group of its own, ended when its
//! time is over.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher};
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sockshim_reader::Event;
use sockshim_reader::model::Ending;

use super::Folder;
use super::points::Called;
use crate::reading::{Opened, Run as Traced};
use crate::wait::{pidfd, wait_readable};

/// How much of what a program says is kept: the beginning of it.
const SAID: u64 = 4096;

/// The program.
pub struct Program {
    path: PathBuf,
    command: Vec<OsString>,
    preload: OsString,
    timeout: Duration,
    folder: Folder,
}

/// How a run ended, for comparing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub status: ExitStatus,
    /// A number for all of its standard output.
    pub output: u64,
}

/// A run that is over.
pub struct Run {
    pub ending: Ended,
    pub timed_out: bool,
    /// How long it may take.
    pub timeout: Duration,
    /// Processor time that it took.
    pub busy: Duration,
    /// What it said on standard error last.
    pub said: String,
    pub calls: Vec<Called>,
    /// Sockets that were never closed.
    pub left_open: usize,
}

impl Program {
    /// `command` begins with the name that the user typed, and `path` is what it means.
    pub fn new(path: PathBuf, command: &[OsString], shim: &Path, timeout: Duration) -> Result<Program> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
        let folder = std::env::temp_dir().join(format!("sockshim-explore-{}-{now:x}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("cannot make {}; set TMPDIR", folder.display()))?;
        let mut preload = shim.as_os_str().to_owned();
        if let Some(others) = std::env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
            preload.push(":");
            preload.push(others);
        }
        Ok(Program { path, command: command.to_vec(), preload, timeout, folder: Folder(folder) })
    }

    /// Runs it with a rule, or as it is.
    pub fn run(&self, number: usize, rule: Option<&str>) -> Result<Run> {
        let file = |what: &str| self.folder.0.join(format!("{number}.{what}"));
        let (trace, output, errors) = (file("sst"), file("out"), file("err"));
        let mut command = Command::new(&self.path);
        command.arg0(&self.command[0]).args(&self.command[1..]);
        command.env("LD_PRELOAD", &self.preload).env("SOCKSHIM_TRACE", &trace).env("SOCKSHIM_LOG", "off");
        command.env("SOCKSHIM_SIZE", "16M").env("SOCKSHIM_SNAPLEN", "0");
        command.env_remove("SOCKSHIM_REGION").env_remove(super::super::VARIABLE);
        if let Some(rule) = rule {
            command.env(super::super::VARIABLE, rule);
        }
        command.stdin(Stdio::null()).process_group(0);
        command.stdout(File::create(&output)?).stderr(File::create(&errors)?);
        // SAFETY: between fork and exec, one system call: a program that outlives us would go on for ever.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let child = command.spawn().with_context(|| format!("cannot run {}", self.path.display()))?;
        let (status, busy, timed_out) = wait(child, self.timeout)?;
        let ending = Ended { status, output: digest(&output)? };
        let (calls, left_open) = read(&trace)?;
        let said = last_line(&errors);
        for file in [trace, output, errors] {
            fs::remove_file(&file).or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })?;
        }
        Ok(Run { ending, timed_out, timeout: self.timeout, busy, said, calls, left_open })
    }
}

/// Waits for the end, or makes one: of the process, and of those that it has left in its group.
fn wait(child: Child, timeout: Duration) -> Result<(ExitStatus, Duration, bool)> {
    let pid = child.id() as libc::pid_t;
    let ended = pidfd(child.id());
    let begun = Instant::now();
    let over = || {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: the kernel fills in what is ours; with WNOWAIT the process stays a zombie, and its number its own.
        unsafe {
            let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
            libc::waitid(libc::P_PID, pid as libc::id_t, info.as_mut_ptr(), flags) == 0
                && info.assume_init().si_pid() != 0
        }
    };
    let mut timed_out = false;
    while !over() {
        let left = timeout.saturating_sub(begun.elapsed());
        timed_out = left.is_zero();
        if timed_out {
            break;
        }
        // Without a descriptor for the process the time is cut into pieces.
        let pause = if ended.is_some() { left } else { left.min(Duration::from_millis(10)) };
        wait_readable([ended.as_ref().map(OwnedFd::as_fd), None], pause);
    }
    let (mut status, mut usage) = (0, MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: numbers; the group is the child's own, and lives as long as the child has not been waited for.
    let waited = unsafe {
        libc::kill(-pid, libc::SIGKILL);
        libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr())
    };
    anyhow::ensure!(waited == pid, "cannot wait for the program: {}", std::io::Error::last_os_error());
    // SAFETY: wait4 has filled it in, and zeros were there before.
    let usage = unsafe { usage.assume_init() };
    let time = |t: libc::timeval| Duration::from_micros(t.tv_sec as u64 * 1_000_000 + t.tv_usec as u64);
    Ok((ExitStatus::from_raw(status), time(usage.ru_utime) + time(usage.ru_stime), timed_out))
}

/// The calls of a trace by time, and how many sockets were never closed. A program that died early has none.
fn read(trace: &Path) -> Result<(Vec<Called>, usize)> {
    if !trace.exists() {
        return Ok((Vec::new(), 0));
    }
    let mut calls = Vec::new();
    let opened = Opened::open(&Traced::only(&[trace.to_owned()]), false)?;
    let reading = opened.read(|_, event| {
        if let Event::Call(call) = event {
            calls.extend(Called::of(call));
        }
        Ok(())
    })?;
    calls.sort_by_key(|call| call.start_ns);
    // Nobody has told the trace that the process is over; but it is.
    let is_left = |ending| matches!(ending, Ending::Leaked(_) | Ending::Open);
    let left = reading.model.connections().filter(|conn| is_left(conn.ending)).count();
    Ok((calls, left))
}

fn digest(file: &Path) -> Result<u64> {
    let (mut file, mut hasher, mut buffer) = (File::open(file)?, DefaultHasher::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            n => hasher.write(&buffer[..n]),
        }
    }
}

fn last_line(file: &Path) -> String {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(SAID).read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("");
    read.map_or(String::new(), |_| crate::views::safe(OsStr::new(last).as_encoded_bytes()))
}
