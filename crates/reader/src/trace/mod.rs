//! The trace: the file that the tool keeps. Reading takes it block by block, so that a trace may be
//! larger than memory, and gives every whole block of a torn or damaged one.

mod blocks;
mod merge;
mod pack;
mod writer;

use crate::audit::Audit;
use crate::clock::{Clock, Point};
use crate::error::{Error, ErrorKind};
use crate::records::Batch;
use crate::region::{RegionFile, check_start};
use blocks::Blocks;
use merge::Written;
use sockshim_format::record::{KIND_PROCESS, Process};
use sockshim_format::region::{Header, REGION_MAGIC, SLOT_BYTES};
use sockshim_format::trace::*;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
pub use writer::TraceWriter;

/// No block is longer: what claims to be is damaged. The writer ends a block at half of it, and a
/// batch behind that adds less than a chunk.
const MAX_BLOCK_BYTES: usize = 8 << 20;
/// Lines of notes that are kept: a line takes more memory than room in the file.
const MAX_NOTES: usize = 4096;
/// Chunks of a region file that make one pass.
const CHUNKS_PER_PASS: usize = 64;

/// How a trace ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// In order: the run is over.
    Ended(End),
    /// Behind a whole block: the tool was killed between two, or still writes.
    Open,
    /// In the middle of something; everything in front of `offset` is good.
    Torn {
        /// Where the last good block ends.
        offset: u64,
        /// What stands there.
        reason: &'static str,
    },
    /// It is a live region: no tool, or one that was killed.
    Region {
        /// Whether its creator has ended the run in order.
        closed: bool,
    },
}

/// What one pass of the tool over the region found, or a part of that.
pub struct Pass {
    bytes: Vec<u8>,
    complete_ticks: Option<u64>,
    /// The pids of processes that are known, by number: a thread's records may lie in front of those with
    /// which its process introduces itself.
    pids: HashMap<u32, u32>,
}

impl Pass {
    /// What a block holds.
    fn of_block(bytes: Vec<u8>, complete_ticks: u64) -> Pass {
        let mut pass = Pass { bytes, complete_ticks: Some(complete_ticks), pids: HashMap::new() };
        let records = pass.batches().flat_map(|batch| batch.records());
        let introductions = records.filter(|record| record.commit.kind == KIND_PROCESS);
        pass.pids = introductions
            .filter_map(|record| Process::read(record.extension()?.1))
            .map(|process| (process.process, process.pid))
            .collect();
        pass
    }

    /// The runs of records. A pid that an earlier pass told is not known here, but to the
    /// [`crate::Assembler`].
    pub fn batches(&self) -> impl Iterator<Item = Batch<'_>> {
        let mut left = &self.bytes[..];
        std::iter::from_fn(move || {
            let run = Run::read(left)?;
            let slots = left.get(Run::SIZE..)?;
            let (slots, rest) = slots.split_at_checked((run.slots as usize).checked_mul(SLOT_BYTES)?)?;
            left = rest;
            let pid = self.pids.get(&run.process).copied().unwrap_or(0);
            Some(Batch { process: run.process, pid, tid: run.tid, lost: run.lost, slots })
        })
    }

    /// Every call that ended before this is in this pass or an earlier one. `None` in a region file.
    pub fn complete_ticks(&self) -> Option<u64> {
        self.complete_ticks
    }

    fn add(&mut self, batch: &Batch<'_>) {
        let slots = (batch.slots.len() / SLOT_BYTES) as u32;
        if batch.pid != 0 {
            self.pids.insert(batch.process, batch.pid);
        }
        let run = Run { process: batch.process, tid: batch.tid, slots, lost: batch.lost };
        self.bytes.extend_from_slice(&run.to_bytes());
        self.bytes.extend_from_slice(batch.slots);
    }
}

/// A trace or a region file, opened for reading.
pub struct Trace {
    blocks: Option<Blocks>,
    region: Option<RegionFile>,
    /// What the trace holds already of the region that it is merged with.
    written: Option<Written>,
    meta: Vec<(String, String)>,
    clock: Clock,
    id: [u64; 2],
    audit: Option<Audit>,
    tail: Tail,
}

impl Trace {
    /// Opens a trace, or a live region as it lies. If the tool was killed before it had written
    /// everything and the region is still there, what it holds is read behind the trace.
    pub fn open(path: impl AsRef<Path>) -> Result<Trace, Error> {
        let path = path.as_ref();
        let error = |offset: u64, kind| Error::new(path, offset, kind);
        let io = |e| error(0, ErrorKind::Io(e));
        let file = File::open(path).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        let mut head = Vec::new();
        (&file).take(FileHeader::SIZE as u64).read_to_end(&mut head).map_err(io)?;
        if head.starts_with(&REGION_MAGIC.to_le_bytes()) {
            return Trace::of_region(RegionFile::open(path)?);
        }
        check_start(path, &head, TRACE_MAGIC, TRACE_VERSION)?;
        let short = |offset| error(offset, ErrorKind::ShortHeader);
        let header = FileHeader::read(&head).ok_or_else(|| short(bytes))?;
        let start = FileHeader::SIZE as u64 + u64::from(header.meta_bytes);
        if start > bytes {
            return Err(short(bytes));
        }
        let mut text = Vec::new();
        (&file).take(u64::from(header.meta_bytes)).read_to_end(&mut text).map_err(io)?;
        let first = Point { ticks: header.first_ticks, mono_ns: header.first_mono_ns, real_ns: header.first_real_ns };
        let mut clock = Clock::new(header.clock, first);
        // Clock points come behind the records that they are needed for, so a first walk over the
        // block headers collects them.
        let mut blocks = Blocks::new(file, path.to_owned(), bytes, start.next_multiple_of(8));
        let (mut meta, mut audit) = (meta_lines(&text), None);
        while let Some((block, payload)) = blocks.next(|kind| matches!(kind, BLOCK_NOTES | BLOCK_AUDIT))? {
            match (block.kind, Point::read(&payload)) {
                (BLOCK_CLOCK, Some(point)) => clock.calibrate(point),
                (BLOCK_AUDIT, _) => audit = Some(Audit::of_text(&String::from_utf8_lossy(&payload))),
                (BLOCK_NOTES, _) => {
                    meta.extend(meta_lines(&payload).into_iter().take(MAX_NOTES.saturating_sub(meta.len())));
                }
                _ => {}
            }
        }
        let tail = blocks.tail();
        blocks.rewind();
        let id = header.id;
        let mut trace = Trace { blocks: Some(blocks), region: None, written: None, meta, clock, id, audit, tail };
        trace.find_region();
        Ok(trace)
    }

