//! The programs of `c-tests/`: what they say of themselves, how they are built and run.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Exit status of a program that cannot do on this machine what it is about.
pub const SKIP: i32 = 77;
/// Every program ends itself after 20 seconds; this is for those that cannot any more.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many things happen at a time.
const LANES: usize = 2;

/// One file of `c-tests/`.
pub struct Program {
    /// Its name, without `.c` or `.cc`.
    pub name: String,
    /// The whole text.
    pub text: String,
    source: PathBuf,
}

/// What a run of a program gave.
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error, the shim's log included.
    pub stderr: Vec<u8>,
    /// When it began, in nanoseconds since the epoch.
    pub began_ns: u64,
    /// When it was seen to have ended.
    pub ended_ns: u64,
}

/// What the library that a program is built against is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// Plain.
    Plain,
    /// With `-lsockshim`.
    Linked,
}

impl Program {
    /// All of them, by name.
    pub fn all() -> Vec<Program> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("c-tests");
        let mut all: Vec<Program> = fs::read_dir(&folder)
            .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "c" || e == "cc"))
            .map(|source| {
                let name = source.file_stem().unwrap().to_str().unwrap().to_owned();
                Program { name, text: fs::read_to_string(&source).unwrap(), source }
            })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The symbols on the `// exercises:` lines.
    pub fn exercises(&self) -> BTreeSet<&str> {
        self.lines("// exercises:").flat_map(str::split_whitespace).collect()
    }

    /// What stands behind a marker at the beginning of lines.
    pub fn lines<'a>(&'a self, marker: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.text.lines().filter_map(move |line| line.strip_prefix(marker)).map(str::trim)
    }

    /// Compiles the program and its libraries, unless that has been done since their last change, and
    /// tells where it is; or else what the compiler said.
    pub fn build(&self, build: Build) -> Result<PathBuf, String> {
        let folder = scratch(if build == Build::Plain { "plain" } else { "linked" });
        // What the program needs comes before us in link order, as it does when we are preloaded.
        let mut flags = vec!["-Wl,--no-as-needed,-rpath,$ORIGIN".to_owned()];
        flags.extend(["-L".into(), folder.display().to_string()]);
        for (marker, linked) in [("// library:", true), ("// plugin:", false)] {
            for name in self.lines(marker) {
                let source = self.source.with_file_name("libraries").join(name).with_extension("c");
                compile(&source, &folder.join(format!("lib{name}.so")), &["-O1", "-fPIC", "-shared", "-Wl,-z,now"])?;
                flags.extend(linked.then(|| format!("-l{name}")));
            }
        }
        if build == Build::Linked {
            let dir = shim().parent().unwrap().display().to_string();
            flags.extend(["-L".into(), dir.clone(), "-lsockshim".into(), format!("-Wl,-rpath,{dir}")]);
        }
        let wanted: Vec<&str> = self.lines("// flags:").flat_map(str::split_whitespace).collect();
        flags.extend(if wanted.is_empty() { &["-O1"] } else { &wanted[..] }.iter().map(|flag| (*flag).to_owned()));
        let binary = folder.join(&self.name);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        compile(&self.source, &binary, &flags)?;
        Ok(binary)
    }

    /// Runs the program, by itself or by another, with nothing but the given variables and `PATH`,
    /// descriptors 0, 1 and 2, and a folder of its own as the current one.
    pub fn run(&self, words: &[&Path], mode: &str, variables: &[(&str, &Path)]) -> Outcome {
        let folder = scratch(&format!("run/{mode}"));
        let out = folder.join(format!("{}.{}.out", self.name, std::process::id()));
        let err = out.with_extension("err");
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap());
        command.current_dir(&folder).env_clear().envs(variables.iter().copied());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
        // SAFETY: the closure makes one system call and touches no memory.
        unsafe {
            command.pre_exec(|| {
                // Some programs print the numbers that they get: none may be taken before.
                const CLOSE_RANGE_CLOEXEC: u32 = 4;
                libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, CLOSE_RANGE_CLOEXEC);
                Ok(())
            });
        }
        let began_ns = now_ns();
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{}: {e}", words[0].display()));
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > PATIENCE {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let ended_ns = now_ns();
        let (stdout, stderr) = (fs::read(&out).unwrap(), fs::read(&err).unwrap());
        let outcome = Outcome { status, stdout, stderr, began_ns, ended_ns };
        fs::remove_file(&out).unwrap();
        fs::remove_file(&err).unwrap();
        outcome
    }
}

