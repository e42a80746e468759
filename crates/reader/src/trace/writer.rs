//! Writes a trace: blocks that are complete in themselves, each in one write.

use super::MAX_BLOCK_BYTES;
use super::pack::pack;
use crate::audit::Audit;
use crate::clock::{Clock, Point};
use crate::records::Batch;
use sockshim_format::record::*;
use sockshim_format::region::{BYTE_ORDER, Header, SLOT_BYTES};
use sockshim_format::trace::*;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// A trace that is being written.
///
/// After an error, such as a full disk, the file is what it was before the write, and readable. What
/// was to be written is counted in [`TraceWriter::unwritten`]; writing may go on.
pub struct TraceWriter {
    file: File,
    /// Whether it is a regular file, which others could change; not a pipe.
    regular: bool,
    /// Bytes of the file that are whole blocks.
    good: u64,
    /// Payload of the block that is being collected, behind room for its header.
    block: Vec<u8>,
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
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let regular = file.metadata()?.is_file();
        if regular {
            // One that was there already may have been readable by others. If it is not ours to change,
            // it is not ours to say who reads it.
            let _ = file.set_permissions(std::fs::Permissions::from_mode(0o600));
        }
        let mut text = lines(meta);
        text.push('\n');
        text.push_str(&SCHEMA.concat());
        while !text.len().is_multiple_of(8) {
            text.push('\n');
        }
        let first = Point { ticks: region.first_ticks, mono_ns: region.first_mono_ns, real_ns: region.first_real_ns };
        let header = FileHeader {
            magic: TRACE_MAGIC,
            version: TRACE_VERSION,
            byte_order: BYTE_ORDER,
            meta_bytes: text.len() as u32,
            clock: region.clock,
            id: region.id,
            first_ticks: region.first_ticks,
            first_mono_ns: region.first_mono_ns,
            first_real_ns: region.first_real_ns,
        };
        let mut writer = TraceWriter {
            file,
            regular,
            good: 0,
            block: vec![0; Block::SIZE],
            calls: 0,
            ended: 0,
            min_ticks: u64::MAX,
            max_ticks: 0,
            complete_ticks: 0,
            unwritten: 0,
            clock: Some(Clock::new(region.clock, first)),
        };
        writer.write(&[&header.to_bytes()[..], text.as_bytes()].concat())?;
        Ok(writer)
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

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.good
    }

    /// Adds records to the block that is being collected, and writes it when it is large.
    pub fn batch(&mut self, batch: &Batch<'_>) -> io::Result<()> {
        let slots = batch.slots.len() / SLOT_BYTES;
        let run = Run { process: batch.process, tid: batch.tid, slots: slots as u32, lost: batch.lost };
        self.block.extend_from_slice(&run.to_bytes());
        self.block.extend_from_slice(batch.slots.get(..slots * SLOT_BYTES).unwrap_or(&[]));
        for record in batch.records() {
            if !matches!(record.commit.kind, KIND_CALL | KIND_COMPLETION) {
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
        if self.block.len() >= MAX_BLOCK_BYTES / 2 { self.write_records() } else { Ok(()) }
    }

    /// Ends a pass over the region: writes what was collected. `complete_ticks` is what the pass
    /// said of itself. Now and then a calibration point follows, so that time can be told even if
    /// the trace is never ended.
    pub fn end_pass(&mut self, complete_ticks: u64) -> io::Result<()> {
        self.complete_ticks = self.complete_ticks.max(complete_ticks);
        if self.block.len() <= Block::SIZE {
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

    /// Writes how the run compared with what the kernel was asked.
    pub fn audit(&mut self, audit: &Audit) -> io::Result<()> {
        self.write_small(BLOCK_AUDIT, audit.to_string().as_bytes())
    }

    /// Writes what is left and ends the trace in order.
    pub fn finish(mut self, end: &End) -> io::Result<()> {
        if self.block.len() > Block::SIZE {
            // The end shall be on record even if these records do not fit.
            let _ = self.write_records();
        }
        let end = End { lost: end.lost.saturating_add(self.unwritten), ..*end };
        self.write_small(BLOCK_END, &end.to_bytes())?;
        if self.regular && self.file.metadata()?.nlink() == 0 {
            return Err(io::Error::other("somebody removed its file"));
        }
        Ok(())
    }

    fn write_records(&mut self) -> io::Result<()> {
        let mut block = std::mem::take(&mut self.block);
        let min_ticks = if self.min_ticks == u64::MAX { 0 } else { self.min_ticks };
        let header = Block { calls: self.calls, min_ticks, max_ticks: self.max_ticks, ..self.header(BLOCK_RECORDS) };
        let payload = block.get(Block::SIZE..).unwrap_or(&[]);
        let (raw_bytes, packed) = (payload.len() as u32, pack(payload));
        let written = if packed.len() < payload.len() {
            let mut block = vec![0; Block::SIZE];
            block.extend_from_slice(&packed);
            self.write_block(Block { codec: CODEC_PACKED, raw_bytes, ..header }, &mut block)
        } else {
            self.write_block(Block { raw_bytes, ..header }, &mut block)
        };
        if written.is_err() {
            self.unwritten += u64::from(self.ended);
        }
        block.truncate(Block::SIZE);
        self.block = block;
        (self.calls, self.ended, self.min_ticks, self.max_ticks) = (0, 0, u64::MAX, 0);
        written
    }

    fn write_small(&mut self, kind: u16, payload: &[u8]) -> io::Result<()> {
        let mut block = vec![0; Block::SIZE];
        block.extend_from_slice(payload);
        self.write_block(Block { raw_bytes: payload.len() as u32, ..self.header(kind) }, &mut block)
    }

    fn header(&self, kind: u16) -> Block {
        Block {
            magic: BLOCK_MAGIC,
            kind,
            codec: CODEC_RAW,
            stored_bytes: 0,
            raw_bytes: 0,
            crc32: 0,
            calls: 0,
            min_ticks: 0,
            max_ticks: 0,
            complete_ticks: self.complete_ticks,
        }
    }

    /// Completes the header, puts it in front of the payload, and writes both at once.
    fn write_block(&mut self, header: Block, block: &mut Vec<u8>) -> io::Result<()> {
        let payload = block.get(Block::SIZE..).unwrap_or(&[]);
        let header = Block { stored_bytes: payload.len() as u32, crc32: crc32fast::hash(payload), ..header };
        if let Some(head) = block.get_mut(..Block::SIZE) {
            head.copy_from_slice(&header.to_bytes());
        }
        block.resize(block.len().next_multiple_of(8), 0);
        self.write(block)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // What is written behind the end of a file that was cut short could not be read.
        if self.regular && self.file.metadata()?.len() != self.good {
            return Err(io::Error::other("somebody else changed its file"));
        }
        let written = self.file.write_all(bytes);
        match written {
            Ok(()) => self.good += bytes.len() as u64,
            // Part of the block may be there. Into a pipe nothing can be taken back, and both calls
            // fail; the reader then meets a torn block and goes on behind it.
            Err(_) => {
                let _ = self.file.set_len(self.good);
                let _ = self.file.seek(SeekFrom::Start(self.good));
            }
        }
        written
    }
}

/// `key value` lines.
fn lines(pairs: &[(&str, &str)]) -> String {
    let line = |(key, value): &(&str, &str)| {
        let value = value.replace('\\', "\\\\").replace('\n', "\\n");
        format!("{key} {value}\n")
    };
    pairs.iter().map(line).collect()
}
