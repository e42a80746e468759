//! The tool's side of the live region: it creates the file, drains the chunks that threads fill,
//! and takes back what dead threads left.
//!
//! 1. Memory is read as the shim publishes it: a commit word with acquire, then the rest.
//! 2. A chunk is the tool's only when its full bit is set or its thread is gone. Until then the tool
//!    reads it and writes nothing.
//! 3. A chunk is offered for claiming only when its pages have been allocated.

mod drain;
mod file;
mod owners;
mod pass;
mod processes;

use crate::clock::{Clock, Point};
use crate::sys::{self, Mapping};
use drain::ChunkState;
pub(crate) use file::check_start;
pub use file::{ChunkRecords, RegionFile};
use owners::Owner;
pub use pass::{Drained, Pass};
use processes::Processes;
use sockshim_format::record::{Extension, SCHEMA};
use sockshim_format::region::*;
use std::fs::{File, OpenOptions};
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Chunks that get pages when the region is made. A page of tmpfs costs a microsecond to have and as much to give back, and
/// several where a hypervisor has to find it, which would be most of what tracing a short program costs. More follow while they
/// are used, and a thread that finds none free before we come to it gives itself some.
const FIRST_BYTES: u64 = 16 << 10;
/// The same where threads cannot, before Linux 5.14.
const FIRST_BYTES_ALONE: u64 = 256 << 10;
/// The most that one pass adds, about 2 ms of work, so that a pass never stalls the shim.
const STEP_BYTES: u64 = 4 << 20;

/// What a new region is to be like.
#[derive(Clone, Debug)]
pub struct RegionOptions {
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of payload to keep of each call.
    pub snaplen_bytes: u32,
    /// Whether the shim asks for addresses, TCP_INFO and the numbers of new sockets at the edges of phases.
    pub edges: bool,
    /// The process that will drain the region.
    pub tool_pid: u32,
    /// Bytes of chunks that get pages at once; more follow while they are used.
    pub first_bytes: u64,
}

impl Default for RegionOptions {
    fn default() -> Self {
        RegionOptions {
            bytes: DEFAULT_REGION_BYTES,
            snaplen_bytes: 64,
            edges: true,
            tool_pid: std::process::id(),
            first_bytes: if sys::can_populate() { FIRST_BYTES } else { FIRST_BYTES_ALONE },
        }
    }
}

/// A live region that this process created and drains.
pub struct Region {
    file: File,
    map: Mapping,
    header: Header,
    clock: Clock,
    /// Chunks that have pages and may be claimed: the first ones, up to this number.
    published: u32,
    extend_error: Option<io::Error>,
    chunks: Vec<ChunkState>,
    /// Those that belonged to somebody when we looked last, kept for its room.
    owners: Vec<Owner>,
    /// Chunks that have been told to their end and not given back yet.
    spent: Vec<Owner>,
    processes: Processes,
    /// Bytes of the run that is being told, kept between passes for its room.
    buffer: Vec<u8>,
    /// How long a call may be in progress before it is told, so that short ones are told once.
    pub announce_after_ns: u64,
}

impl Region {
    /// Creates the file, which must not exist, readable by its owner alone. When the disk has no
    /// room for the beginning of it, nothing is left behind.
    pub fn create(path: impl AsRef<Path>, options: &RegionOptions) -> io::Result<Region> {
        let path = path.as_ref();
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        Region::fill(file, options).inspect_err(|_| {
            // What matters is the first error; the file is ours, made just above.
            let _ = std::fs::remove_file(path);
        })
    }

