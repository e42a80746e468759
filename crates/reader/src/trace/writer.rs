//! Writes a trace: blocks that are complete in themselves, each in one write.

use super::output::{Output, header, lines};
use super::pack::Packer;
use super::pass::batches;
use super::series::{Limit, Series, may_replace, numbered};
use super::{BLOCK_BYTES, MAX_BLOCK_BYTES};
use crate::audit::Audit;
use crate::clock::{Clock, Point};
use crate::records::Batch;
use sockshim_format::record::*;
use sockshim_format::region::{BYTE_ORDER, Header, SLOT_BYTES};
use sockshim_format::trace::*;
use std::io;
use std::path::Path;

/// A trace that is being written.
///
/// After an error, such as a full disk, the file is what it was before the write, and readable. What
/// was to be written is counted in [`TraceWriter::unwritten`]; writing may go on.
pub struct TraceWriter {
    output: Output,
    /// What each file of the run begins with.
    head: FileHeader,
    meta: String,
    /// The other files, if there may be several.
    series: Option<Box<Series>>,
    /// Payload of the block that is being collected.
    block: Vec<u8>,
    packer: Packer,
    calls: u32,
    /// Those of them that are over: one that is told as entered is told again.
    ended: u32,
    min_ticks: u64,
    max_ticks: u64,
    complete_ticks: u64,
    unwritten: u64,
    /// Where calibration points come from while the run is going on.
    clock: Option<Clock>,
}

impl TraceWriter {
    /// Creates the file, or empties it, readable by its owner alone. `meta` says what the run was:
    /// `command`, `tool_version`, `host`, and `region`, the path of the live region, by which a
    /// reader finds what was not yet written when the tool was killed.
    pub fn create(path: impl AsRef<Path>, meta: &[(&str, &str)], region: &Header) -> io::Result<TraceWriter> {
        let first = Point { ticks: region.first_ticks, mono_ns: region.first_mono_ns, real_ns: region.first_real_ns };
        let head = FileHeader {
            magic: TRACE_MAGIC,
            version: TRACE_VERSION,
            byte_order: BYTE_ORDER,
            meta_bytes: 0,
            clock: region.clock,
            id: region.id,
            first_ticks: region.first_ticks,
            first_mono_ns: region.first_mono_ns,
            first_real_ns: region.first_real_ns,
        };
        let meta = lines(meta);
        Ok(TraceWriter {
            output: Output::begin(path.as_ref(), &head, &meta)?,
            head,
            meta,
            series: None,
            block: Vec::new(),
            packer: Packer::default(),
            calls: 0,
            ended: 0,
            min_ticks: u64::MAX,
            max_ticks: 0,
            complete_ticks: 0,
            unwritten: 0,
            clock: Some(Clock::new(region.clock, first)),
        })
    }

    /// Goes on in another file when one is full. [`TraceWriter::alive`] then has to be told now and then.
    pub fn limited(mut self, limit: Limit) -> io::Result<TraceWriter> {
        if !self.output.regular {
            return Err(io::Error::other("it is no regular file, so its size cannot be limited"));
        }
        may_replace(&numbered(&self.output.path, 1))?;
        self.series = Some(Box::new(Series::new(limit, &self.output.path)));
        Ok(self)
    }

    /// Takes no calibration points by itself: for records that are not of the present.
    pub fn of_the_past(mut self) -> TraceWriter {
        self.clock = None;
        self
    }

    /// Calls that could not be written, for want of room on the disk for example.
    pub fn unwritten(&self) -> u64 {
        self.unwritten
    }

    /// Calls that were in files which had to make room for newer ones.
    pub fn overwritten(&self) -> u64 {
        self.series.as_ref().map_or(0, |series| series.overwritten())
    }

    /// How many files there are.
    pub fn files(&self) -> usize {
        self.series.as_ref().map_or(1, |series| series.files())
    }

    /// Takes note of the processes that have attached and are not gone: (number, pid). The next file does
    /// not repeat the others.
    pub fn alive(&mut self, alive: &[(u32, u32)]) {
        if let Some(series) = &mut self.series {
            series.carry.alive(alive);
        }
    }

    /// Bytes of the file that is being written.
    pub fn bytes(&self) -> u64 {
        self.output.good
    }

    /// Adds records to the block that is being collected, and writes it when it is large.
    pub fn batch(&mut self, batch: &Batch<'_>) -> io::Result<()> {
        let slots = batch.slots.len() / SLOT_BYTES;
        let run = Run { process: batch.process, tid: batch.tid, slots: slots as u32, lost: batch.lost };
        self.block.extend_from_slice(&run.to_bytes());
        let mut end = self.block.len();
        self.block.extend_from_slice(batch.slots.get(..slots * SLOT_BYTES).unwrap_or(&[]));
        for record in batch.records() {
            let begin = end;
            end += record.bytes.len();
            if !matches!(record.commit.kind, KIND_CALL | KIND_COMPLETION) {
                // Behind a body lies what the slot was used for before: it says nothing, hardly packs, and may be
                // payload.
                if let Some((_, body)) = record.extension() {
                    let behind = begin + Extension::SIZE + body.len();
                    self.block.get_mut(behind..end).unwrap_or_default().fill(0);
                }
                continue;
            }
            self.calls = self.calls.saturating_add(1);
            self.ended += u32::from(record.commit.state != STATE_ENTERED);
            // Coarse ticks are nanoseconds: they do not compare with the others.
            if let Some(call) = Call::read(record.bytes)
                && record.commit.flags & FLAG_COARSE == 0
            {
                self.min_ticks = self.min_ticks.min(call.start_ticks);
                self.max_ticks = self.max_ticks.max(call.start_ticks.saturating_add(call.duration_ticks));
            }
        }
        let most = self.series.as_ref().map_or(BLOCK_BYTES, |series| series.limit.block_bytes());
        if self.block.len() >= most { self.write_records() } else { Ok(()) }
    }

