//! Can this program be traced? Answered before it runs, from the file alone.
//!
//! The loader is silent about most of what defeats LD_PRELOAD (static programs, setuid programs),
//! and in a musl program the shim does nothing. Saying so up front, with the way out, spares an empty
//! trace. What only narrows the view is a warning.
//!
//! What is not seen here: a program registered with binfmt_misc counts as "not a program", and
//! what the program starts later is its own affair.

mod elf;
mod refusal;
mod search;
#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};

pub use elf::Elf;
pub use refusal::{CANNOT_RUN, NOT_FOUND, Reason, Refusal};

/// A script whose interpreter is a script, and so on: Linux 6.18 runs five and refuses the sixth
/// (`exec_binprm`, fs/exec.c; a test asks the kernel).
const SCRIPTS_MAX: usize = 5;
/// What the kernel reads of a file to find out what it is (BINPRM_BUF_SIZE).
const FIRST_BYTES: usize = 256;

#[cfg(target_arch = "x86_64")]
const OUR_MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const OUR_MACHINE: u16 = 183;

/// A program that the shim can be loaded into.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// The file to execute: found through PATH, or as it was given. It always holds a slash.
    pub path: PathBuf,
    /// For a script, who runs it: its interpreter, then the interpreter of that, then what
    /// `/usr/bin/env` looks up. The last is what the shim is loaded into.
    pub interpreters: Vec<PathBuf>,
    /// What will be missing from the story, and why; sentences for people.
    pub warnings: Vec<String>,
}

/// Finds `program` as `execvp` would and looks whether the shim can be loaded into it.
pub fn inspect(program: &OsStr) -> Result<Target, Refusal> {
    inspect_in(program, std::env::var_os("PATH").as_deref())
}

fn inspect_in(program: &OsStr, search_path: Option<&OsStr>) -> Result<Target, Refusal> {
    let refuse = |interpreter_of: Option<&PathBuf>| {
        let interpreter_of = interpreter_of.cloned();
        move |(file, reason)| Refusal { file, interpreter_of, reason }
    };
    let path = search::find(program, search_path).map_err(refuse(None))?;
    let mut target = Target { path, interpreters: Vec::new(), warnings: Vec::new() };
    for scripts in 0.. {
        let file = target.interpreters.last().unwrap_or(&target.path).clone();
        let refuse = refuse(target.interpreters.last().map(|_| &target.path));
        match look(&file, &mut target.warnings) {
            Ok(Found::Program) => break,
            Ok(Found::Script { .. }) if scripts == SCRIPTS_MAX => {
                return Err(refuse((file, Reason::ScriptLoop)));
            }
            Ok(Found::Script { interpreter, argument }) => {
                target.add_interpreter(interpreter, argument.as_deref(), search_path)?;
            }
            Err(reason) => return Err(refuse((file, reason))),
        }
    }
    Ok(target)
}

/// Why a program that was started did not load the shim, in a few words. `None` if its file does not say.
pub fn why_not_followed(file: &[u8]) -> Option<String> {
    match inspect(OsStr::from_bytes(file)) {
        // What we know by then is that it did not come to pass.
        Ok(_) => Some("its file is not why; its environment had no LD_PRELOAD, or it runs as another user".into()),
        Err(refusal) => match refusal.reason {
            Reason::Static { .. } | Reason::Musl | Reason::OtherMachine { .. } | Reason::Privileged(_) => {
                Some(refusal.reason.to_string())
            }
            // It was there when it was started.
            _ => None,
        },
    }
}

/// Whether a program names liburing among the libraries that it needs.
pub fn is_linked_with_liburing(program: &Path) -> bool {
    Elf::of_our_machine(program).is_some_and(|elf| elf.needed.iter().any(|name| name.starts_with("liburing.so")))
}

impl Target {
    fn add_interpreter(
        &mut self,
        interpreter: PathBuf,
        argument: Option<&OsStr>,
        search_path: Option<&OsStr>,
    ) -> Result<(), Refusal> {
        let script = self.path.clone();
        let refuse = |(file, reason)| Refusal { file, interpreter_of: Some(script.clone()), reason };
        let looked_up = looked_up_by_env(&interpreter, argument);
        // The kernel knows no PATH: a bare name is a file of the working directory.
        search::executable(&interpreter).map_err(|reason| refuse((interpreter.clone(), reason)))?;
        self.interpreters.push(interpreter);
        if let Some(name) = looked_up {
            self.interpreters.push(search::find(&name, search_path).map_err(refuse)?);
        }
        Ok(())
    }
}

/// What a file turned out to be, when nothing is against it.
enum Found {
    Program,
    Script { interpreter: PathBuf, argument: Option<OsString> },
}

fn look(path: &Path, warnings: &mut Vec<String>) -> Result<Found, Reason> {
    let metadata = fs::metadata(path).map_err(Reason::from)?;
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            warnings.push(format!(
                "{} may be executed but not read, so nobody can tell whether it can be traced",
                path.display()
            ));
            return Ok(Found::Program);
        }
        other => other.map_err(Reason::from)?,
    };
    let Some(elf) = Elf::read(&file).map_err(Reason::from)? else {
        return script(&file).ok_or(Reason::NotProgram);
    };
    judge(&elf)?;
    if let Some(cause) = privileges_gained(path, &metadata) {
        return Err(Reason::Privileged(cause));
    }
    warn(path, &elf, warnings);
    Ok(Found::Program)
}