    fn fill(file: File, options: &RegionOptions) -> io::Result<Region> {
        let invalid = |text| io::Error::new(io::ErrorKind::InvalidInput, text);
        let empty = Header::new(options.bytes).ok_or_else(|| invalid("a region has 16 KiB to 4 GiB"))?;
        let schema = SCHEMA.concat();
        if SCHEMA_OFFSET + schema.len() > HEADER_BYTES {
            return Err(invalid("the schema outgrew the header page"));
        }
        let clock = Clock::of_this_machine();
        let flags = REGION_DRAINED | if options.edges { REGION_EDGES } else { 0 };
        let processes = Processes::new();
        // Until this process ends, for nobody here closes the file before.
        sys::lock_all(&file);
        let header = Header {
            clock: clock.kind(),
            flags,
            snaplen_bytes: options.snaplen_bytes,
            id: [sys::random(), sys::random()],
            creator_pid: std::process::id(),
            pid_namespace: processes.own_namespace(),
            schema_bytes: schema.len() as u32,
            first_ticks: clock.first().ticks,
            first_mono_ns: clock.first().mono_ns,
            first_real_ns: clock.first().real_ns,
            heartbeat: clock.first().ticks,
            tool_pid: options.tool_pid,
            ..empty
        };
        file.set_len(options.bytes)?;
        let first = options.first_bytes.min(u64::from(header.chunk_count) * CHUNK_BYTES as u64);
        sys::allocate(&file, 0, u64::from(header.chunks_offset) + first)?;
        // The magic number comes last: whoever maps the file sooner sees no region.
        file.write_all_at(&Header { magic: 0, ..header }.to_bytes(), 0)?;
        file.write_all_at(schema.as_bytes(), SCHEMA_OFFSET as u64)?;
        let bytes = usize::try_from(options.bytes).map_err(|_| invalid("too large to map"))?;
        let map = Mapping::new(&file, bytes)?;
        let mut region = Region {
            file,
            map,
            header,
            clock,
            published: 0,
            extend_error: None,
            chunks: Vec::new(),
            owners: Vec::new(),
            spent: Vec::new(),
            processes,
            buffer: Vec::new(),
            announce_after_ns: 20_000_000,
        };
        region.publish((first / CHUNK_BYTES as u64) as u32);
        region.word(0).store(REGION_MAGIC, Release);
        Ok(region)
    }

    /// The file, for whoever may not open it by its name.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The header as it was written; counters in it are stale.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What turns the region's ticks into time.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Calls, and extensions of calls, that the shim could not record.
    pub fn lost(&self) -> (u64, u64) {
        let at = |offset| self.word(offset).load(Relaxed);
        (at(offset_of!(Header, lost)), at(offset_of!(Header, lost_extensions)))
    }

    /// Calls that a filter of the program left out.
    pub fn left_out(&self) -> u64 {
        self.word(offset_of!(Header, left_out)).load(Relaxed)
    }

    /// What programs have asked for so far, to be answered when what is there by now is in the trace.
    pub fn asked(&self) -> u32 {
        self.half(offset_of!(Header, asked)).load(Acquire)
    }

    /// All that was there when `asked` was this is in the trace.
    pub fn answer(&self, asked: u32) {
        self.half(offset_of!(Header, answered)).store(asked, Release);
    }

    /// Processes that have attached so far.
    pub fn attached(&self) -> u32 {
        self.half(offset_of!(Header, processes)).load(Relaxed)
    }

    /// Chunks that may be claimed now, and chunks that have pages.
    pub fn chunks_free(&self) -> (u32, u32) {
        let words = (self.published as usize).div_ceil(64);
        let free = (0..words).map(|i| self.bitmap(self.header.free_offset, i).load(Relaxed).count_ones()).sum();
        (free, self.published)
    }

    /// What stopped the region from growing, if something did: recording goes on in what there is.
    pub fn extend_error(&self) -> Option<&io::Error> {
        self.extend_error.as_ref()
    }

    /// Gives more chunks pages when few are free, and offers them. `drain` calls it.
    pub fn extend(&mut self) {
        self.adopt();
        let (free, published) = self.chunks_free();
        let left = self.header.chunk_count.saturating_sub(published);
        if left == 0 || self.extend_error.is_some() || free >= published / 2 {
            return;
        }
        let step = published.min((STEP_BYTES / CHUNK_BYTES as u64) as u32).min(left).max(1);
        let (start, bytes) = (self.chunk_offset(published) as u64, u64::from(step) * CHUNK_BYTES as u64);
        match sys::allocate(&self.file, start, bytes) {
            Ok(()) => self.publish(published + step),
            Err(error) => self.extend_error = Some(error),
        }
    }

    /// Offers the chunks below `count`, whose pages are there, unless threads have offered some of them meanwhile.
    fn publish(&mut self, count: u32) {
        let offered = self.half(offset_of!(Header, offered));
        if offered.compare_exchange(self.published, count, AcqRel, Relaxed).is_ok() {
            for index in self.published..count {
                let word = self.bitmap(self.header.free_offset, index as usize / 64);
                word.fetch_or(1 << (index % 64), Release);
            }
        }
        self.adopt();
    }

