//! Runs programs in every way, and compares what they do.

use crate::recorded::Recorded;
use crate::server::Server;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long anything may take: the slowest program needs two seconds.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How a program is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Without us.
    Native,
    /// Preloaded, told to do nothing visible.
    Off,
    /// Preloaded, with the text log on its stderr.
    Text,
    /// Preloaded, with a region file as its trace.
    Region,
    /// By the tool.
    Run,
    /// By the tool, which compares it with what the kernel was asked. Not one of `ALL`: it is slow.
    Verify,
}

impl Mode {
    /// All of them, the one that the others are compared with first.
    pub const ALL: [Mode; 5] = [Mode::Native, Mode::Off, Mode::Text, Mode::Region, Mode::Run];

    /// As a part of file names.
    pub fn name(self) -> &'static str {
        ["native", "off", "text", "region", "run", "verify"][self as usize]
    }

    /// Whether the tool runs the program.
    pub fn has_tool(self) -> bool {
        matches!(self, Mode::Run | Mode::Verify)
    }
}

/// The directories of PATH, and those in which Debian keeps servers.
fn path() -> OsString {
    let mut folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    folders.extend(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from));
    std::env::join_paths(folders).unwrap()
}

/// Where a program is.
pub fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&path())
        .map(|folder| folder.join(program))
        .find(|file| file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0))
}

/// Says that a test cannot do its work here, and why.
pub fn skipped(name: &str, reason: &str) {
    println!("SKIPPED: {name}: {reason}");
    let required = std::env::var_os("SOCKSHIM_REQUIRE_PROGRAMS").is_some_and(|value| value == "1");
    assert!(!required, "{name}: {reason}, and SOCKSHIM_REQUIRE_PROGRAMS=1 asks for all of them");
}

/// Whether the programs of a Debian package are here; if not, says so.
pub fn installed(package: &str, programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| find(program).is_none());
    if let Some(program) = missing {
        skipped(program, &format!("{package} is not installed"));
    }
    missing.is_none()
}

/// The tool.
fn tool() -> PathBuf {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/sockshim");
    let tool = std::env::var_os("SOCKSHIM_TOOL").map_or(ours, PathBuf::from);
    assert!(tool.is_file(), "{} is not there: run `make build` first", tool.display());
    fs::canonicalize(tool).unwrap()
}

/// The shim that the tool uses.
pub fn shim() -> PathBuf {
    let output = Command::new(tool()).arg("lib").output().unwrap();
    assert!(output.status.success(), "sockshim lib: {output:?}");
    PathBuf::from(OsStr::new(String::from_utf8(output.stdout).unwrap().trim_end()))
}

/// The tool and its shim where every user can reach them.
pub fn copy_of_tool(scratch: &Scratch) -> PathBuf {
    let copy = scratch.file("sockshim");
    fs::copy(tool(), &copy).unwrap();
    fs::copy(shim(), scratch.file("libsockshim.so")).unwrap();
    copy
}

/// A port that nobody listens on, out of the range from which the kernel takes those of clients, and
/// given to no other test of this process. Other processes begin elsewhere.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + (number % 20_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("::1", port)).is_ok() {
            return port;
        }
    }
}

/// A folder of its own for a test, which servers that drop their privileges can enter.
pub struct Scratch {
    /// Its path.
    pub path: PathBuf,
    /// Bytes of payload that the tool is told to keep; what it keeps by itself if empty.
    snaplen: &'static str,
}

impl Scratch {
    pub fn new(test: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("sockshim-real-{}-{test}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        Scratch { path, snaplen: "" }
    }

    /// For a test that compares all the payload.
    pub fn keeping_payload(test: &str) -> Scratch {
        let mut scratch = Scratch::new(test);
        scratch.snaplen = "65535";
        scratch
    }

    /// A path in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file in it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let file = self.file(name);
        fs::write(&file, content).unwrap();
        file
    }

