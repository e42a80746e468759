//! A recording in several files: when one is full, what the next begins with, and which one goes.
//!
//! Rotated, FILE is followed by FILE.1, FILE.2 and so on, and a file keeps its name. Of a flight recorder
//! FILE is always the newest; a full one becomes FILE.N, the oldest of those is removed, and at the end all
//! that are left are joined in FILE. At every moment what lies there can be read.

use super::BLOCK_BYTES;
use super::carry::Carry;
use super::output::{Output, header, lines};
use super::pack::Packer;
use super::pass::batches;
use crate::clock::Point;
use sockshim_format::trace::*;
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A flight recorder's files. One of them is room for joining two.
const PARTS: u64 = 16;
/// Room that is left in a file for how it ends.
const RESERVE: u64 = 1024;

/// How large a trace may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many bytes each file.
    Rotate(u64),
    /// So many bytes in all files: the newest is kept.
    Keep(u64),
}

impl Limit {
    /// The least that makes sense.
    pub const LEAST: u64 = 1 << 20;

    /// Whether a recording into FILE can go on in another file, or what is in the way. To be asked before FILE is written
    /// over.
    pub fn may_begin(self, file: &Path) -> io::Result<()> {
        may_replace(&numbered(file, 1))
    }

    fn part_bytes(self) -> u64 {
        match self {
            Limit::Rotate(bytes) => bytes,
            Limit::Keep(bytes) => bytes / PARTS,
        }
    }

    /// Payload that makes a block. Packed it is never longer.
    pub(super) fn block_bytes(self) -> usize {
        (self.part_bytes() / 4).min(BLOCK_BYTES as u64) as usize
    }
}

/// What is known of the files of a recording.
pub(super) struct Series {
    pub limit: Limit,
    /// FILE, as it was named.
    path: PathBuf,
    pub carry: Carry,
    /// Payload of the block that is being collected.
    block: Vec<u8>,
    /// The number of the file that is written, from 1.
    part: u64,
    /// Calls in the files before it, and in it.
    before: u64,
    here: u64,
    /// The file has records in it.
    filled: bool,
    /// The full ones that are there, and the calls in each.
    full: VecDeque<(PathBuf, u64)>,
    overwritten: u64,
}

impl Series {
    pub fn new(limit: Limit, path: &Path) -> Series {
        let (carry, full) = (Carry::default(), VecDeque::new());
        let path = path.to_owned();
        Series {
            limit,
            path,
            carry,
            block: Vec::new(),
            part: 1,
            before: 0,
            here: 0,
            filled: false,
            full,
            overwritten: 0,
        }
    }

    pub fn overwritten(&self) -> u64 {
        self.overwritten
    }

    pub fn files(&self) -> usize {
        self.full.len() + 1
    }

    /// Keeps what goes into a block, for when that has been written.
    pub fn collect(&mut self, run: &Run, slots: &[u8]) {
        self.block.extend_from_slice(&run.to_bytes());
        self.block.extend_from_slice(slots);
    }

    /// Takes note of the block that was collected: with so many calls that are over, if it has been written.
    pub fn note(&mut self, calls: Option<u32>) {
        if let Some(calls) = calls {
            batches(&self.block).for_each(|batch| self.carry.note(&batch));
            self.here += u64::from(calls);
            self.filled = true;
        }
        self.block.clear();
    }

    /// Whether a file that grows to so many bytes is too large. One block is in each at least.
    pub fn is_full(&self, bytes: u64) -> bool {
        self.filled && bytes + RESERVE > self.limit.part_bytes()
    }