/// The first line of a script, read as `load_script` of fs/binfmt_script.c reads it.
fn script(file: &File) -> Option<Found> {
    let mut first = [0; FIRST_BYTES];
    let got = file.read_at(&mut first, 0).ok()?;
    let line = first[..got].strip_prefix(b"#!")?.split(|&byte| byte == b'\n' || byte == 0).next()?;
    let line = line.trim_ascii();
    let end = line.iter().position(|byte| b" \t".contains(byte)).unwrap_or(line.len());
    let (interpreter, argument) = (&line[..end], line[end..].trim_ascii());
    (!interpreter.is_empty()).then(|| Found::Script {
        interpreter: PathBuf::from(OsStr::from_bytes(interpreter)),
        argument: (!argument.is_empty()).then(|| OsString::from_vec(argument.to_vec())),
    })
}

/// What `env` will look up in PATH. None where that takes more than a look: then `env` is judged
/// in its place, and the loader has its say later.
fn looked_up_by_env(interpreter: &Path, argument: Option<&OsStr>) -> Option<OsString> {
    let argument = argument?.as_bytes();
    if interpreter.file_name()? != "env" {
        return None;
    }
    let name = if let Some(split) = argument.strip_prefix(b"-S") {
        let mut words = split.split(|byte| b" \t".contains(byte)).filter(|word| !word.is_empty());
        words.find(|word| !word.contains(&b'='))?
    } else {
        // Without -S the kernel hands over the whole rest of the line as one word.
        argument
    };
    let plain = !name.starts_with(b"-") && !name.iter().any(|byte| b"='\"\\$".contains(byte));
    plain.then(|| OsString::from_vec(name.to_vec()))
}

fn judge(elf: &Elf) -> Result<(), Reason> {
    if elf.bits != 64 || !elf.native_order || elf.machine != OUR_MACHINE {
        return Err(Reason::OtherMachine { bits: elf.bits, machine: elf.machine });
    }
    // The loader as the program (`ld.so ./app`) has no loader of its own, and obeys LD_PRELOAD.
    let is_loader = elf.soname.as_ref().is_some_and(|name| name.starts_with("ld-linux"));
    let Some(loader) = &elf.loader else {
        return if is_loader { Ok(()) } else { Err(Reason::Static { go: elf.go }) };
    };
    let musl_loader = loader.file_name().is_some_and(|name| name.as_bytes().starts_with(b"ld-musl"));
    if musl_loader || elf.needed.iter().any(|name| name.starts_with("libc.musl")) {
        return Err(Reason::Musl);
    }
    if loader.exists() { Ok(()) } else { Err(Reason::LoaderMissing(loader.clone())) }
}

/// Why the kernel will set AT_SECURE, upon which the loader ignores LD_PRELOAD and takes it out of
/// the environment (`cap_bprm_creds_from_file`, security/commoncap.c; ld.so(8)).
fn privileges_gained(path: &Path, metadata: &Metadata) -> Option<&'static str> {
    use nix::unistd::{getgid, getuid};

    if privileges_are_off(path) {
        return None;
    }
    let mode = metadata.mode();
    if mode & libc::S_ISUID != 0 && metadata.uid() != getuid().as_raw() {
        return Some("setuid");
    }
    // Setgid without group execution is mandatory locking, not a privilege.
    let setgid = libc::S_ISGID | libc::S_IXGRP;
    if mode & setgid == setgid && metadata.gid() != getgid().as_raw() {
        return Some("setgid");
    }
    (!getuid().is_root() && has_capabilities(path)).then_some("given file capabilities")
}

/// A nosuid mount and `no_new_privs` (sandboxes, containers) take the bits their meaning.
fn privileges_are_off(path: &Path) -> bool {
    nix::sys::prctl::get_no_new_privs().unwrap_or(false)
        || statvfs(path).is_ok_and(|mount| mount.flags().contains(FsFlags::ST_NOSUID))
}

fn has_capabilities(path: &Path) -> bool {
    let Ok(path) = std::ffi::CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: both names end with a zero, and a size of 0 asks for the length alone.
    let len = unsafe { libc::getxattr(path.as_ptr(), c"security.capability".as_ptr(), std::ptr::null_mut(), 0) };
    len > 0
}

fn warn(path: &Path, elf: &Elf, warnings: &mut Vec<String>) {
    let mut warn = |text: &str| warnings.push(format!("{} {text}", path.display()));
    let needs = |library: &str| elf.needed.iter().any(|name| name.starts_with(library));
    if elf.go {
        warn("is a Go program: only what it calls in libc, such as getaddrinfo, is seen");
    }
    if needs("libasan.so") && !std::env::var("ASAN_OPTIONS").is_ok_and(|o| o.contains("verify_asan_link_order=0")) {
        warn(
            "has AddressSanitizer, which insists on being first: \
             set ASAN_OPTIONS=verify_asan_link_order=0",
        );
    }
    if needs("liburing.so") {
        warn("uses io_uring: what it sends and receives that way is not seen");
    }
    let name = path.file_name().unwrap_or_default();
    if ["sudo", "doas", "pkexec"].iter().any(|other| name == *other) {
        warn("takes LD_PRELOAD out of the environment: put it in front of sockshim, not behind");
    }
}
