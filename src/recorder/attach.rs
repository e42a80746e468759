//! How the region gets mapped: the tool's, a trace file of our own, or private memory for the log.
//!
//! Open, map, close: the shim keeps no descriptor. Everything here runs once, in the constructor or
//! in the first call before it, and may make system calls.
//!
//! # Safety
//! Mappings made here are never given back once they are installed.

mod trace;

use super::{clock, log, process, region};
use crate::sys;
use core::ffi::{CStr, c_char, c_int};
use core::sync::atomic::{AtomicU64, Ordering::*};
use libc::sockaddr_un;
use sockshim_format::record::SCHEMA;
use sockshim_format::region::*;
pub use trace::{take_all_room, to_trace};

/// Why a region could not be had, in words for the one warning that the user gets.
pub type Refusal = &'static str;

/// Attaches to the region that the tool made.
pub fn to_tool(path: &CStr) -> Result<Header, Refusal> {
    let mut fd = sys::open(path, libc::O_RDWR | libc::O_NOFOLLOW, 0);
    if fd < 0 {
        fd = ask_tool(path);
    }
    if fd < 0 {
        return Err("the live region cannot be opened");
    }
    let result = map(fd);
    let holder = sys::lock_holder(fd);
    sys::close(fd);
    let (base, header) = result?;
    // Where the tool has the number that it has for itself, we are in one namespace: in any other that a program of its can get
    // into it has none.
    if holder == header.creator_pid {
        process::is_in_pid_namespace(header.pid_namespace);
    }
    install(base, false);
    Ok(header)
}

/// A descriptor of the region from the tool itself, for a program that runs as another user by now, and so
/// may not open it; negative if it answers nothing. It listens beside the region, and sends one byte with
/// one descriptor.
fn ask_tool(path: &CStr) -> c_int {
    const PATIENCE_MS: c_int = 2000;
    const SUFFIX: &[u8] = b".door";
    let mut address = sockaddr_un { sun_family: libc::AF_UNIX as u16, sun_path: [0; 108] };
    let len = path.count_bytes() + SUFFIX.len();
    // The last byte stays zero.
    let Some(place) = address.sun_path.get_mut(..len).filter(|_| len < 108) else { return -1 };
    for (to, from) in place.iter_mut().zip(path.to_bytes().iter().chain(SUFFIX)) {
        *to = *from as c_char;
    }
    let socket = sys::socket(libc::AF_UNIX, libc::SOCK_STREAM);
    if socket < 0 {
        return socket;
    }
    let connected = sys::connect(socket, &address) == 0;
    let fd = if connected && sys::readable_within(socket, PATIENCE_MS) { sys::receive_fd(socket) } else { -1 };
    sys::close(socket);
    fd
}

/// Private memory, from which the log prints: 500 threads at a time. Not more, because a program
/// that locks its memory (mlockall(2)) pays for it.
pub fn to_nothing(snaplen: u32) -> Result<(), Refusal> {
    let bytes = 2u64 << 20;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let base = sys::mmap(affordable(bytes) as usize, flags, -1);
    if base.is_null() {
        return Err("there is no memory");
    }
    // A line takes far longer than the slower clock, which needs no measuring.
    let header = begin(Birth::by(CLOCK_MONOTONIC), affordable(bytes), snaplen, false)?;
    // SAFETY: mapped just now, of that size, and nobody else's.
    unsafe { fill(base, header) };
    install(base, true);
    Ok(())
}

/// The least and the most that `to_memory` makes. As many as the private region has, which it may take the place
/// of, and no more than one page of each bitmap tells of: then whatever a thread has just looked up in the one
/// lies inside the other.
const LEAST_MEMORY: u64 = 2 << 20;
const MOST_MEMORY: u64 = 128 << 20;

/// Memory that is shared with the children of this process, and lasts as long as they do.
pub fn to_memory(bytes: u64, snaplen: u32, edges: bool) -> Result<(), Refusal> {
    let bytes = bytes.clamp(LEAST_MEMORY, MOST_MEMORY) & !(CHUNK_BYTES as u64 - 1);
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let base = sys::mmap(bytes as usize, flags, -1);
    if base.is_null() {
        return Err("there is no memory");
    }
    let header = begin(Birth::now(false), bytes, snaplen, edges)?;
    // SAFETY: mapped just now, of that size, and nobody else's. Numbers go on where the private region's ended,
    // so that no thread takes its old state for one of the new region.
    unsafe {
        fill(base, header);
        // Before there are lines by its time.
        calibrate_once(base);
        (&raw mut (*base.cast::<Header>()).processes).write(region::processes());
    }
    process::start_over();
    install(base, false);
    Ok(())
}

/// Bytes that the program's own limit on its address space leaves us: an eighth at most.
fn affordable(bytes: u64) -> u64 {
    bytes.min((sys::limit(libc::RLIMIT_AS) / 8) & !(CHUNK_BYTES as u64 - 1))
}

/// When the time of a region begins.
#[derive(Clone, Copy)]
struct Birth {
    clock: u32,
    first: (u64, u64, u64),
}

impl Birth {
    fn now(at_start: bool) -> Birth {
        Birth::by(clock::best(at_start))
    }

    fn by(clock: u32) -> Birth {
        clock::choose(clock);
        Birth { clock, first: clock::calibrate() }
    }
}

/// The header of a new region.
fn begin(birth: Birth, bytes: u64, snaplen_bytes: u32, edges: bool) -> Result<Header, Refusal> {
    let Birth { clock, first: (first_ticks, first_mono_ns, first_real_ns) } = birth;
    Ok(Header {
        clock,
        flags: if edges { REGION_EDGES } else { 0 },
        snaplen_bytes,
        id: sys::random(),
        creator_pid: sys::getpid(),
        first_ticks,
        first_mono_ns,
        first_real_ns,
        last_ticks: first_ticks,
        last_mono_ns: first_mono_ns,
        ..Header::new(bytes).ok_or("the region is too small")?
    })
}

