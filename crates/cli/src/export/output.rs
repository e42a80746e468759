//! Where an export goes: a file that is there as a whole or not at all, or standard output.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Bytes that are collected before they are written.
const BUFFER_BYTES: usize = 1 << 18;

/// Where an export goes.
pub struct Output {
    out: BufWriter<File>,
    name: String,
    place: Place,
}

enum Place {
    /// Standard output, a device or a pipe: written as it comes.
    Direct,
    /// A file without a name, which goes to `target` when it is whole. Nothing is left of it if we are killed.
    Nameless { folder: PathBuf, target: PathBuf },
    /// The same where the file system has no such files: a file with another name.
    Beside { beside: PathBuf, target: PathBuf },
}

impl Output {
    /// Opens the file, or standard output for `-`.
    pub fn open(path: &Path, is_binary: bool) -> Result<Output> {
        if path.as_os_str() == "-" {
            let stdout = io::stdout();
            if is_binary && stdout.is_terminal() {
                bail!("this format is nothing for a terminal: name a file with -o, or pipe it into a program");
            }
            return Ok(Output::new(duplicate(&stdout)?, "standard output".into(), Place::Direct));
        }
        let failed = || format!("cannot write {}; name another file with -o", super::shown(path));
        Output::at(path).with_context(failed)
    }

    /// Opens the file.
    pub fn at(path: &Path) -> io::Result<Output> {
        let (file, place) = create(path)?;
        Ok(Output::new(file, super::shown(path), place))
    }

    /// A file that is written in one folder, and put in its place in another one of the same file system.
    pub fn open_in(folder: &Path, target: PathBuf) -> io::Result<Output> {
        let name = super::shown(&target);
        let (file, place) = create_in(folder, target)?;
        Ok(Output::new(file, name, place))
    }

    fn new(file: File, name: String, place: Place) -> Output {
        Output { out: BufWriter::with_capacity(BUFFER_BYTES, file), name, place }
    }

    /// What to call it in a message.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes what is left, and puts the file in its place.
    pub fn finish(self) -> io::Result<()> {
        self.whole()?.put()
    }

    /// Writes what is left. The file is whole then, and not in its place.
    pub fn whole(self) -> io::Result<Whole> {
        let file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Whole { file, place: self.place })
    }
}

/// All that was to be written.
pub struct Whole {
    file: File,
    place: Place,
}

impl Whole {
    /// Puts the file in its place.
    pub fn put(self) -> io::Result<()> {
        match &self.place {
            Place::Direct => Ok(()),
            Place::Nameless { folder, target } => {
                // A link cannot take the place of a file, a rename can.
                let beside = beside(folder, target);
                let from = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                let follow = nix::fcntl::AtFlags::AT_SYMLINK_FOLLOW;
                let here = nix::fcntl::AT_FDCWD;
                nix::unistd::linkat(here, &*from, here, &beside, follow)?;
                Whole { place: Place::Beside { beside, target: target.clone() }, file: self.file }.put()
            }
            Place::Beside { beside, target } => fs::rename(beside, target),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for Place {
    /// What is in its place has no other name any more.
    fn drop(&mut self) {
        if let Place::Beside { beside, .. } = self {
            let _ = fs::remove_file(beside);
        }
    }
}

fn duplicate(stdout: &io::Stdout) -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(File::from(stdout.as_fd().try_clone_to_owned()?))
}

/// Opens for writing what will be `path`. Payload is its owner's alone, as it is in the trace.
fn create(path: &Path) -> io::Result<(File, Place)> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(meta) => {
            let kind = meta.file_type();
            if kind.is_char_device() || kind.is_block_device() || kind.is_fifo() || kind.is_socket() {
                return Ok((OpenOptions::new().write(true).open(path)?, Place::Direct));
            }
        }
        Err(_) => {}
    }
    // What a link points to is replaced, and not the link.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.to_owned();
    create_in(&folder, target)
}

fn create_in(folder: &Path, target: PathBuf) -> io::Result<(File, Place)> {
    let nameless = OpenOptions::new().write(true).mode(0o600).custom_flags(libc::O_TMPFILE).open(folder);
    match nameless {
        Ok(file) if Path::new("/proc/self/fd").exists() => {
            Ok((file, Place::Nameless { folder: folder.to_owned(), target }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        _ => {
            let beside = beside(folder, &target);
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            Ok((file, Place::Beside { beside, target }))
        }
    }
}

/// `FILE.PID.part`, in the same folder as a rule, for a rename does not leave a file system.
fn beside(folder: &Path, target: &Path) -> PathBuf {
    let mut name = target.file_name().map_or_else(OsString::new, OsString::from);
    name.push(format!(".{}.part", std::process::id()));
    folder.join(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_there_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        let entries = || fs::read_dir(folder.path()).unwrap().count();
        let mut dropped = Output::open(&path, false).unwrap();
        dropped.write_all(&[b'x'; 2 * BUFFER_BYTES]).unwrap();
        drop(dropped);
        assert_eq!(entries(), 0);
        for text in ["first", "second"] {
            let mut whole = Output::open(&path, true).unwrap();
            whole.write_all(text.as_bytes()).unwrap();
            whole.finish().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(entries(), 1);
    }

    #[test]
    fn a_file_beside_is_removed_too() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("x");
        let file = |path: &Path| OpenOptions::new().write(true).create_new(true).open(path).unwrap();
        let place = |target: &Path| Place::Beside { beside: beside(folder.path(), target), target: target.to_owned() };
        drop(Output::new(file(&beside(folder.path(), &target)), String::new(), place(&target)));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        Output::new(file(&beside(folder.path(), &target)), String::new(), place(&target)).finish().unwrap();
        assert!(target.exists() && !beside(folder.path(), &target).exists());
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        for (path, word) in [("/no/such/folder/x", "No such file"), ("/", "directory"), ("/proc/x", "/proc/x")] {
            let error = format!("{:#}", Output::open(Path::new(path), false).err().unwrap());
            assert!(error.contains(path) && error.contains(word) && error.contains("-o"), "{error}");
        }
    }
}
