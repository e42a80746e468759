//! A region file that is read as it lies: its tool was killed, or there never was one.

use crate::clock::{Clock, Point};
use crate::error::{Error, ErrorKind};
use crate::records::Batch;
use crate::region::clear_behind;
use crate::region::processes::process_runs;
use sockshim_format::record::{Commit, Extension, KIND_CALL, KIND_COMPLETION, KIND_PROCESS, Process};
use sockshim_format::region::*;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Chunks that are read in one go while the owners are collected.
const STRIDE: u32 = 64;

/// Where the bytes are.
enum Source {
    File(File),
    /// A copy of a region in memory.
    Copy(Vec<u8>),
}

impl Source {
    fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Source::File(file) => file.read_exact_at(buffer, offset),
            Source::Copy(bytes) => {
                let from = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)?.get(..buffer.len()));
                buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }
}

/// A region file, opened for reading. It is read by ordinary reads, never mapped: then nobody who
/// truncates it can kill us.
pub struct RegionFile {
    source: Source,
    path: PathBuf,
    header: Header,
    clock: Clock,
    owners: std::vec::IntoIter<Owner>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Owner {
    process: u32,
    tid: u32,
    number: u64,
    index: u32,
}

/// The records of one chunk.
pub struct ChunkRecords {
    chunk: Chunk,
    bytes: Vec<u8>,
    /// (first byte, behind the last) of each run of published records.
    runs: Vec<(usize, usize)>,
}

impl ChunkRecords {
    /// The runs of published records, in order.
    pub fn batches(&self) -> impl Iterator<Item = Batch<'_>> {
        let Chunk { process, pid, tid, .. } = self.chunk;
        self.runs.iter().enumerate().filter_map(move |(i, &(start, end))| {
            let lost = if i == 0 { self.chunk.lost } else { 0 };
            Some(Batch { process, pid, tid, lost, slots: self.bytes.get(start..end)? })
        })
    }
}

impl RegionFile {
    /// Whether its tool lives and looks at it, so that it changes while it is read.
    fn is_drained_now(&self) -> bool {
        const PATIENCE_NS: u64 = 10_000_000_000;
        let Header { tool_pid, heartbeat, closed, .. } = self.header;
        let silent = self.clock.now_ticks().saturating_sub(heartbeat);
        let other = tool_pid != std::process::id();
        closed == 0 && other && process_runs(tool_pid) && self.clock.duration_ns(silent) < PATIENCE_NS
    }

    /// The clock of a region of this run whose tool lives and looks at it; `None` if there is no such region.
    pub(crate) fn drained_now(path: &Path, id: [u64; 2]) -> Option<Clock> {
        let (region, _) = RegionFile::look(path).ok()?;
        (region.header.id == id && region.is_drained_now()).then_some(region.clock)
    }

    /// Opens the file and finds out who owns its chunks.
    pub fn open(path: impl AsRef<Path>) -> Result<RegionFile, Error> {
        let (region, count) = RegionFile::look(path.as_ref())?;
        region.with_owners(count)
    }

    fn with_owners(mut self, count: u32) -> Result<RegionFile, Error> {
        let mut owners = self.owners(count)?;
        owners.sort_unstable();
        self.owners = owners.into_iter();
        Ok(self)
    }

    /// Opens the file and reads its header only. Also says how many chunks there are.
    fn look(path: &Path) -> Result<(RegionFile, u32), Error> {
        let error = |offset: usize, kind| Error::new(path, offset as u64, kind);
        let io = |e| error(0, ErrorKind::Io(e));
        let file = File::open(path).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        let mut head = Vec::new();
        let mut limited = std::io::Read::take(&file, Header::SIZE as u64);
        std::io::Read::read_to_end(&mut limited, &mut head).map_err(io)?;
        RegionFile::of(path, Source::File(file), &head, bytes)
    }

    /// A region that this process itself records in, as it was copied just now.
    pub fn of_copy(bytes: Vec<u8>) -> Result<RegionFile, Error> {
        let head = bytes.get(..Header::SIZE).unwrap_or(&bytes).to_vec();
        let len = bytes.len() as u64;
        let (mut region, count) = RegionFile::of(Path::new("the live region"), Source::Copy(bytes), &head, len)?;
        region.clock.calibrate(region.clock.now());
        region.with_owners(count)
    }