    fn of_region(region: RegionFile) -> Result<Trace, Error> {
        let header = region.header();
        Ok(Trace {
            blocks: None,
            written: None,
            meta: Vec::new(),
            clock: region.clock().clone(),
            id: header.id,
            audit: None,
            tail: Tail::Region { closed: header.closed != 0 },
            region: Some(region),
        })
    }

    /// Looks for the region of a trace that was not ended.
    fn find_region(&mut self) {
        if matches!(self.tail, Tail::Ended(_)) {
            return;
        }
        // The path is the file's word: of a pipe or a device not even the opening is harmless.
        let is_file = |path: &&str| std::fs::metadata(path).is_ok_and(|meta| meta.is_file());
        let region = self.meta("region").filter(is_file).and_then(|path| RegionFile::open(path).ok());
        if let Some(region) = region.filter(|region| region.header().id == self.id) {
            if let Some(last) = region.clock().last() {
                self.clock.calibrate(last);
            }
            self.region = Some(region);
            self.written = Some(Written::default());
        }
    }

    /// What the tool wrote about the run: `command`, `tool_version`, `host`, `region`.
    pub fn meta(&self, key: &str) -> Option<&str> {
        self.meta.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// All that the tool wrote, key by key; of what it saw besides the records `io_uring`, the number
    /// of a process, and `not_followed`, a pid and a path.
    pub fn notes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.meta.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The random id of the run.
    pub fn id(&self) -> [u64; 2] {
        self.id
    }

    /// What turns ticks into time.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How the run compared with what the kernel was asked, if it was audited.
    pub fn audit(&self) -> Option<&Audit> {
        self.audit.as_ref()
    }

    /// How the file ends. Final once `next_pass` has given `None`.
    pub fn tail(&self) -> Tail {
        self.tail
    }

    /// The live region that is read behind the trace, or that is the trace.
    pub fn region(&self) -> Option<&Header> {
        self.region.as_ref().map(RegionFile::header)
    }

    /// Bytes between good blocks that could not be read, so far.
    pub fn damaged_bytes(&self) -> u64 {
        self.blocks.as_ref().map_or(0, |blocks| blocks.damaged)
    }

    /// Calls and extensions that the shim could not record, if the file says so.
    pub fn lost(&self) -> Option<(u64, u64)> {
        match (self.tail, self.region()) {
            (Tail::Ended(end), _) => Some((end.lost, end.lost_extensions)),
            (_, Some(header)) => Some((header.lost, header.lost_extensions)),
            _ => None,
        }
    }

    /// The next records. An `Err` is the disk's: what is wrong with the bytes of the file is told by
    /// `tail` and `damaged_bytes`.
    pub fn next_pass(&mut self) -> Result<Option<Pass>, Error> {
        if let Some(blocks) = &mut self.blocks {
            while let Some((block, payload)) = blocks.next(|kind| kind == BLOCK_RECORDS)? {
                if block.kind != BLOCK_RECORDS {
                    continue;
                }
                let pass = Pass::of_block(payload, block.complete_ticks);
                if let Some(written) = &mut self.written {
                    pass.batches().for_each(|batch| written.note(&batch));
                }
                return Ok(Some(pass));
            }
            self.tail = blocks.tail();
        }
        self.next_of_region()
    }

    fn next_of_region(&mut self) -> Result<Option<Pass>, Error> {
        let Some(region) = &mut self.region else { return Ok(None) };
        let mut pass = Pass { bytes: Vec::new(), complete_ticks: None, pids: HashMap::new() };
        let mut chunks = 0;
        // Chunks that hold nothing new do not end the trace.
        while chunks < CHUNKS_PER_PASS || pass.bytes.is_empty() {
            let Some(chunk) = region.next_chunk()? else { break };
            chunks += 1;
            for batch in chunk.batches() {
                match &mut self.written {
                    Some(written) => written.rest(&batch, &mut |rest| pass.add(&rest)),
                    None => pass.add(&batch),
                }
            }
            if !self.clock.is_calibrated()
                && let Some(point) = region.clock().last()
            {
                self.clock.calibrate(point);
            }
        }
        Ok((!pass.bytes.is_empty()).then_some(pass))
    }
}

/// `key value` lines up to the first empty one; the schema stands behind that.
fn meta_lines(text: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().take_while(|line| !line.is_empty());
    lines.filter_map(|line| line.split_once(' ')).map(|(key, value)| (key.to_owned(), unescape(value))).collect()
}

fn unescape(value: &str) -> String {
    let mut out = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next().map(|c| if c == 'n' { '\n' } else { c })),
            c => out.push(c),
        }
    }
    out
}