/// Writes the header, marks the chunks free that are to be offered, the magic last.
///
/// # Safety
/// As many zeros as `header` says are mapped at `base`, and nobody else uses them yet.
unsafe fn fill(base: *mut u8, header: Header) -> Header {
    let (free, free_offset) = (header.offered_chunks(), header.free_offset);
    let mut schema_bytes = 0;
    // SAFETY: the schema and the bitmaps lie inside the region, as `region_parts` computed them.
    unsafe {
        for line in SCHEMA {
            if SCHEMA_OFFSET + schema_bytes + line.len() <= HEADER_BYTES {
                base.add(SCHEMA_OFFSET + schema_bytes).copy_from(line.as_ptr(), line.len());
                schema_bytes += line.len();
            }
        }
        for word in 0..free as usize / 64 {
            base.add(free_offset as usize).cast::<u64>().add(word).write(u64::MAX);
        }
        let rest = (1u64 << (free % 64)) - 1;
        base.add(free_offset as usize).cast::<u64>().add(free as usize / 64).write(rest);
    }
    let header = Header { schema_bytes: schema_bytes as u32, ..header };
    // SAFETY: the header lies at the start of the region. Everything is there before the magic is.
    unsafe {
        base.cast::<Header>().write(Header { magic: 0, ..header });
        let magic = &*base.cast::<AtomicU64>();
        magic.store(REGION_MAGIC, Release);
    }
    header
}

/// A second calibration point, at least 50 µs after the first, if there is none yet: a short program that is killed leaves no
/// better one, and the ratio of the two clocks is then known to about one in a thousand. Best called late: what has been done
/// since the first point need not be waited for.
///
/// # Safety
/// A region is mapped at `base`.
unsafe fn calibrate_once(base: *const u8) {
    let base = base.cast_mut().cast::<Header>();
    // SAFETY: inside the header, which others write these two words of by atomics, and the rest not at all any more.
    let (first, clock, last_ticks, last_mono_ns) = unsafe {
        let last = (&raw mut (*base).last_ticks, &raw mut (*base).last_mono_ns);
        let first = ((*base).first_ticks, (*base).first_mono_ns);
        (first, (*base).clock, AtomicU64::from_ptr(last.0), AtomicU64::from_ptr(last.1))
    };
    if clock != CLOCK_TSC || !clock::tells(clock) || last_ticks.load(Relaxed) != first.0 {
        return;
    }
    // So often that it is long enough; a sandbox that tells no time is not waited for.
    for _ in 0..1000 {
        let (ticks, mono_ns, _) = clock::calibrate();
        if mono_ns.wrapping_sub(first.1) >= 50_000 {
            // Of several processes one stores both halves.
            if last_ticks.compare_exchange(first.0, ticks, Relaxed, Relaxed).is_ok() {
                last_mono_ns.store(mono_ns, Relaxed);
            }
            return;
        }
    }
}

/// The second calibration point of a trace of our own, at the end of the start.
pub fn calibrate_trace() {
    if let Some((base, _)) = region::readable() {
        // SAFETY: the region that is installed.
        unsafe { calibrate_once(base) };
    }
}

/// Maps a file. Without the advice the first touch of a page on a disk reads all those behind it that the kernel thinks we
/// are going to read: megabytes of zeros, 4 ms on a machine where `true` takes one.
fn shared(fd: c_int, bytes: u64) -> Option<*mut u8> {
    let base = sys::mmap(bytes as usize, libc::MAP_SHARED, fd);
    if base.is_null() {
        return None;
    }
    sys::madvise(base, bytes as usize, libc::MADV_RANDOM);
    Some(base)
}

/// Maps a region and checks its header.
fn map(fd: c_int) -> Result<(*mut u8, Header), Refusal> {
    let status = sys::fstat(fd).ok_or("the region cannot be examined")?;
    let bytes = status.st_size as u64;
    if status.st_mode & libc::S_IFMT != libc::S_IFREG || bytes < HEADER_BYTES as u64 {
        return Err("the region is too small");
    }
    let base = shared(fd, bytes).ok_or("the region cannot be mapped")?;
    // SAFETY: at least HEADER_BYTES are mapped; the header is plain integers.
    let header = unsafe { base.cast::<Header>().read_volatile() };
    if !is_ours(&header, bytes) {
        // SAFETY: mapped just now, not installed.
        unsafe { sys::munmap(base, bytes as usize) };
        return Err("the region was made by another version of sockshim");
    }
    clock::choose(header.clock);
    Ok((base, header))
}

/// Whether this is the header of a region of so many bytes, of this version.
fn is_ours(header: &Header, bytes: u64) -> bool {
    let parts = (header.chunk_count, header.free_offset, header.full_offset, header.chunks_offset);
    header.magic == REGION_MAGIC
        && header.version == REGION_VERSION
        && header.byte_order == BYTE_ORDER
        && header.region_bytes == bytes
        && region_parts(bytes) == Some(parts)
}

/// Puts the region to use.
fn install(base: *mut u8, private: bool) {
    // The process gets another number, by which it would take lines that wait for a parent's.
    log::flush();
    // SAFETY: it stays mapped; a region's header was checked or written by us.
    unsafe {
        let bytes = base.cast::<Header>().read_volatile().region_bytes;
        // Our mapping is no part of the program's core file.
        sys::madvise(base, bytes as usize, libc::MADV_DONTDUMP);
        region::install(base, private);
    }
}