    fn of(path: &Path, source: Source, head: &[u8], bytes: u64) -> Result<(RegionFile, u32), Error> {
        let error = |offset: usize, kind| Error::new(path, offset as u64, kind);
        check_start(path, head, REGION_MAGIC, REGION_VERSION)?;
        let header = Header::read(head).ok_or_else(|| error(head.len(), ErrorKind::ShortHeader))?;
        if header.chunk_bytes as usize != CHUNK_BYTES {
            return Err(error(24, ErrorKind::Header("chunk_bytes")));
        }
        let chunks = u64::from(header.chunks_offset);
        if chunks < HEADER_BYTES as u64 || !chunks.is_multiple_of(8) {
            return Err(error(40, ErrorKind::Header("chunks_offset")));
        }
        // A file that was cut short while it was copied still has the chunks that it has.
        let there = bytes.saturating_sub(chunks) / CHUNK_BYTES as u64;
        // Nobody can have claimed one that was not offered.
        let count = u64::from(header.offered_chunks()).min(there) as u32;
        let first = Point { ticks: header.first_ticks, mono_ns: header.first_mono_ns, real_ns: header.first_real_ns };
        let mut clock = Clock::new(header.clock, first);
        clock.calibrate(Point { ticks: header.last_ticks, mono_ns: header.last_mono_ns, real_ns: 0 });
        Ok((RegionFile { source, path: path.to_owned(), header, clock, owners: Vec::new().into_iter() }, count))
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What turns ticks into time.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Chunks that somebody owned: a free one has been drained, or was never used.
    fn owners(&self, count: u32) -> Result<Vec<Owner>, Error> {
        let mut owners = Vec::new();
        let mut buffer = vec![0; CHUNK_BYTES * STRIDE.min(count.max(1)) as usize];
        for first in (0..count).step_by(STRIDE as usize) {
            let chunks = STRIDE.min(count - first);
            let Some(buffer) = buffer.get_mut(..CHUNK_BYTES * chunks as usize) else { break };
            self.read(first, buffer)?;
            for (index, bytes) in (first..).zip(buffer.chunks_exact(CHUNK_BYTES)) {
                let Some(chunk) = Chunk::read(bytes).filter(is_owned) else { continue };
                let Chunk { process, tid, number, .. } = chunk;
                owners.push(Owner { process, tid, number, index });
            }
        }
        Ok(owners)
    }

    fn read(&self, index: u32, buffer: &mut [u8]) -> Result<(), Error> {
        let offset = u64::from(self.header.chunks_offset) + u64::from(index) * CHUNK_BYTES as u64;
        self.source.read(buffer, offset).map_err(|e| Error::new(&self.path, offset, ErrorKind::Io(e)))
    }

    /// The next chunk, in the order of processes, threads, and of each thread's own records.
    pub fn next_chunk(&mut self) -> Result<Option<ChunkRecords>, Error> {
        for owner in self.owners.by_ref() {
            let mut bytes = vec![0; CHUNK_BYTES];
            let offset = u64::from(self.header.chunks_offset) + u64::from(owner.index) * CHUNK_BYTES as u64;
            self.source.read(&mut bytes, offset).map_err(|e| Error::new(&self.path, offset, ErrorKind::Io(e)))?;
            // It may have been given back since the first look, if a tool is at work after all.
            let Some(chunk) = Chunk::read(&bytes).filter(is_owned) else { continue };
            let runs = runs(&chunk, &mut bytes);
            let records = ChunkRecords { chunk, bytes, runs };
            self.calibrate(&records);
            return Ok(Some(records));
        }
        Ok(None)
    }

    /// Without a tool nobody wrote a second calibration point: what processes said of the time when
    /// they attached is the next best.
    fn calibrate(&mut self, records: &ChunkRecords) {
        if self.clock.is_calibrated() {
            return;
        }
        let first = self.clock.first();
        for record in records.batches().flat_map(|batch| batch.records()) {
            if record.commit.kind != KIND_PROCESS {
                continue;
            }
            let Some(process) = record.extension().and_then(|(_, body)| Process::read(body)) else { continue };
            let mono_ns = process.real_ns.saturating_sub(first.real_ns).saturating_add(first.mono_ns);
            self.clock.calibrate(Point { ticks: process.ticks, mono_ns, real_ns: process.real_ns });
        }
    }
}

fn is_owned(chunk: &Chunk) -> bool {
    chunk.status as u32 == CHUNK_OWNED && (chunk.status >> 32) as u32 == chunk.identity_generation
}

/// The published records of a chunk, as runs of bytes. Slots that were reserved and never published
/// are passed over one by one. Behind the bodies of extensions there are zeros then.
fn runs(chunk: &Chunk, bytes: &mut [u8]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let end = SLOT_BYTES * (1 + chunk.used.min(CHUNK_SLOTS) as usize);
    let mut at = SLOT_BYTES;
    while let Some(head) = bytes.get(..end).and_then(|bytes| Extension::read(bytes.get(at..)?)) {
        let commit = Commit::from_word(head.commit);
        let next = at + SLOT_BYTES * usize::from(commit.slots);
        if commit.generation != chunk.identity_generation || commit.slots == 0 || next > bytes.len() {
            at += SLOT_BYTES;
            continue;
        }
        if !matches!(commit.kind, KIND_CALL | KIND_COMPLETION) {
            clear_behind(bytes.get_mut(at..next).unwrap_or_default());
        }
        match runs.last_mut() {
            Some(run) if run.1 == at => run.1 = next,
            _ => runs.push((at, next)),
        }
        at = next;
    }
    // Calls may be lost before a chunk that holds nothing.
    if runs.is_empty() && chunk.lost != 0 {
        runs.push((SLOT_BYTES, SLOT_BYTES));
    }
    runs
}

/// Checks the first 16 bytes, which regions and traces have alike: magic, version, byte order.
pub(crate) fn check_start(path: &Path, head: &[u8], magic: u64, version: u32) -> Result<(), Error> {
    let error = |offset: usize, kind| Err(Error::new(path, offset as u64, kind));
    if head.is_empty() {
        return error(0, ErrorKind::Empty);
    }
    let mut start = [0u8; 8];
    let there = head.len().min(8);
    start[..there].copy_from_slice(&head[..there]);
    if there < 8 && magic.to_le_bytes().starts_with(&head[..there]) {
        return error(there, ErrorKind::ShortHeader);
    }
    if start != magic.to_le_bytes() {
        // A region whose creator was killed before the magic number was written is all zeros there.
        return error(0, if start == [0; 8] { ErrorKind::Empty } else { ErrorKind::Foreign(start) });
    }
    let half = |at: usize| -> Option<u32> { Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?)) };
    let (Some(theirs), Some(order)) = (half(8), half(12)) else {
        return error(head.len(), ErrorKind::ShortHeader);
    };
    if order != BYTE_ORDER {
        return error(12, ErrorKind::ByteOrder);
    }
    if theirs != version {
        return error(8, ErrorKind::Version(theirs, version));
    }
    Ok(())
}