    /// A program, in one of the ways, with the environment that all of these tests have. `name` is
    /// that of its files.
    pub fn command(&self, mode: Mode, name: &str, arguments: &[&str]) -> Command {
        let trace = self.trace(mode, name);
        // One with a slash is found from where it runs.
        let program = if arguments[0].contains('/') { self.file(arguments[0]) } else { find(arguments[0]).unwrap() };
        let mut command = if mode.has_tool() {
            let mut command = Command::new(tool());
            command.args(["run", "-q"]);
            if mode == Mode::Verify {
                command.arg("--verify");
            }
            if !self.snaplen.is_empty() {
                command.args(["--snaplen", self.snaplen]);
            }
            command.arg("-o").arg(&trace).arg("--").arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(&arguments[1..]).current_dir(&self.path).env_clear();
        command.env("PATH", path()).env("HOME", &self.path).env("LC_ALL", "C");
        if mode != Mode::Native && !mode.has_tool() {
            command.env("LD_PRELOAD", shim());
        }
        match mode {
            Mode::Off => _ = command.env("SOCKSHIM_LOG", "off"),
            Mode::Region => _ = command.env("SOCKSHIM_TRACE", &trace),
            _ => {}
        }
        command.stdin(Stdio::null());
        command
    }

    /// Where a program's trace goes.
    pub fn trace(&self, mode: Mode, name: &str) -> PathBuf {
        self.file(&format!("{name}.{}.sst", mode.name()))
    }

    /// Runs a program to its end.
    pub fn run(&self, mode: Mode, name: &str, arguments: &[&str]) -> Outcome {
        self.finish(mode, name, self.command(mode, name, arguments))
    }

    /// Runs a command that [`Scratch::command`] has made to its end.
    pub fn finish(&self, mode: Mode, name: &str, command: Command) -> Outcome {
        Server::of_command(self, mode, name, command).outcome()
    }

    /// Runs a client in every way, one after the other, and compares stdout and status with what they
    /// are without us, and stderr too. `arguments` may differ in what differs natively from run to
    /// run, such as the name of an output file. Gives the run without us and the one by the tool.
    pub fn everywhere(&self, name: &str, arguments: impl Fn(Mode) -> Vec<String>) -> [Outcome; 2] {
        let outcomes = Mode::ALL.map(|mode| {
            let arguments = arguments(mode);
            self.run(mode, name, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
        });
        let [native, others @ ..] = &outcomes;
        others.iter().for_each(|outcome| outcome.is_like(native));
        let recorded = Recorded::of_region(&outcomes[3]);
        assert!(!recorded.calls.is_empty(), "{name}: the region file holds no calls");
        let [native, .., run] = outcomes;
        [native, run]
    }
}

impl Drop for Scratch {
    /// What a failed test leaves is for whoever wants to know why.
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("kept: {}", self.path.display());
        } else {
            _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// What a run of a program gave.
pub struct Outcome {
    pub mode: Mode,
    pub name: String,
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
    /// When it began, in nanoseconds since the epoch.
    pub began_ns: u64,
    /// When it was seen to have ended.
    pub ended_ns: u64,
    pub trace: PathBuf,
}

impl Outcome {
    /// Its stdout, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Asserts that it ended well.
    #[track_caller]
    pub fn is_good(&self) -> &Outcome {
        self.exited(0)
    }

    /// Asserts how it ended.
    #[track_caller]
    pub fn exited(&self, code: i32) -> &Outcome {
        let Outcome { mode, name, status, stderr, .. } = self;
        assert_eq!(status.code(), Some(code), "{name} {mode:?}: {status}\n{}{stderr}", self.text());
        self
    }

    /// Asserts that it behaved as another run did: status, stdout, and stderr without our own lines.
    #[track_caller]
    pub fn is_like(&self, native: &Outcome) {
        self.differs_in_stderr(native);
        let ours = |line: &&str| !line.starts_with("sockshim[");
        let stderr = |of: &Outcome| of.stderr.lines().filter(ours).map(steady).collect::<Vec<_>>();
        assert_eq!(stderr(self), stderr(native), "another stderr: {} {:?}", self.name, self.mode);
    }

    /// The same for a program whose stderr is not the same twice.
    #[track_caller]
    pub fn differs_in_stderr(&self, native: &Outcome) {
        let Outcome { mode, name, status, stdout, stderr, .. } = self;
        assert_eq!(*status, native.status, "{name} {mode:?} ended otherwise\n{stderr}");
        let same = *stdout == native.stdout;
        assert!(same, "another stdout: {name} {mode:?}\n{}\n--- native\n{}", self.text(), native.text());
    }
}

/// A line of stderr without what differs from run to run natively: numbers, which are ports, pids,
/// times and durations there.
fn steady(line: &str) -> String {
    without_numbers(line)
}

/// Text with each number in it, fractions included, as `#`.
pub fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' if out.ends_with('#') => {}
            '0'..='9' => out.push('#'),
            '.' if out.ends_with('#') => {}
            c => out.push(c),
        }
    }
    out
}

/// Looks again and again until there is something.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// Bytes that no compression makes shorter, the same in every run.
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        // xorshift64 (Marsaglia 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(len).collect()
}
