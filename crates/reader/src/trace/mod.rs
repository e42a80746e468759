//! The trace: the file that the tool keeps. Reading takes it block by block, so that a trace may be
//! larger than memory, and gives every whole block of a torn or damaged one.

mod blocks;
mod carry;
mod checksum;
mod follow;
mod keys;
mod lz4;
mod merge;
mod output;
mod pack;
mod part;
mod pass;
mod series;
mod snapshot;
mod writer;

use crate::audit::Audit;
use crate::clock::{Clock, Point};
use crate::error::Error;
use crate::model::words::count;
use crate::region::RegionFile;
use blocks::is_records;
use merge::Written;
use part::{Part, meta_lines};
pub use pass::Pass;
pub use series::Limit;
pub use snapshot::{NoCopy, snapshot};
use sockshim_format::region::Header;
use sockshim_format::trace::*;
use std::collections::{HashMap, HashSet};
use std::path::Path;
pub use writer::TraceWriter;

/// No block is longer: what claims to be is damaged.
const MAX_BLOCK_BYTES: usize = 8 << 20;
/// Payload that makes a block: with its planes, what a processor keeps at hand. A batch behind that adds less than
/// a chunk.
const BLOCK_BYTES: usize = 512 << 10;
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
    /// In order, but the run goes on in another file.
    Continued,
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

/// A trace or a region file, opened for reading.
pub struct Trace {
    /// The files of a run, one behind the other: mostly it is one.
    parts: Vec<Part>,
    /// The one that is being read.
    at: usize,
    /// Records have been given: what is carried over from earlier files is then known.
    told: bool,
    /// Processes that have introduced themselves in what was given.
    introduced: HashSet<u32>,
    /// The tool still writes.
    goes_on: bool,
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
    /// everything and the region is still there, what it holds is read behind the trace. Of a flight
    /// recorder that is still in several files all are read that belong to it.
    pub fn open(path: impl AsRef<Path>) -> Result<Trace, Error> {
        let path = path.as_ref();
        match Part::open(path)? {
            Some(part) => Trace::of_parts(part.with_earlier(path)),
            None => Trace::of_region(RegionFile::open(path)?),
        }
    }

    /// Opens the files of one run, in whatever order they are given.
    pub fn open_all(paths: &[impl AsRef<Path>]) -> Result<Trace, Error> {
        match paths {
            [path] => Trace::open(path),
            paths => Trace::of_parts(Part::open_all(paths)?),
        }
    }

    fn of_parts(mut parts: Vec<Part>) -> Result<Trace, Error> {
        let Some(Part { header, .. }) = parts.first() else { return Err(Error::nothing()) };
        let id = header.id;
        let first = Point { ticks: header.first_ticks, mono_ns: header.first_mono_ns, real_ns: header.first_real_ns };
        let mut clock = Clock::new(header.clock, first);
        // Clock points come behind the records that they are needed for, so a first walk over the
        // block headers collects them.
        let (mut meta, mut audit, mut tail) = (Vec::new(), None, Tail::Open);
        for part in &mut parts {
            if meta.is_empty() {
                meta.append(&mut part.meta);
            }
            let blocks = &mut part.blocks;
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
            tail = blocks.tail();
            blocks.rewind();
        }
        let mut trace = Trace {
            parts,
            at: 0,
            told: false,
            introduced: HashSet::new(),
            goes_on: false,
            region: None,
            written: None,
            meta,
            clock,
            id,
            audit,
            tail,
        };
        trace.find_region();
        Ok(trace)
    }

    /// Reads a region that this process itself records in, as it was copied just now.
    pub fn of_copy(region: Vec<u8>) -> Result<Trace, Error> {
        Trace::of_region(RegionFile::of_copy(region)?)
    }

