//! A program that runs while others do: waited for, asked, and ended.

use crate::harness::{Mode, Outcome, PATIENCE, Scratch, now_ns, wait_for};
use std::fs::{self, File};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};

/// A program that runs while others do; ended when dropped. What it starts is in its process group.
pub struct Server {
    child: Child,
    mode: Mode,
    name: String,
    began_ns: u64,
    pub stdout: PathBuf,
    pub stderr: PathBuf,
    pub trace: PathBuf,
}

impl Server {
    pub fn start(scratch: &Scratch, mode: Mode, name: &str, arguments: &[&str]) -> Server {
        Server::of_command(scratch, mode, name, scratch.command(mode, name, arguments))
    }

    pub fn of_command(scratch: &Scratch, mode: Mode, name: &str, mut command: Command) -> Server {
        let stdout = scratch.file(&format!("{name}.{}.out", mode.name()));
        let stderr = stdout.with_extension("err");
        command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        let began_ns = now_ns();
        let child = command.process_group(0).spawn().unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        let trace = scratch.trace(mode, name);
        Server { child, mode, name: name.into(), began_ns, stdout, stderr, trace }
    }

    /// What it has printed so far, stdout first.
    pub fn printed(&self) -> String {
        let text = |file| String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
        text(&self.stdout) + &text(&self.stderr)
    }

    /// Waits until it has printed a line with this text, and gives what stands behind the text there.
    #[track_caller]
    pub fn says(&mut self, text: &str) -> String {
        wait_for(&format!("{} to print {text:?}", self.name), || {
            // A line counts when it is whole.
            let printed = self.printed();
            let found = printed.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let found = found.filter(|line| !line.starts_with("sockshim["));
            let found =
                found.filter_map(|line| line.split_once(text)).map(|(_, rest)| rest.trim_end().to_owned()).next();
            if let (None, Ok(Some(status))) = (&found, self.child.try_wait()) {
                panic!("{} {:?} ended before it printed {text:?}: {status}\n{printed}", self.name, self.mode);
            }
            found
        })
    }

    /// The port in the first line with this text.
    #[track_caller]
    pub fn port(&mut self, text: &str) -> u16 {
        let rest = self.says(text);
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or_else(|_| panic!("{text:?} is followed by {rest:?}"))
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        if let Ok(Some(status)) = self.child.try_wait() {
            return status;
        }
        // SAFETY: system calls that take numbers; the descriptor is new and ours, the pollfd too.
        let ready = unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, self.child.id() as libc::pid_t, 0) as i32;
            assert!(fd >= 0, "pidfd_open: {}", std::io::Error::last_os_error());
            let _fd = OwnedFd::from_raw_fd(fd);
            let mut entry = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            libc::poll(&mut entry, 1, PATIENCE.as_millis() as i32)
        };
        assert!(ready == 1, "{} {:?} does not end\n{}", self.name, self.mode, self.printed());
        self.child.wait().unwrap()
    }

    /// Waits for its end, and gives what it did.
    pub fn outcome(mut self) -> Outcome {
        let status = self.wait();
        Outcome {
            mode: self.mode,
            name: self.name.clone(),
            status,
            stdout: fs::read(&self.stdout).unwrap(),
            stderr: String::from_utf8_lossy(&fs::read(&self.stderr).unwrap()).into_owned(),
            began_ns: self.began_ns,
            ended_ns: now_ns(),
            trace: self.trace.clone(),
        }
    }

    /// Ends it by a signal, which the tool passes on, and gives what it did.
    pub fn stop(self, signal: i32) -> Outcome {
        // SAFETY: no memory is involved, and nobody but us reaps this child.
        unsafe { libc::kill(self.child.id() as i32, signal) };
        self.outcome()
    }

    /// The pid of the program itself: the tool's child, when there is a tool.
    pub fn pid(&self) -> u32 {
        let own = self.child.id();
        if !self.mode.has_tool() {
            return own;
        }
        wait_for("the tool to start the program", || {
            let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).ok()?;
            children.split_whitespace().next()?.parse().ok()
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // SAFETY: no memory is involved; the group is that of our child, which is not reaped yet.
            unsafe { libc::kill(-(self.child.id() as i32), libc::SIGKILL) };
            _ = self.child.wait();
        }
    }
}
