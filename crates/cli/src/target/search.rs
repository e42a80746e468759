//! Finds the file of a program the way `execvp` does, and tells "not there" from "may not".

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};

use super::Reason;

/// What glibc searches when there is no PATH (`confstr(_CS_PATH)`, since 2.24 without the
/// working directory).
const DEFAULT_SEARCH_PATH: &str = "/bin:/usr/bin";

/// The file that `execvp(program)` would execute. On failure, what is wrong and with which file.
pub fn find(program: &OsStr, search_path: Option<&OsStr>) -> Result<PathBuf, (PathBuf, Reason)> {
    let as_given = PathBuf::from(program);
    if program.as_bytes().contains(&b'/') {
        return match executable(&as_given) {
            Ok(()) => Ok(as_given),
            Err(reason) => Err((as_given, reason)),
        };
    }
    let not_found = |given: PathBuf| {
        let here = !program.is_empty() && Path::new(".").join(program).is_file();
        (given, Reason::NotInPath { here })
    };
    if program.is_empty() {
        return Err(not_found(as_given));
    }
    // A file that may not be executed does not end the search, but is what is told in the end. For
    // execvp the same holds for a directory that may not be entered; we side with the shells, for
    // "permission denied" for a name that is nowhere has puzzled enough people.
    let mut forbidden = None;
    for directory in search_path.unwrap_or(OsStr::new(DEFAULT_SEARCH_PATH)).as_bytes().split(|&byte| byte == b':') {
        // An empty element is the working directory.
        let directory = if directory.is_empty() { b"." } else { directory };
        let file = Path::new(OsStr::from_bytes(directory)).join(program);
        match executable(&file) {
            Ok(()) => return Ok(file),
            Err(Reason::NotFound | Reason::NotDirectory | Reason::Unreachable) => {}
            Err(reason) => forbidden = forbidden.or(Some((file, reason))),
        }
    }
    Err(forbidden.unwrap_or_else(|| not_found(as_given)))
}

/// Whether the kernel would let us execute the file, were it a program.
pub fn executable(file: &Path) -> Result<(), Reason> {
    let metadata = fs::metadata(file).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => Reason::Unreachable,
        _ => Reason::from(error),
    })?;
    if metadata.is_dir() {
        return Err(Reason::Directory);
    }
    // For root, one x bit of the three is enough; on a noexec mount none is. The kernel knows both.
    let allowed = faccessat(AT_FDCWD, file, AccessFlags::X_OK, AtFlags::AT_EACCESS).is_ok();
    if metadata.is_file() && allowed { Ok(()) } else { Err(Reason::NotExecutable) }
}

impl From<io::Error> for Reason {
    fn from(error: io::Error) -> Reason {
        match error.raw_os_error() {
            Some(libc::ENOENT) => Reason::NotFound,
            Some(libc::ENOTDIR) => Reason::NotDirectory,
            Some(libc::EACCES) => Reason::NotExecutable,
            Some(libc::ENOEXEC) => Reason::NotProgram,
            _ => Reason::Kernel(error),
        }
    }
}