    /// Begins the next file, ends `old`, and gives the new one. The new one is whole before the old one
    /// says that it goes on.
    pub fn next(
        &mut self,
        old: &mut Output,
        head: &FileHeader,
        meta: &str,
        now: Option<Point>,
        ticks: u64,
    ) -> io::Result<Output> {
        let keep = matches!(self.limit, Limit::Keep(_));
        let path = numbered(&self.path, if keep { self.part + 1 } else { self.part });
        let (part, before) = ((self.part + 1).to_string(), (self.before + self.here).to_string());
        let mut keys = vec![("part", part.as_str()), ("calls_before", before.as_str())];
        if keep {
            keys.push(("keep", "newest"));
            may_replace(&numbered(&self.path, self.part))?;
        }
        may_replace(&path)?;
        // It has its name only when it can be read, for the tool may be killed at any moment.
        let beside = beside(&path);
        may_replace(&beside)?;
        let begun = Output::begin(&beside, head, &(meta.to_owned() + &lines(&keys)));
        let begun = begun.and_then(|mut next| self.carry_over(&mut next, now, ticks).map(|()| next));
        let begun = begun.and_then(|next| fs::rename(&beside, &path).map(|()| next));
        let mut next = begun.inspect_err(|_| _ = fs::remove_file(&beside))?;
        next.path.clone_from(&path);
        let mut full = old.path.clone();
        if keep {
            full = numbered(&old.path, self.part);
            let _ = fs::remove_file(&full);
            // By a second name FILE is there all the time; not all file systems have that.
            fs::hard_link(&old.path, &full).or_else(|_| fs::rename(&old.path, &full))?;
            fs::rename(&next.path, &old.path)?;
            next.path.clone_from(&old.path);
        }
        // Last, for what is called FILE must not say that it goes on elsewhere. Without these the old file is as
        // readable as one whose tool was killed.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = if keep { "" } else { &*name };
        let _ = now.map_or(Ok(()), |point| old.plain(header(BLOCK_CLOCK, ticks), &point.to_bytes()));
        let _ = old.plain(header(BLOCK_CONTINUED, ticks), name.as_bytes());
        self.full.push_back((full, self.here));
        (self.part, self.before, self.here, self.filled) = (self.part + 1, self.before + self.here, 0, false);
        while self.full.len() as u64 > PARTS - 2 && self.remove_oldest() {}
        Ok(next)
    }

    /// Makes room. Nothing goes that is to be kept: false then.
    pub fn remove_oldest(&mut self) -> bool {
        if !matches!(self.limit, Limit::Keep(_)) {
            return false;
        }
        let Some((oldest, calls)) = self.full.pop_front() else { return false };
        self.overwritten += calls;
        fs::remove_file(oldest).is_ok()
    }

    fn carry_over(&mut self, next: &mut Output, now: Option<Point>, ticks: u64) -> io::Result<()> {
        if let Some(point) = now {
            next.plain(header(BLOCK_CLOCK, ticks), &point.to_bytes())?;
        }
        let payload = self.carry.payload(self.limit.block_bytes());
        let header = header(BLOCK_CARRIED, ticks);
        if payload.is_empty() { Ok(()) } else { next.records(header, &Packer::default().pack(&payload)) }
    }

    /// Joins what a flight recorder has kept in one file. Where that fails the files stay as they are.
    pub fn join(self, newest: &Path) {
        let mut parts: VecDeque<PathBuf> = self.full.into_iter().map(|(path, _)| path).collect();
        let Some(oldest) = parts.pop_front().filter(|_| matches!(self.limit, Limit::Keep(_))) else { return };
        for part in parts.iter().map(PathBuf::as_path).chain([newest]) {
            if append(part, &oldest).is_err() {
                return;
            }
            if part != newest {
                let _ = fs::remove_file(part);
            }
        }
        let _ = fs::rename(&oldest, newest);
    }
}

/// FILE.N
pub(super) fn numbered(path: &Path, number: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// FILE.N.part
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// A file that is in the way is replaced, but only if it is a trace too, or has nothing in it.
pub(super) fn may_replace(path: &Path) -> io::Result<()> {
    let mut magic = Vec::new();
    let regular = match File::open(path) {
        Ok(file) => file.metadata()?.is_file() && file.take(8).read_to_end(&mut magic).map(|_| true)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    match regular && (magic.is_empty() || magic == TRACE_MAGIC.to_le_bytes()) {
        true => Ok(()),
        false => Err(io::Error::other(format!("{} is in the way, and is no trace", path.display()))),
    }
}

/// Puts the blocks of one file behind those of another, all of them or none.
fn append(part: &Path, whole: &Path) -> io::Result<()> {
    let (mut from, mut to) = (File::open(part)?, OpenOptions::new().write(true).open(whole)?);
    let mut head = [0; FileHeader::SIZE];
    from.read_exact(&mut head)?;
    let meta_bytes = FileHeader::read(&head).map_or(0, |head| head.meta_bytes);
    from.seek(SeekFrom::Start(FileHeader::SIZE as u64 + u64::from(meta_bytes)))?;
    let bytes = to.seek(SeekFrom::End(0))?;
    let copied = io::copy(&mut from, &mut to);
    if copied.is_err() {
        to.set_len(bytes)?;
    }
    copied.map(|_| ())
}
