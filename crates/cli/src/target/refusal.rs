//! Why a program cannot be traced, what to do instead, and the exit status that says so.
//!
//! The statuses are the shell's: 127 when a file that is needed to run the program is not there
//! (the program itself, its interpreter or its loader), 126 for everything else.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Exit status: the program, its interpreter or its loader does not exist.
pub const NOT_FOUND: u8 = 127;
/// Exit status: the program is there but cannot be run, or cannot be traced.
pub const CANNOT_RUN: u8 = 126;

/// What sees the calls of a program that nothing can be loaded into.
const STRACE: &str = "strace -f -e trace=network";

/// A program that cannot be traced. Printed, it is one line: file, reason, remedy.
#[derive(Debug)]
pub struct Refusal {
    /// The file that is the matter.
    pub file: PathBuf,
    /// The script that was asked for, when `file` is its interpreter.
    pub interpreter_of: Option<PathBuf>,
    /// What is the matter with it.
    pub reason: Reason,
}

/// What is the matter with a file.
#[derive(Debug)]
pub enum Reason {
    /// No directory of PATH has it; `here`: the working directory does.
    NotInPath {
        /// Whether a file of that name is in the working directory.
        here: bool,
    },
    /// The file does not exist.
    NotFound,
    /// Something in front of a slash is no directory.
    NotDirectory,
    /// No right to enter a directory above it.
    Unreachable,
    /// No right to execute it.
    NotExecutable,
    /// It is a directory.
    Directory,
    /// More scripts in a row than the kernel follows.
    ScriptLoop,
    /// Neither an ELF file nor a script with an interpreter line.
    NotProgram,
    /// It names a loader that is not installed.
    LoaderMissing(PathBuf),
    /// Linked statically; `go`: by the Go toolchain.
    Static {
        /// Whether the Go toolchain built it.
        go: bool,
    },
    /// Linked with musl, in which the shim does nothing.
    Musl,
    /// Of another class or architecture than the shim.
    OtherMachine {
        /// 32 or 64.
        bits: u8,
        /// `e_machine` of its header.
        machine: u16,
    },
    /// It gains privileges when it starts: it is "setuid", "setgid" or "given file capabilities".
    Privileged(&'static str),
    /// Whatever else the kernel said.
    Kernel(io::Error),
}

impl Refusal {
    /// [`NOT_FOUND`] or [`CANNOT_RUN`].
    pub fn exit_code(&self) -> u8 {
        match self.reason {
            Reason::NotInPath { .. } | Reason::NotFound | Reason::LoaderMissing(_) => NOT_FOUND,
            _ => CANNOT_RUN,
        }
    }

    /// What a person can do about it.
    pub fn remedy(&self) -> String {
        let file = self.file.display();
        let asked_for = self.interpreter_of.as_ref().unwrap_or(&self.file).display();
        let arch = std::env::consts::ARCH;
        match &self.reason {
            Reason::NotInPath { here: true } => format!("this directory has it: name it ./{file}"),
            Reason::NotInPath { here: false } => "install it, or give its path".into(),
            Reason::NotFound | Reason::NotDirectory if self.interpreter_of.is_none() => "check the path".into(),
            Reason::NotFound | Reason::NotDirectory | Reason::ScriptLoop => {
                format!("correct the first line of {asked_for}")
            }
            Reason::Unreachable => "run it as somebody who may enter its directory".into(),
            Reason::NotExecutable => "chmod +x, or copy it off a mount that has noexec".into(),
            Reason::Directory => "name a program in it".into(),
            Reason::NotProgram => {
                format!("if it is a script, name its interpreter: sockshim run -- sh {file}")
            }
            Reason::LoaderMissing(_) => "install the libc that it was built for".into(),
            // Linking it dynamically would not help: Go calls the kernel without libc.
            Reason::Static { go: true } => format!("use {STRACE}"),
            Reason::Static { go: false } => {
                format!("link it dynamically, link libsockshim.a into it, or use {STRACE}")
            }
            Reason::Musl => format!("trace a build for glibc, or use {STRACE}"),
            Reason::OtherMachine { .. } => format!("trace a build for {arch}, or use {STRACE}"),
            // Root gains the group of a setgid program like anybody else.
            Reason::Privileged(cause) if *cause == "setgid" || nix::unistd::getuid().is_root() => {
                format!("trace a copy of it, which gains nothing: cp {file} /tmp/")
            }
            Reason::Privileged(_) => {
                format!("give sockshim the privileges: sudo sockshim run -- {asked_for}")
            }
            Reason::Kernel(_) => "try it without sockshim first".into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(script) = &self.interpreter_of {
            write!(f, "{}, which runs ", script.display())?;
        }
        write!(f, "{}: {}; {}", self.file.display(), self.reason, self.remedy())
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::NotInPath { .. } => "not found in PATH",
            Reason::NotFound => "no such file",
            Reason::NotDirectory => "not a directory",
            Reason::Unreachable => "permission to reach it denied",
            Reason::NotExecutable => "permission to execute it denied",
            Reason::Directory => "is a directory",
            Reason::ScriptLoop => "too many scripts that interpret scripts",
            Reason::NotProgram => "neither an ELF program nor a script that begins with #!",
            Reason::Static { go: true } => "a static Go program: no library can be loaded into it",
            Reason::Static { go: false } => "linked statically: no library can be loaded into it",
            Reason::Musl => "linked with musl: the shim works with glibc alone",
            Reason::LoaderMissing(loader) => {
                return write!(f, "its loader {} does not exist", loader.display());
            }
            Reason::OtherMachine { bits, machine } => {
                let theirs = machine_name(*bits, *machine);
                return write!(f, "built for {theirs}, the shim for {}", std::env::consts::ARCH);
            }
            Reason::Privileged(cause) => {
                return write!(f, "{cause}: the loader ignores LD_PRELOAD where privileges are gained");
            }
            Reason::Kernel(error) => return write!(f, "{error}"),
        })
    }
}

/// Names of `e_machine`, from elf.h.
fn machine_name(bits: u8, machine: u16) -> String {
    let name = match machine {
        3 => "i386",
        8 => "MIPS",
        21 => "PowerPC",
        22 => "s390",
        40 => "ARM",
        62 => "x86-64",
        183 => "AArch64",
        243 => "RISC-V",
        258 => "LoongArch",
        other => return format!("machine {other} ({bits} bits)"),
    };
    format!("{bits}-bit {name}")
}
