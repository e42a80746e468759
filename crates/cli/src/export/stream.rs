//! Calls as JSON Lines while the program runs: `run --jsonl`.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use sockshim_reader::{Event, Model};

use super::jsonl::Jsonl;
use super::{About, Ended, Exporter, Known, Options};

/// Bytes that are collected before they are written; what a pass has told is written in any case.
const BUFFER_BYTES: usize = 1 << 16;

/// A stream of calls, and where it goes.
pub struct Stream {
    jsonl: Jsonl,
    out: BufWriter<File>,
    name: String,
    /// What went wrong first: the program runs on, and is told afterwards.
    error: Option<io::Error>,
}

impl Stream {
    /// Opens a file, standard output for `-`, or a descriptor that we were given for `fd:N`, and writes the header.
    pub fn open(target: &OsStr, about: &About<'_>) -> Result<Stream> {
        let name = match target.as_encoded_bytes() {
            b"-" => "standard output".to_owned(),
            _ => super::shown(Path::new(target)),
        };
        let file = open(target).with_context(|| format!("cannot stream to {name} (run --jsonl)"))?;
        let out = BufWriter::with_capacity(BUFFER_BYTES, file);
        let mut stream = Stream { jsonl: Jsonl::new(Options::default()), out, name, error: None };
        let begun = stream.jsonl.begin(about, &mut stream.out).and_then(|()| stream.out.flush());
        begun.with_context(|| format!("cannot stream to {} (run --jsonl)", stream.name))?;
        Ok(stream)
    }

    /// Tells an event that the model has been fed with.
    pub fn event(&mut self, event: &Event, model: &Model) {
        if self.error.is_none() {
            let told = self.jsonl.event(event, Known { so_far: model, whole: model }, &mut self.out);
            self.error = told.err();
        }
    }

    /// Lets whoever reads see what has been told.
    pub fn flush(&mut self) {
        if self.error.is_none() {
            self.error = self.out.flush().err();
        }
    }

    /// The last line. What went wrong, in words; a reader that had enough is nothing of the kind.
    pub fn end(mut self, model: &Model, lost: u64) -> Option<String> {
        let ended = Ended { model, lost, whole: lost == 0 };
        if self.error.is_none() {
            self.error = self.jsonl.end(&ended, &mut self.out).and_then(|()| self.out.flush()).err();
        }
        // A buffer that could not be written is not tried again.
        let _ = self.out.into_parts();
        let error = self.error.filter(|error| error.kind() != io::ErrorKind::BrokenPipe)?;
        Some(format!("the stream to {} is not whole: {error}", self.name))
    }
}

fn open(target: &OsStr) -> Result<File> {
    if target == "-" {
        return Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?));
    }
    let Some(number) = target.to_str().and_then(|text| text.strip_prefix("fd:")) else {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(target)?;
        return Ok(file);
    };
    let number: i32 = number.parse().ok().filter(|number| *number >= 0).context("fd: needs a number, as in fd:3")?;
    // SAFETY: what is borrowed is asked whether it is open, and given up at once.
    let given = unsafe { BorrowedFd::borrow_raw(number) };
    if fcntl(given, FcntlArg::F_GETFD).is_err() {
        bail!("descriptor {number} is not open: let the shell open it, as in {number}>calls.jsonl");
    }
    let own = given.try_clone_to_owned()?;
    if number > 2 {
        // The program has no business with it, and its reader would wait for whoever keeps it.
        let _ = fcntl(given, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
    }
    Ok(File::from(own))
}
