//! The live region: a shared mapping that the traced processes record into and the tool drains.
//!
//! ```text
//! 0                header page: [`Header`], then the schema text at SCHEMA_OFFSET
//! free_offset      one bit per chunk that may be claimed
//! full_offset      one bit per chunk that its thread has left for good
//! chunks_offset    chunk_count chunks of chunk_bytes: a [`Chunk`] header, then slots of 64 bytes
//! ```
//!
//! Who writes what. The creator of the region writes the header before anybody else maps it. A
//! thread claims a chunk by exchanging [`Chunk::status`] from free to owned (one atomic operation),
//! clears its free bit, and is then the only writer of the chunk until it sets the full bit. The
//! tool alone turns a full chunk, or one whose thread is gone, back into a free one.

/// First bytes of a live region.
pub const REGION_MAGIC: u64 = u64::from_le_bytes(*b"sockshmL");
/// Version of the region. It changes when an old reader would misread: when a field moves, changes
/// its meaning or its width. A new record kind, op number or use of reserved bytes needs no change.
pub const REGION_VERSION: u32 = 1;
/// Reads as this value on a machine of the writer's byte order.
pub const BYTE_ORDER: u32 = 0x0102_0304;
/// Where the schema text begins in the header page.
pub const SCHEMA_OFFSET: usize = 1024;
/// Bytes of the header page.
pub const HEADER_BYTES: usize = 4096;
/// Bytes of a chunk: 63 records behind its header. Small, because a thread per request is common.
pub const CHUNK_BYTES: usize = 4096;
/// Bytes of a slot: one cache line.
pub const SLOT_BYTES: usize = 64;
/// Slots of a chunk that hold records. The chunk's header takes the place of one.
pub const CHUNK_SLOTS: u32 = (CHUNK_BYTES / SLOT_BYTES) as u32 - 1;
/// The variable in which `sockshim run` tells its program where the trace is kept, for tests that ask in process.
pub const KEPT: &str = "SOCKSHIM_KEPT";
/// The size of a region unless somebody asks for another.
pub const DEFAULT_REGION_BYTES: u64 = 64 << 20;

/// [`Header::clock`]: ticks are the processor's time-stamp counter.
pub const CLOCK_TSC: u32 = 1;
/// [`Header::clock`]: ticks are nanoseconds of CLOCK_MONOTONIC.
pub const CLOCK_MONOTONIC: u32 = 2;

/// [`Header::flags`]: a tool drains this region. Without it the region is itself the trace.
pub const REGION_DRAINED: u32 = 1;
/// [`Header::flags`]: addresses, TCP_INFO and SO_COOKIE of new sockets are asked at the edges of phases.
pub const REGION_EDGES: u32 = 2;
/// [`Header::flags`]: nobody drains it, and yet only the chunks that were offered have room in the file. In a mapping no
/// others may be touched.
pub const REGION_SPARSE: u32 = 4;

/// Processes that attached, remembered in [`Header::attached`].
pub const ATTACHED: usize = 32;

layout! {
    /// The header of a region. Counters that threads change sit on cache lines of their own.
    pub struct Header = "header", 448 {
        /// [`REGION_MAGIC`].
        0 magic: u64,
        /// [`REGION_VERSION`].
        8 version: u32,
        /// [`BYTE_ORDER`].
        12 byte_order: u32,
        /// Bytes of the whole file.
        16 region_bytes: u64,
        /// [`CHUNK_BYTES`].
        24 chunk_bytes: u32,
        /// Chunks that the file has room for.
        28 chunk_count: u32,
        /// Offset of the bitmap of claimable chunks.
        32 free_offset: u32,
        /// Offset of the bitmap of chunks that are full.
        36 full_offset: u32,
        /// Offset of chunk 0.
        40 chunks_offset: u32,
        /// [`CLOCK_TSC`] or [`CLOCK_MONOTONIC`].
        44 clock: u32,
        /// REGION_ flags.
        48 flags: u32,
        /// Bytes of payload to keep of each call.
        52 snaplen_bytes: u32,
        /// A random id of this run.
        56 id: [u64; 2],
        /// The process that created the region.
        72 creator_pid: u32,
        /// Bytes of schema text at [`SCHEMA_OFFSET`].
        76 schema_bytes: u32,
        /// First calibration point: the tick counter,
        80 first_ticks: u64,
        /// CLOCK_MONOTONIC at that moment,
        88 first_mono_ns: u64,
        /// and CLOCK_REALTIME.
        96 first_real_ns: u64,
        /// Last calibration point, the first as long as there is no other: the tick counter,
        104 last_ticks: u64,
        /// CLOCK_MONOTONIC at that moment.
        112 last_mono_ns: u64,
        /// Inode of the tool's pid namespace, 0 if unknown. The tool has a lock on the file (fcntl(2)), so that a process which
        /// asks for its holder learns whether that is its own namespace too.
        120 pid_namespace: u64,
        /// Processes that have attached, counted up atomically. A process's number is the value
        /// after its own addition, so numbers begin at 1.
        128 processes: u32,
        /// Zero.
        132 reserved_processes: [u32; 15],
        /// Calls that could not be recorded because no chunk was free.
        192 lost: u64,
        /// Payload and other extensions that could not be written, their calls being recorded.
        200 lost_extensions: u64,
        /// Calls that were left out, as a filter of the program asked.
        208 left_out: u64,
        /// Zero.
        216 reserved_lost: [u64; 5],
        /// Ticks when the tool last looked: while this moves, the shim may wait for a free chunk.
        256 heartbeat: u64,
        /// Process id of the tool, 0 without one.
        264 tool_pid: u32,
        /// 1 when the creator has ended the run in order.
        268 closed: u32,
        /// Chunks that were offered for claiming, and have pages or at least the room for them: the first ones. No
        /// other was ever owned. 0 where all were from the beginning. Who offers more of them raises it by compare-exchange,
        /// and then sets their bits.
        272 offered: u32,
        /// Raised by a program that asks for what it has recorded to be in the trace,
        276 asked: u32,
        /// and what it was when the tool last saw to that.
        280 answered: u32,
        /// Raised when chunks have been given back: a futex(2), on which threads wait for them.
        284 given: u32,
        /// Threads that wait, and those that were killed while they did.
        288 waiting: u32,
        /// Zero.
        292 reserved_tool: [u32; 7],
        /// Pids that attached, each in the place of one that has ended if there was any, for a shim
        /// that finds an existing file and asks whether its run is still going on.
        320 attached: [u32; 32],
    }
}

