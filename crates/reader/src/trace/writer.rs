//! Writes a trace: blocks that are complete in themselves, each in one write.

use super::output::{Output, header, lines};
use super::pack::{Packed, Packer, Tally};
use super::series::{Limit, Series};
use super::{BLOCK_BYTES, MAX_BLOCK_BYTES};
use crate::audit::Audit;
use crate::clock::{Clock, Point};
use crate::records::Batch;
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
    /// The block that is being collected. It is large, and a writer is moved a few times before it comes to lie where it stays.
    packer: Box<Packer>,
    complete_ticks: u64,
    unwritten: u64,
    /// Where calibration points come from while the run is going on.
    clock: Option<Clock>,
}

impl TraceWriter {
    /// Creates the file, or writes over one that is there, readable by its owner alone. `meta` says what the run was:
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
            packer: Box::default(),
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
        limit.may_begin(&self.output.path)?;
        self.series = Some(Box::new(Series::new(limit, &self.output.path)));
        Ok(self)
    }

    /// Nothing was recorded: removes the file, if it was not there before. Else it is left empty.
    pub fn discard(self) {
        self.output.take_back();
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
        let count = batch.slots.len() / SLOT_BYTES;
        let slots = batch.slots.get(..count * SLOT_BYTES).unwrap_or(&[]);
        let run = Run { process: batch.process, tid: batch.tid, slots: count as u32, lost: batch.lost };
        self.packer.add(&run, slots);
        let most = match &mut self.series {
            Some(series) => {
                series.collect(&run, slots);
                series.limit.block_bytes()
            }
            None => BLOCK_BYTES,
        };
        if self.packer.payload_bytes() >= most { self.write_records() } else { Ok(()) }
    }

    /// Writes what was collected. What was told until now is then in the file.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.packer.payload_bytes() == 0 { Ok(()) } else { self.write_records() }
    }

    /// Ends a pass over the region: writes what was collected. `complete_ticks` is what the pass
    /// said of itself. Now and then a calibration point follows, so that time can be told even if
    /// the trace is never ended.
    pub fn end_pass(&mut self, complete_ticks: u64) -> io::Result<()> {
        self.complete_ticks = self.complete_ticks.max(complete_ticks);
        if self.packer.payload_bytes() == 0 {
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
        // The end shall be on record even if these records do not fit.
        let _ = self.flush();
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
        let packed = self.packer.finish();
        let Tally { calls, ended, min_ticks, max_ticks } = packed.tally;
        let min_ticks = if min_ticks == u64::MAX { 0 } else { min_ticks };
        let header = Block { calls, min_ticks, max_ticks, ..header(BLOCK_RECORDS, self.complete_ticks) };
        let mut written = self.store(header, &packed);
        // On a disk that is smaller than was thought, the oldest makes way for the newest too.
        while is_full(&written) && self.make_way() {
            written = self.store(header, &packed);
        }
        self.packer.give_back(packed);
        if written.is_err() {
            self.unwritten += u64::from(ended);
        }
        if let Some(series) = &mut self.series {
            series.note(written.is_ok().then_some(ended));
        }
        written
    }

    fn store(&mut self, header: Block, packed: &Packed) -> io::Result<()> {
        self.make_room(packed.bytes().len().min(packed.payload_bytes))?;
        self.output.records(header, packed)
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