    fn of_region(region: RegionFile) -> Result<Trace, Error> {
        let header = region.header();
        Ok(Trace {
            parts: Vec::new(),
            at: 0,
            told: false,
            introduced: HashSet::new(),
            goes_on: false,
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
        if matches!(self.tail, Tail::Ended(_) | Tail::Continued) {
            return;
        }
        // The path is the file's word: of a pipe or a device not even the opening is harmless.
        let is_file = |path: &&str| std::fs::metadata(path).is_ok_and(|meta| meta.is_file());
        let Some(path) = self.meta("region").filter(is_file).map(str::to_owned) else { return };
        // What a tool that lives takes out of the region while we read the file would be in neither. It is asked
        // first: to look at all chunks takes a while, in which a run may end in order.
        if let Some(clock) = RegionFile::drained_now(path.as_ref(), self.id) {
            clock.last().into_iter().for_each(|point| self.clock.calibrate(point));
            self.goes_on = true;
            return;
        }
        let region = RegionFile::open(&path).ok().filter(|region| region.header().id == self.id);
        if let Some(region) = region {
            if let Some(last) = region.clock().last() {
                self.clock.calibrate(last);
            }
            // It ended in order since we looked at the file, which has all of it.
            if region.header().closed != 0 {
                self.goes_on = true;
                return;
            }
            self.region = Some(region);
            self.written = Some(Written::default());
        }
    }

    /// What the tool wrote about the run: `command`, `tool_version`, `host`, `boot_id`, `region`.
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

    /// Whether the run went on when the trace was opened: what was written by then is read.
    pub fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// What the files lack of the run, in words. Final once `next_pass` has given `None`. Of a region, and of a run that
    /// goes on, all is there by now.
    pub fn lacking(&self) -> Vec<String> {
        let mut lacking = Vec::new();
        if self.damaged_bytes() > 0 {
            lacking.push(format!("{} of the trace are damaged", count(self.damaged_bytes(), "byte")));
        }
        match self.tail {
            Tail::Ended(_) | Tail::Region { .. } => {}
            Tail::Open if self.goes_on => {}
            Tail::Open => {
                lacking.push("the trace was not ended: sockshim was killed, or the file was copied before".into())
            }
            Tail::Torn { offset, .. } => {
                lacking.push(format!("the trace is cut short at byte {offset}: what came then is missing"));
            }
            Tail::Continued => lacking.push("the run goes on in another file, which was not given".into()),
        }
        lacking
    }

    /// Which file of its run this is, from 1, or the first of several.
    pub fn part(&self) -> u64 {
        self.meta("part").and_then(|part| part.parse().ok()).unwrap_or(1)
    }

    /// The name of the file in which the run goes on, empty if that is not told.
    pub fn next_file(&self) -> &str {
        self.parts.last().and_then(|part| part.blocks.next_file()).unwrap_or_default()
    }

    /// Calls in earlier files of the run.
    pub fn calls_before(&self) -> u64 {
        self.meta("calls_before").and_then(|calls| calls.parse().ok()).unwrap_or(0)
    }

    /// Whether the earlier files were overwritten: it is of a flight recorder.
    pub fn keeps_newest(&self) -> bool {
        self.meta("keep").is_some()
    }

    /// The live region that is read behind the trace, or that is the trace.
    pub fn region(&self) -> Option<&Header> {
        self.region.as_ref().map(RegionFile::header)
    }

    /// Bytes between good blocks that could not be read, so far.
    pub fn damaged_bytes(&self) -> u64 {
        // Only the last file may end in the middle of something.
        let torn = self.parts.iter().rev().skip(1).map(|part| part.blocks.torn_bytes());
        self.parts.iter().map(|part| part.blocks.damaged).chain(torn).sum()
    }

    /// Calls and extensions that the shim could not record, if the file says so.
    pub fn lost(&self) -> Option<(u64, u64)> {
        match (self.tail, self.region()) {
            (Tail::Ended(end), _) => Some((end.lost, end.lost_extensions)),
            (_, Some(header)) => Some((header.lost, header.lost_extensions)),
            _ => None,
        }
    }

    /// Takes back a pass that is over: the next one needs as much room, and this has its pages.
    pub(crate) fn take_back(&mut self, pass: Pass) {
        if let Some(part) = self.parts.get_mut(self.at) {
            part.blocks.spare = pass.bytes;
        }
    }

    /// Calls that a filter of the program left out, as far as the file says.
    pub fn left_out(&self) -> u64 {
        match (self.tail, self.region()) {
            (Tail::Ended(end), _) => end.left_out,
            (_, header) => header.map_or(0, |header| header.left_out),
        }
    }

    /// The next records. An `Err` is the disk's: what is wrong with the bytes of the file is told by
    /// `tail` and `damaged_bytes`.
    pub fn next_pass(&mut self) -> Result<Option<Pass>, Error> {
        while let Some(part) = self.parts.get_mut(self.at) {
            while let Some((block, payload)) = part.blocks.next(is_records)? {
                // What is carried over is news only in front of everything else.
                if !is_records(block.kind) || (block.kind == BLOCK_CARRIED && self.told) {
                    // Of a file that grows it is news.
                    if let Some(point) = Point::read(&payload).filter(|_| block.kind == BLOCK_CLOCK) {
                        self.clock.calibrate(point);
                    }
                    continue;
                }
                self.told = true;
                let pass = Pass::of_block(payload, &block, &mut self.introduced);
                if let Some(written) = &mut self.written {
                    pass.batches().for_each(|batch| written.note(&batch));
                }
                return Ok(Some(pass));
            }
            self.tail = part.blocks.tail();
            part.blocks.let_go();
            self.at += 1;
        }
        self.next_of_region()
    }

    fn next_of_region(&mut self) -> Result<Option<Pass>, Error> {
        let Some(region) = &mut self.region else { return Ok(None) };
        let mut pass = Pass { bytes: Vec::new(), complete_ticks: None, carried: false, pids: HashMap::new() };
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