impl Header {
    /// How many chunks may be claimed, the first ones.
    pub const fn offered_chunks(&self) -> u32 {
        if self.offered == 0 || self.offered > self.chunk_count { self.chunk_count } else { self.offered }
    }

    /// The header of a new region of `region_bytes`: who makes it adds its clock, its id and its
    /// wishes. `None` when it is too small to hold a chunk, or larger than 4 GiB.
    pub const fn new(region_bytes: u64) -> Option<Header> {
        let Some((chunk_count, free_offset, full_offset, chunks_offset)) = region_parts(region_bytes) else {
            return None;
        };
        Some(Header {
            magic: REGION_MAGIC,
            version: REGION_VERSION,
            byte_order: BYTE_ORDER,
            region_bytes,
            chunk_bytes: CHUNK_BYTES as u32,
            chunk_count,
            free_offset,
            full_offset,
            chunks_offset,
            clock: CLOCK_MONOTONIC,
            flags: 0,
            snaplen_bytes: 0,
            id: [0; 2],
            creator_pid: 0,
            schema_bytes: 0,
            first_ticks: 0,
            first_mono_ns: 0,
            first_real_ns: 0,
            last_ticks: 0,
            last_mono_ns: 0,
            pid_namespace: 0,
            processes: 0,
            reserved_processes: [0; 15],
            lost: 0,
            lost_extensions: 0,
            left_out: 0,
            reserved_lost: [0; 5],
            heartbeat: 0,
            tool_pid: 0,
            closed: 0,
            offered: 0,
            asked: 0,
            answered: 0,
            given: 0,
            waiting: 0,
            reserved_tool: [0; 7],
            attached: [0; ATTACHED],
        })
    }
}

/// [`Chunk::status`], low half: nobody's.
pub const CHUNK_FREE: u32 = 0;
/// [`Chunk::status`], low half: some thread's.
pub const CHUNK_OWNED: u32 = 1;

/// A chunk's status word: its generation in the high half, free or owned in the low one.
/// Claiming is one compare-exchange from (g, free) to (g + 1, owned).
pub const fn chunk_status(generation: u32, state: u32) -> u64 {
    (generation as u64) << 32 | state as u64
}

layout! {
    /// The header of a chunk. Everything but `status` and `used` is written once per generation,
    /// before the first record of that generation is published.
    pub struct Chunk = "chunk", 64 {
        /// See [`chunk_status`].
        0 status: u64,
        /// Slots reserved. May exceed [`CHUNK_SLOTS`] by what the last, failed reservation asked.
        8 used: u32,
        /// The generation that the fields below belong to: stored after them.
        12 identity_generation: u32,
        /// The process, by its number in this region.
        16 process: u32,
        /// Its pid, as it saw it itself.
        20 pid: u32,
        /// The thread.
        24 tid: u32,
        /// Zero.
        28 reserved: u32,
        /// How many chunks the thread has claimed before this one.
        32 number: u64,
        /// Ticks when the chunk was claimed.
        40 claimed_ticks: u64,
        /// Calls of this thread that were lost since its previous chunk.
        48 lost: u32,
        /// Zero.
        52 reserved_lost: [u32; 3],
    }
}

/// Where the parts of a region of `region_bytes` lie: (chunk count, free, full, chunks offset).
/// `None` when it is too small to hold a single chunk.
pub const fn region_parts(region_bytes: u64) -> Option<(u32, u32, u32, u32)> {
    let chunks = region_bytes / CHUNK_BYTES as u64;
    // A page of bitmap holds 32,768 chunks: 128 MiB. 4 GiB of region need 32 pages each.
    let bitmap = (chunks.div_ceil(8)).next_multiple_of(CHUNK_BYTES as u64);
    let overhead = HEADER_BYTES as u64 + 2 * bitmap;
    if region_bytes < overhead + CHUNK_BYTES as u64 || region_bytes > 1 << 32 {
        return None;
    }
    let free = HEADER_BYTES as u64;
    let count = (region_bytes - overhead) / CHUNK_BYTES as u64;
    Some((count as u32, free as u32, (free + bitmap) as u32, overhead as u32))
}
