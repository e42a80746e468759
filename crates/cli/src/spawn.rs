//! Runs the traced program as the person's shell would have run it, and ends as it ended.
//!
//! Same descriptors, same process group, same ignored signals and signal mask, and the same
//! environment in the same order but for LD_PRELOAD and what the caller adds: the output of `env`
//! should differ by our lines and nothing else. Signals 32 and 33 cannot be kept: glibc has them to
//! itself once there are threads.

mod signals;
#[cfg(test)]
mod tests;

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int, c_void};
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

use signals::Inherited;
pub use signals::{prepare as prepare_signals, signal_after_exit};

use crate::shim;
use crate::target::{Refusal, Target};
use crate::verify::Verifier;

const PRELOAD: &str = "LD_PRELOAD";

/// A variable of the environment.
pub type Variable = (OsString, OsString);

/// The traced program, running or just ended. One at a time: signals are forwarded to the latest.
#[derive(Debug)]
pub struct Child {
    pid: libc::pid_t,
    /// How it ended, when that has been asked.
    status: Option<ExitStatus>,
}

/// Starts the program with `shim` first in LD_PRELOAD and `variables` in its environment, under
/// strace if there is a `verifier`. `argv` begins with the name that the user typed. From here on the tool forwards to it the signals
/// that were sent to the tool alone.
///
/// # Errors
///
/// The file changed since it was inspected, or there is no memory or process left for it.
pub fn spawn(
    target: &Target,
    argv: &[OsString],
    shim: &Path,
    variables: &[Variable],
    verifier: Option<&Verifier>,
) -> Result<Child, Refusal> {
    let refuse = |error: io::Error| Refusal { file: target.path.clone(), interpreter_of: None, reason: error.into() };
    let ours = with_preload(std::env::var_os(PRELOAD), shim, variables);
    let program = match verifier {
        None => Program::new(&target.path, argv, environ(), &ours),
        Some(verifier) => Program::new(verifier.strace(), &verifier.command(argv, &ours), environ(), &[]),
    };
    let program = program.map_err(refuse)?;
    let inherited = Inherited::take().map_err(refuse)?;
    let spawned = program.start(&inherited);
    if let Ok(pid) = &spawned {
        signals::forward_to(*pid);
    }
    inherited.restore_mask();
    Ok(Child { pid: spawned.map_err(refuse)?, status: None })
}

impl Child {
    /// The process id of the program.
    pub fn id(&self) -> u32 {
        self.pid as u32
    }

    /// How the program ended, if it has.
    pub fn wait_nonblocking(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.has_ended(libc::WNOHANG)? { self.reap().map(Some) } else { Ok(None) }
    }

    /// Waits until the program ends.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        while !self.has_ended(0)? {}
        self.reap()
    }

    /// How it ended, now that it has.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let mut status = 0;
        // SAFETY: the status is ours. The process is a zombie, so this returns at once.
        if unsafe { libc::waitpid(self.pid, &raw mut status, 0) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(*self.status.insert(ExitStatus::from_raw(status)))
    }

    /// Leaves the process a zombie until forwarding has stopped: after that its number may be
    /// somebody else's. (nix's `waitid` is of no use, it knows no real-time signals.)
    fn has_ended(&self, flags: c_int) -> io::Result<bool> {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        let flags = flags | libc::WEXITED | libc::WNOWAIT;
        // SAFETY: `info` is ours, and all zeros is a valid siginfo_t, which the kernel fills in or
        // leaves as it is.
        let (result, pid) =
            unsafe { (libc::waitid(libc::P_PID, self.id(), info.as_mut_ptr(), flags), info.assume_init().si_pid()) };
        match (result == 0).then_some(pid).ok_or_else(io::Error::last_os_error) {
            Ok(0) => return Ok(false),
            Ok(_) => {}
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR) => return Ok(false),
                // We were here before, and remember the answer.
                Some(libc::ECHILD) if self.status.is_some() => {}
                _ => return Err(error),
            },
        }
        signals::forward_to_nobody(self.id() as i32);
        Ok(true)
    }
}

/// Ends the tool as the program ended: with its exit code, or by the signal that killed it, so
/// that a shell stops its loop after ^C and prints what it always prints.
pub fn exit_like(status: ExitStatus) -> ! {
    let _ = io::stdout().flush();
    let Some(signal) = status.signal() else { std::process::exit(status.code().unwrap_or(1)) };
    // The program has left its core; ours would bury it. RLIMIT_CORE would not do: it does not
    // count where /proc/sys/kernel/core_pattern is a pipe.
    let _ = nix::sys::prctl::set_dumpable(false);
    signals::die_of(signal);
    // Still here as process 1 of a container, which no signal of its own kills.
    std::process::exit(128 + signal)
}

/// What a child needs before it becomes the program.
struct Start<'a> {
    program: &'a Program,
    inherited: &'a Inherited,
    /// Why it could not.
    error: AtomicI32,
}

