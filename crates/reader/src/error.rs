//! What can be wrong with a file: one line that names it, the place, and the way out.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A file that cannot be read as a trace or region.
#[derive(Debug)]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub kind: ErrorKind,
}

/// What is wrong with a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The kernel says so.
    Io(io::Error),
    /// A pipe or a device, or `-`, which people mean one by.
    NotRegular,
    /// Nothing in it.
    Empty,
    /// It begins with something else.
    Foreign([u8; 8]),
    /// It ends within its header.
    ShortHeader,
    /// Written by a machine of the other byte order.
    ByteOrder,
    /// Written by a version that lays records out differently: (its version, ours).
    Version(u32, u32),
    /// A field of the header that makes no sense, by name.
    Header(&'static str),
    /// It is a live region, which only `sockshim run` drains.
    NoTrace,
    /// It was given together with files of another run.
    OtherRun,
    /// It was given together with files of its run, and does not follow on them: (which one it is).
    OtherPart(u64),
}

impl Error {
    pub(crate) fn new(path: &Path, offset: u64, kind: ErrorKind) -> Error {
        Error { path: path.to_owned(), offset, kind }
    }

    /// No file was given at all.
    pub(crate) fn nothing() -> Error {
        Error { path: PathBuf::new(), offset: 0, kind: ErrorKind::Empty }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        match &self.kind {
            ErrorKind::Io(error) if self.offset == 0 => write!(f, "{error}"),
            ErrorKind::Io(error) => write!(f, "{error} (at offset {})", self.offset),
            ErrorKind::NotRegular => f.write_str(
                "a trace is read from a regular file, in several passes, and this is none: write it to one first \
                 (cat > copy.sst), and give that",
            ),
            ErrorKind::Empty => {
                f.write_str("empty at offset 0: the recording never began; record it again with `sockshim run -o`")
            }
            ErrorKind::Foreign(bytes) => write!(
                f,
                "not a sockshim trace (begins with \"{}\" at offset 0): give a file that `sockshim run -o` wrote",
                bytes.escape_ascii()
            ),
            ErrorKind::ShortHeader => write!(
                f,
                "ends within its header, at offset {}: nothing was recorded; copy the file again or record anew",
                self.offset
            ),
            ErrorKind::ByteOrder => write!(
                f,
                "byte order mark at offset {} is of another kind of machine: read it with sockshim there",
                self.offset
            ),
            ErrorKind::Version(theirs, ours) => write!(
                f,
                "version {theirs} at offset {}, this sockshim reads version {ours}: use the sockshim that wrote it",
                self.offset
            ),
            ErrorKind::NoTrace => f.write_str("a live region and no trace: `sockshim show` reads it"),
            ErrorKind::OtherRun => f.write_str("of another run than the files given with it: give those of one run"),
            ErrorKind::OtherPart(number) => write!(
                f,
                "file {number} of its run, and the one before it is missing, or given twice: give all of them, each once"
            ),
            ErrorKind::Header(field) => write!(
                f,
                "{field} at offset {} makes no sense: the header is damaged; copy the file again or record anew",
                self.offset
            ),
        }
    }
}

/// Without a source: the line says all there is, and a chain of causes would say it twice.
impl std::error::Error for Error {}