    /// Takes note of what is offered: threads that find no free chunk give themselves some.
    fn adopt(&mut self) {
        let offered = self.half(offset_of!(Header, offered)).load(Acquire).min(self.header.chunk_count);
        if offered > self.published {
            self.chunks.resize_with(offered as usize, ChunkState::default);
            self.published = offered;
        }
    }

    /// Takes a later calibration point, and leaves it in the header for those who read the region
    /// after a kill.
    pub fn calibrate(&mut self) -> Point {
        let point = self.clock.now();
        self.clock.calibrate(point);
        self.keep(point);
        point
    }

    fn keep(&self, point: Point) {
        // A reader between the two stores sees a pair that does not match: off by the time between
        // two calibrations, and only while we run.
        self.word(offset_of!(Header, last_ticks)).store(point.ticks, Relaxed);
        self.word(offset_of!(Header, last_mono_ns)).store(point.mono_ns, Relaxed);
    }

    /// Marks the run as ended in order. The file stays.
    pub fn close(&mut self) {
        self.calibrate();
        self.half(offset_of!(Header, closed)).store(1, Release);
    }

    fn heartbeat(&self, ticks: u64) {
        self.word(offset_of!(Header, heartbeat)).store(ticks, Relaxed);
    }

    fn chunk_offset(&self, index: u32) -> usize {
        self.header.chunks_offset as usize + index as usize * CHUNK_BYTES
    }

    fn bitmap(&self, offset: u32, word: usize) -> &AtomicU64 {
        self.word(offset as usize + word * 8)
    }

    /// Offsets come from `self.header`, which this process computed: they lie in the mapping. The
    /// header in the shared memory is never believed.
    fn word(&self, offset: usize) -> &AtomicU64 {
        match self.map.word(offset) {
            Some(word) => word,
            None => unreachable!("offset {offset} of {} bytes", self.map.len()),
        }
    }

    fn half(&self, offset: usize) -> &AtomicU32 {
        match self.map.half(offset) {
            Some(half) => half,
            None => unreachable!("offset {offset} of {} bytes", self.map.len()),
        }
    }

    /// The words of some slots.
    fn slots(&self, offset: usize, count: usize) -> &[AtomicU64] {
        match self.map.words(offset, count * SLOT_BYTES / 8) {
            Some(words) => words,
            None => unreachable!("{count} slots at {offset} of {} bytes", self.map.len()),
        }
    }

    /// Copies some slots, which nobody writes to any more.
    fn copy_slots(&self, offset: usize, count: usize, to: &mut Vec<u8>) {
        to.reserve(count * SLOT_BYTES);
        for words in self.slots(offset, count).chunks_exact(SLOT_BYTES / 8) {
            to.extend_from_slice(&copied(words));
        }
    }

    /// One slot of a chunk, and its commit word. A call that is completed while it is read is read
    /// again, so that it is either entered or done and not half of each.
    fn load_slot(&self, offset: usize) -> (u64, [u8; SLOT_BYTES]) {
        let words = self.slots(offset, 1);
        let commit = self.word(offset);
        let mut word = commit.load(Acquire);
        let mut out = copied(words);
        for _ in 0..2 {
            std::sync::atomic::fence(Acquire);
            let again = commit.load(Acquire);
            if again == word {
                break;
            }
            (word, out) = (again, copied(words));
        }
        out[..8].copy_from_slice(&word.to_le_bytes());
        (word, out)
    }
}

/// Puts zeros behind the body of an extension. There lies what its slots were used for before: it says nothing, hardly
/// packs, and may be payload.
fn clear_behind(record: &mut [u8]) {
    if let Some(head) = Extension::read(record) {
        record.get_mut(Extension::SIZE + usize::from(head.len)..).unwrap_or_default().fill(0);
    }
}

/// The bytes of a slot.
fn copied(words: &[AtomicU64]) -> [u8; SLOT_BYTES] {
    let mut out = [0u8; SLOT_BYTES];
    for (bytes, word) in out.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.load(Relaxed).to_le_bytes());
    }
    out
}