extern "C" fn in_child(start: *mut c_void) -> c_int {
    // SAFETY: `Program::start` passes a `Start`, and waits.
    let start = unsafe { &*start.cast::<Start<'_>>() };
    start.inherited.restore();
    let error = start.program.execute();
    start.error.store(error.raw_os_error().unwrap_or(libc::EINVAL), SeqCst);
    // SAFETY: ends this process alone, and runs nothing of our own at that.
    unsafe { libc::_exit(127) }
}

/// What `execve` takes, laid out before there is a child.
struct Program {
    path: CString,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    /// What the pointers point to; never touched again.
    _strings: [Vec<CString>; 2],
}

impl Program {
    /// `theirs` is what was in the environment, `ours` what is to be in it.
    fn new(
        path: &Path,
        argv: &[OsString],
        theirs: impl Iterator<Item = &'static CStr>,
        ours: &[Variable],
    ) -> io::Result<Program> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let argv = argv.iter().map(|word| CString::new(word.as_bytes())).collect::<Result<Vec<_>, _>>()?;
        let pair = |(name, value): &Variable| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat());
        let pairs = ours.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
        let pointers = |strings: &[&CStr]| strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect();
        let words: Vec<&CStr> = argv.iter().map(CString::as_c_str).collect();
        let (argv_pointers, envp) = (pointers(&words), pointers(&environment(theirs, &pairs)));
        Ok(Program { path, argv: argv_pointers, envp, _strings: [argv, pairs] })
    }

    /// Starts it as vfork(2) does: without a copy of our memory, which would cost a third of a millisecond to make and
    /// to drop. posix_spawn(3) does that too, but leaves signals 32 and 33 ignored, and can leave no other so.
    fn start(&self, inherited: &Inherited) -> io::Result<libc::pid_t> {
        const STACK_BYTES: usize = 32 << 10;
        let start = Start { program: self, inherited, error: AtomicI32::new(0) };
        let mut stack = Vec::<MaybeUninit<u128>>::with_capacity(STACK_BYTES / size_of::<u128>());
        // SAFETY: the end of the stack, which grows downwards, and is aligned as an u128 is. The child runs on it, in our
        // memory, while this thread sleeps until it has become the program or is gone; `start` and the stack live that
        // long. What it calls allocates nothing, and the handlers that it sets are its own process's.
        let pid = unsafe {
            let top = stack.as_mut_ptr().add(stack.capacity());
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
            libc::clone(in_child, top.cast(), flags, (&raw const start).cast_mut().cast())
        };
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        match start.error.load(SeqCst) {
            0 => Ok(pid),
            error => {
                // SAFETY: our own child, which has ended; nobody asks how.
                unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
                Err(io::Error::from_raw_os_error(error))
            }
        }
    }

    /// Becomes the program; returns only if that fails.
    fn execute(&self) -> io::Error {
        // SAFETY: `new` ended every string with a zero and both arrays with a null pointer.
        unsafe { libc::execve(self.path.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr()) };
        io::Error::last_os_error()
    }
}

/// The variables that the program gets from us, LD_PRELOAD first.
fn with_preload(preloaded: Option<OsString>, shim: &Path, variables: &[Variable]) -> Vec<Variable> {
    let preload = (PRELOAD.into(), preload(shim, &preloaded.unwrap_or_default()));
    [&[preload], variables].concat()
}

/// What is in our own environment. Nobody changes that.
fn environ() -> impl Iterator<Item = &'static CStr> {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    // SAFETY: libc's, an array of strings with a null pointer behind them; no thread of ours ever sets a variable.
    unsafe {
        let mut at = environ;
        std::iter::from_fn(move || {
            let entry = (!at.is_null() && !(*at).is_null()).then(|| CStr::from_ptr(*at))?;
            at = at.add(1);
            Some(entry)
        })
    }
}

/// The environment of the program: what was in it, as it was and in its place, but for the `NAME=value` in `ours`.
fn environment<'a>(theirs: impl Iterator<Item = &'static CStr>, ours: &'a [CString]) -> Vec<&'a CStr> {
    let name = |entry: &'a CStr| entry.to_bytes().split(|byte| *byte == b'=').next();
    let mut left: Vec<&CStr> = ours.iter().map(CString::as_c_str).collect();
    let mut all: Vec<&CStr> = Vec::with_capacity(128);
    for entry in theirs {
        let replaced = left.iter().position(|ours| name(ours) == name(entry));
        all.push(replaced.map_or(entry, |i| left.remove(i)));
    }
    all.extend(left);
    all
}

/// The shim goes first, so that it sees what the other libraries answer. Another copy of it, left
/// by a `sockshim run` around this one, would record every call twice and goes away.
fn preload(shim: &Path, others: &OsStr) -> OsString {
    let is_shim = |other: &[u8]| {
        Path::new(OsStr::from_bytes(other)).file_name().and_then(OsStr::to_str).is_some_and(shim::is_shim)
    };
    let mut list = shim.as_os_str().as_bytes().to_vec();
    for other in others.as_bytes().split(|byte| b" :".contains(byte)) {
        if !other.is_empty() && !is_shim(other) {
            list.push(b':');
            list.extend(other);
        }
    }
    OsString::from_vec(list)
}
