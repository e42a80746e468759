//! Where files go, and what a program needs to be found or built.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder for what is built and what is traced, which goes when the measuring ends.
pub struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    pub fn new() -> Scratch {
        let folder = std::env::temp_dir().join(format!("sockshim-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for temporary files");
        Scratch { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Copies the tool or the shim, as who installs them does. The kernel keeps what was written in one go in larger
    /// pieces than what a linker has written here and there, and a start from it takes a tenth less.
    pub fn install(&self, name: &str) -> PathBuf {
        let copy = self.path(name);
        std::fs::copy(release(name), &copy).expect("`cargo build --release` has made it");
        copy
    }

    /// Compiles one of `benches/peers`.
    pub fn build(&self, source: &str, output: &str, flags: &[&str]) -> PathBuf {
        let (output, made) = (self.path(output), self.path("made"));
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
        let source = folder.join(source);
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-pthread", "-I"]).arg(folder).arg(&source).arg("-o").arg(&made).args(flags);
        let done = compiler.status();
        assert!(done.is_ok_and(|status| status.success()), "cc {}", source.display());
        // As `install` does.
        std::fs::copy(made, &output).expect("it was made");
        output
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The tool, or the shim, as `cargo build --release` makes it.
pub fn release(name: &str) -> PathBuf {
    let tool = Path::new(env!("CARGO_BIN_EXE_sockshim"));
    tool.parent().expect("the folder of what is built").join(name)
}

/// A thousand connections with both ends here are more descriptors than a process may have at first.
pub fn raise_limits() {
    // SAFETY: the struct is ours; both calls read or fill it.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        limit.rlim_cur = limit.rlim_max.min(65_536);
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
    }
}

pub fn installed(program: &str) -> bool {
    let shell = format!("command -v {program}");
    Command::new("sh").args(["-c", &shell]).stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// A port of loopback that is free now.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    listener.local_addr().expect("its address").port()
}

/// What one process has spent of CPU, in nanoseconds; 0 if it is gone.
pub fn cpu_ns(pid: u32) -> u64 {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/schedstat")) else { return 0 };
    text.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

pub fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}