impl Outcome {
    /// Whether the program said that this machine cannot do it.
    pub fn skipped(&self) -> bool {
        self.status.code() == Some(SKIP)
    }

    /// The status in words.
    pub fn ending(&self) -> String {
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("status {code}"),
            (_, Some(signal)) => format!("signal {signal}"),
            _ => format!("{:?}", self.status),
        }
    }

    /// What is different here from a run without us, if anything is.
    pub fn differs(&self, native: &Outcome, stderr_too: bool) -> Option<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if self.status != native.status {
            return Some(format!(
                "{} instead of {}\n--- stdout\n{}--- stderr\n{}",
                self.ending(),
                native.ending(),
                text(&self.stdout),
                tail(&text(&self.stderr), 30),
            ));
        }
        for (name, ours, theirs) in [("stdout", &self.stdout, &native.stdout), ("stderr", &self.stderr, &native.stderr)]
        {
            if ours != theirs && (stderr_too || name != "stderr") {
                return Some(format!("another {name}\n--- native\n{}--- with us\n{}", text(theirs), text(ours)));
            }
        }
        None
    }
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// The last lines of a text.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].iter().map(|line| format!("{line}\n")).collect()
}

/// Compiles a file of C, or of C++, unless that has been done since its last change.
fn compile(source: &Path, binary: &Path, flags: &[&str]) -> Result<(), String> {
    let text = fs::read_to_string(source).map_err(|e| format!("{}: {e}", source.display()))?;
    let stamp = format!("{flags:?}\n{text}\n{HARNESS}");
    let stamp_file = binary.with_extension("stamp");
    if binary.exists() && fs::read_to_string(&stamp_file).is_ok_and(|old| old == stamp) {
        return Ok(());
    }
    let (compiler, standard) =
        if source.extension().is_some_and(|e| e == "cc") { ("g++", "-std=c++17") } else { ("gcc", "-std=c11") };
    // A name of our own first: others may build the same.
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let temporary = binary.with_extension(format!("{}.{number}", std::process::id()));
    let output = Command::new(compiler)
        .args([standard, "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
        .arg(&temporary)
        .arg(source)
        .args(flags)
        .output()
        .map_err(|e| format!("{compiler} does not start: {e}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    fs::rename(&temporary, binary).unwrap();
    fs::write(&stamp_file, stamp).unwrap();
    Ok(())
}

const HARNESS: &str = concat!(
    include_str!("../../c-tests/harness.h"),
    include_str!("../../c-tests/blocking.h"),
    include_str!("../../c-tests/filter.h")
);

/// The folder that cargo builds into.
fn target() -> PathBuf {
    // target/debug/deps/c_tests-0123456789abcdef
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}

/// A folder for what we make.
pub fn scratch(name: &str) -> PathBuf {
    let folder = target().join("c-tests").join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The shim: `SOCKSHIM_SHIM`, or the one that was built last of those that cargo may have left.
pub fn shim() -> PathBuf {
    if let Some(path) = std::env::var_os("SOCKSHIM_SHIM") {
        return fs::canonicalize(&path).unwrap_or_else(|e| panic!("SOCKSHIM_SHIM={path:?}: {e}"));
    }
    ["release", "release/deps", "debug", "debug/deps"]
        .iter()
        .map(|place| target().join(place).join("libsockshim.so"))
        .find(|path| path.exists())
        .expect("libsockshim.so is not there: run make build")
}

/// Names of the functions that a binary imports.
pub fn imports(binary: &Path) -> BTreeSet<String> {
    let output = Command::new("nm").args(["-D", "--undefined-only"]).arg(binary).output().expect("nm does not start");
    assert!(output.status.success(), "nm {}", binary.display());
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().filter_map(|line| line.split_whitespace().last());
    names.map(|name| name.split('@').next().unwrap().to_owned()).collect()
}

/// Does something for each item, a few at a time, and gives the results in the order of the items.
pub fn for_each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(number) else { break };
                    let result = work(item);
                    results.lock().unwrap().push((number, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}
