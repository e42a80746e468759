//! The trace file: what the tool writes from the live region. A sequence of blocks, each complete in
//! itself: a torn tail loses only the block that was being written.
//!
//! ```text
//! 0       [`FileHeader`], then `meta_bytes` of text: `key value\n` lines, then the schema
//! then    blocks: [`Block`] header, `stored_bytes` of payload, zeros up to the next multiple of 8
//! ```
//!
//! Block kinds are never reused. A reader skips kinds that it does not know.

/// First bytes of a trace.
pub const TRACE_MAGIC: u64 = u64::from_le_bytes(*b"sockshmT");
/// Version of the trace: see [`crate::region::REGION_VERSION`] for what needs a change.
pub const TRACE_VERSION: u32 = 1;
/// First bytes of a block.
pub const BLOCK_MAGIC: u32 = u32::from_le_bytes(*b"SBLK");

/// Records: [`Run`]s, each followed by its slots, as they lay in the region.
pub const BLOCK_RECORDS: u16 = 1;
/// A [`Clock`] calibration point.
pub const BLOCK_CLOCK: u16 = 2;
/// An [`End`]: the run was ended in order.
pub const BLOCK_END: u16 = 3;
/// Text: how the run was compared with what the kernel was asked. Lines of a word, a count and a name.
pub const BLOCK_AUDIT: u16 = 4;
/// More `key value` lines, as behind the [`FileHeader`]: what the tool saw of the run besides the records.
pub const BLOCK_NOTES: u16 = 5;
/// Records of earlier files of the run, as in [`BLOCK_RECORDS`], that this file needs to be read alone.
pub const BLOCK_CARRIED: u16 = 6;
/// The run goes on in another file: text, its name, if that is known.
pub const BLOCK_CONTINUED: u16 = 7;
/// Session keys of TLS connections: text, lines of an NSS key log, as in SSLKEYLOGFILE.
pub const BLOCK_KEYS: u16 = 8;

/// The payload is stored as it is.
pub const CODEC_RAW: u16 = 0;
/// Records, packed as they were at first: docs/FORMAT.md says how. Nothing writes it any more.
pub const CODEC_PLANES: u16 = 1;
/// Records, packed: docs/FORMAT.md says how.
pub const CODEC_PACKED: u16 = 2;

layout! {
    /// The first bytes of a trace.
    pub struct FileHeader = "trace", 64 {
        /// [`TRACE_MAGIC`].
        0 magic: u64,
        /// [`TRACE_VERSION`].
        8 version: u32,
        /// [`crate::region::BYTE_ORDER`].
        12 byte_order: u32,
        /// Bytes of text behind this header, a multiple of 8.
        16 meta_bytes: u32,
        /// [`crate::region::CLOCK_TSC`] or [`crate::region::CLOCK_MONOTONIC`].
        20 clock: u32,
        /// The random id of the run, as in the region.
        24 id: [u64; 2],
        /// Calibration: the tick counter,
        40 first_ticks: u64,
        /// CLOCK_MONOTONIC at that moment,
        48 first_mono_ns: u64,
        /// and CLOCK_REALTIME.
        56 first_real_ns: u64,
    }
}

layout! {
    /// The header of a block.
    pub struct Block = "block", 48 {
        /// [`BLOCK_MAGIC`].
        0 magic: u32,
        /// One of the BLOCK_ numbers.
        4 kind: u16,
        /// How the payload is stored.
        6 codec: u16,
        /// Bytes of payload in the file.
        8 stored_bytes: u32,
        /// Bytes of payload when decoded.
        12 raw_bytes: u32,
        /// CRC-32 (IEEE) of the stored payload.
        16 crc32: u32,
        /// Calls in the block.
        20 calls: u32,
        /// Least start of a call in it, in ticks.
        24 min_ticks: u64,
        /// Greatest end of a call in it.
        32 max_ticks: u64,
        /// Every call that ended before this is in this block or an earlier one, but for threads
        /// that were stopped in the middle of publishing.
        40 complete_ticks: u64,
    }
}

layout! {
    /// Whose records follow in a block.
    pub struct Run = "run", 16 {
        /// The process, by its number in the region.
        0 process: u32,
        /// The thread.
        4 tid: u32,
        /// Slots that follow.
        8 slots: u32,
        /// Calls of the thread that were lost before these.
        12 lost: u32,
    }
}

layout! {
    /// A later calibration point.
    pub struct Clock = "clock", 24 {
        /// The tick counter.
        0 ticks: u64,
        /// CLOCK_MONOTONIC at that moment.
        8 mono_ns: u64,
        /// CLOCK_REALTIME at that moment.
        16 real_ns: u64,
    }
}

layout! {
    /// What is known at the end.
    pub struct End = "end", 32 {
        /// Calls that the shim could not record.
        0 lost: u64,
        /// Extensions that it could not record.
        8 lost_extensions: u64,
        /// The traced program's wait status.
        16 wait_status: i32,
        /// Processes that attached.
        20 processes: u32,
        /// Calls that were left out, as a filter of the program asked.
        24 left_out: u64,
    }
}