    /// Ends a pass over the region: writes what was collected. `complete_ticks` is what the pass
    /// said of itself. Now and then a calibration point follows, so that time can be told even if
    /// the trace is never ended.
    pub fn end_pass(&mut self, complete_ticks: u64) -> io::Result<()> {
        self.complete_ticks = self.complete_ticks.max(complete_ticks);
        if self.block.is_empty() {
            return Ok(());
        }
        self.write_records()?;
        match self.clock.as_mut().and_then(Clock::recalibrate) {
            Some(point) => self.clock(point),
            None => Ok(()),
        }
    }

    /// Writes a calibration point.
    pub fn clock(&mut self, point: Point) -> io::Result<()> {
        self.write_small(BLOCK_CLOCK, &point.to_bytes())
    }

    /// Writes what the tool saw of the run besides the records.
    pub fn notes(&mut self, notes: &[(&str, &str)]) -> io::Result<()> {
        if notes.is_empty() { Ok(()) } else { self.write_small(BLOCK_NOTES, lines(notes).as_bytes()) }
    }

    /// Writes session keys of TLS: lines of an NSS key log.
    pub fn keys(&mut self, lines: &str) -> io::Result<()> {
        lines.as_bytes().chunks(MAX_BLOCK_BYTES / 2).try_for_each(|part| self.write_small(BLOCK_KEYS, part))
    }

    /// Writes how the run compared with what the kernel was asked.
    pub fn audit(&mut self, audit: &Audit) -> io::Result<()> {
        self.write_small(BLOCK_AUDIT, audit.to_string().as_bytes())
    }

    /// Writes what is left and ends the trace in order.
    pub fn finish(mut self, end: &End) -> io::Result<()> {
        if !self.block.is_empty() {
            // The end shall be on record even if these records do not fit.
            let _ = self.write_records();
        }
        let end = End { lost: end.lost.saturating_add(self.unwritten), ..*end };
        self.write_small(BLOCK_END, &end.to_bytes())?;
        if self.output.is_removed()? {
            return Err(io::Error::other("somebody removed its file"));
        }
        if let Some(series) = self.series {
            series.join(&self.output.path);
        }
        Ok(())
    }

    fn write_records(&mut self) -> io::Result<()> {
        let payload = std::mem::take(&mut self.block);
        let min_ticks = if self.min_ticks == u64::MAX { 0 } else { self.min_ticks };
        let header = header(BLOCK_RECORDS, self.complete_ticks);
        let header = Block { calls: self.calls, min_ticks, max_ticks: self.max_ticks, ..header };
        let mut packer = std::mem::take(&mut self.packer);
        let packed = packer.pack(&payload);
        let mut written = self.store(header, &payload, packed);
        // On a disk that is smaller than was thought, the oldest makes way for the newest too.
        while is_full(&written) && self.make_way() {
            written = self.store(header, &payload, packed);
        }
        self.packer = packer;
        match &mut self.series {
            _ if written.is_err() => self.unwritten += u64::from(self.ended),
            Some(series) => series.note(batches(&payload), self.ended),
            None => {}
        }
        self.block = payload;
        self.block.clear();
        (self.calls, self.ended, self.min_ticks, self.max_ticks) = (0, 0, u64::MAX, 0);
        written
    }

    fn store(&mut self, header: Block, payload: &[u8], packed: &[u8]) -> io::Result<()> {
        self.make_room(packed.len().min(payload.len()))?;
        self.output.records(header, payload, packed)
    }

    /// Removes the oldest file of a flight recorder. False if there is none but the newest.
    fn make_way(&mut self) -> bool {
        self.series.as_mut().is_some_and(|series| series.remove_oldest())
    }

    /// Goes on in another file if a block with so much payload would make this one too large.
    fn make_room(&mut self, payload: usize) -> io::Result<()> {
        let bytes = self.output.good + (Block::SIZE + payload).next_multiple_of(8) as u64;
        let Some(series) = self.series.as_mut().filter(|series| series.is_full(bytes)) else { return Ok(()) };
        let now = self.clock.as_ref().filter(|clock| clock.last().is_some()).map(Clock::now);
        self.output = series.next(&mut self.output, &self.head, &self.meta, now, self.complete_ticks)?;
        Ok(())
    }

    fn write_small(&mut self, kind: u16, payload: &[u8]) -> io::Result<()> {
        let header = header(kind, self.complete_ticks);
        let mut written = self.output.plain(header, payload);
        while is_full(&written) && self.make_way() {
            written = self.output.plain(header, payload);
        }
        written
    }
}

/// Whether the disk had no room.
fn is_full(written: &io::Result<()>) -> bool {
    written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::StorageFull)
}
