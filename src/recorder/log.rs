//! The text log, for use without the tool: a call's records, printed as a line with one raw write.
//!
//! The line is formatted on the stack. The descriptor is the program's own (stderr, or one that the
//! user named), or none at all: a file is opened for each line, because the shim keeps no
//! descriptor. Before each line the descriptor is compared with what it was at first, so that a
//! program that closes it and opens a socket of the same number never finds our text in its stream.

use super::call::Call;
use super::{may_ask, process, region};
use crate::sys;
use crate::sys::path::KeptPath;
use core::ffi::{CStr, c_int};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::*};
use sockshim_format::line::{Line, Parts};
use sockshim_format::op::Op;
use sockshim_format::record::{Call as Record, *};
use sockshim_format::region::{CHUNK_SLOTS, Chunk, SLOT_BYTES};

/// Nothing is printed.
const OFF: i32 = -1;
/// Lines go to the file in PATH.
const FILE: i32 = -2;

/// OFF, FILE, or a descriptor.
static SINK: AtomicI32 = AtomicI32::new(OFF);
/// Device and inode of the descriptor at first.
static SINK_DEVICE: AtomicU64 = AtomicU64::new(0);
static SINK_INODE: AtomicU64 = AtomicU64::new(0);
/// Bytes of payload to keep.
static SNAPLEN: AtomicU32 = AtomicU32::new(0);

/// Kept before SINK says FILE.
#[unsafe(link_section = ".bss.table")]
static PATH: KeptPath = KeptPath::new();

/// Whether lines are printed.
pub fn on() -> bool {
    SINK.load(Relaxed) != OFF
}

/// Bytes of payload to keep of each call.
pub fn snaplen() -> u32 {
    SNAPLEN.load(Relaxed)
}

/// Sets the bytes of payload to keep.
pub fn set_snaplen(bytes: u32) {
    SNAPLEN.store(bytes, Relaxed);
    super::reconsider();
}

/// Prints no more. Returns what `resume` takes.
pub fn off() -> i32 {
    let sink = SINK.swap(OFF, AcqRel);
    super::reconsider();
    sink
}

/// Goes on where `off` stopped.
pub fn resume(sink: i32) {
    SINK.store(sink, Release);
    super::reconsider();
}

/// Prints to a descriptor of the program's. Returns false if it is not open.
pub fn to_descriptor(fd: c_int) -> bool {
    let Some(status) = sys::fstat(fd) else { return false };
    SINK_DEVICE.store(status.st_dev, Relaxed);
    SINK_INODE.store(status.st_ino, Relaxed);
    resume(fd);
    true
}

/// Prints to a file, appending. `path` is absolute. Returns false if it cannot be opened.
pub fn to_file(path: &CStr) -> bool {
    let fd = sys::open(path, libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_NOFOLLOW, 0o600);
    if fd < 0 {
        return false;
    }
    sys::close(fd);
    off();
    // SAFETY: SINK is off, so nobody reads; two threads that set a sink at once are the program's bug.
    let kept = unsafe { PATH.keep(path) };
    if kept {
        resume(FILE);
    }
    kept
}

/// One write of a whole line.
fn put(text: &[u8]) {
    match SINK.load(Acquire) {
        OFF => {}
        // Behind a seccomp filter even a write may kill.
        _ if !may_ask() => {}
        FILE => {
            let fd = sys::open(PATH.get(), libc::O_WRONLY | libc::O_APPEND, 0);
            if fd >= 0 {
                let unlimited = sys::limit(libc::RLIMIT_FSIZE) == u64::MAX;
                if unlimited || sys::fstat(fd).is_some_and(|status| may_grow(&status, text.len())) {
                    sys::write(fd, text);
                }
                sys::close(fd);
            }
        }
        fd => {
            let Some(status) = sys::fstat(fd) else { return };
            let same = status.st_dev == SINK_DEVICE.load(Relaxed) && status.st_ino == SINK_INODE.load(Relaxed);
            if same && may_grow(&status, text.len()) {
                sys::write(fd, text);
            }
        }
    }
}

/// Whether a file can take so many bytes more: past RLIMIT_FSIZE the kernel would send SIGXFSZ.
fn may_grow(status: &libc::stat, bytes: usize) -> bool {
    status.st_mode & libc::S_IFMT != libc::S_IFREG
        || (status.st_size as u64).saturating_add(bytes as u64) <= sys::limit(libc::RLIMIT_FSIZE)
}

/// Text on the stack; what does not fit is cut.
struct Buffer {
    bytes: [u8; 1024],
    len: usize,
}

impl Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.len() - 1 - self.len; // the newline always fits
        let n = text.len().min(room);
        if let (Some(to), Some(from)) = (self.bytes.get_mut(self.len..self.len + n), text.as_bytes().get(..n)) {
            to.copy_from_slice(from);
            self.len += n;
        }
        if n < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Prints a call: its entry if it is not done, else the whole.
///
/// # Safety
/// As in [`super::call`].
#[cold]
#[inline(never)]
pub unsafe fn line(call: &Call, record: &Record) {
    let Some(op) = Op::from_number(record.op) else { return };
    let mut parts = Parts::default();
    // SAFETY: the thread's state is settled; its current chunk is its own.
    unsafe { gather(call, &mut parts) };
    let ((first_ticks, first_ns), (ticks, ns)) = region::time_base();
    let to_ns = |t: u64| (t as u128 * ns as u128).checked_div(ticks as u128).unwrap_or(t as u128) as u64;
    let coarse = Commit::from_word(record.commit).flags & FLAG_COARSE != 0;
    let duration_ns = if coarse { record.duration_ticks } else { to_ns(record.duration_ticks) };
    let at_ns = if coarse {
        record.start_ticks.saturating_sub(first_ns)
    } else {
        to_ns(record.start_ticks.wrapping_sub(first_ticks))
    };
    let at_us = at_ns / 1000;
    // SAFETY: as above.
    let tid = unsafe { (*call.thread).tid };

    let mut out = Buffer { bytes: [0; 1024], len: 0 };
    let _ = write!(out, "sockshim[{}", process::pid());
    if tid != process::pid() {
        let _ = write!(out, "/{tid}");
    }
    let _ = write!(out, "] +{}.{:06} {:<11} ", at_us / 1_000_000, at_us % 1_000_000, op.phase().name());
    let line = Line { call: record, parts: &parts, peer: parts.peer, duration_ns };
    if write!(out, "{line}").is_err() {
        let cut = out.len.min(out.bytes.len() - 4);
        if let Some(place) = out.bytes.get_mut(cut..cut + 3) {
            place.copy_from_slice(b"...");
        }
        out.len = cut + 3;
    }
    if let Some(place) = out.bytes.get_mut(out.len) {
        *place = b'\n';
    }
    put(out.bytes.get(..out.len + 1).unwrap_or(&[]));

    // A private region has no tool: once the line is out, its records have served.
    // SAFETY: nothing is pinned, so no unfinished write of an interrupted call goes to this chunk.
    unsafe {
        let chunk = (*call.thread).chunk;
        let done = Commit::from_word(record.commit).state != STATE_ENTERED;
        if done && region::private() && !chunk.is_null() && (*call.thread).pinned.is_null() && (*chunk).used > 16 {
            region::reuse(chunk);
        }
    }
}

/// Collects the extensions of a call that lie in the thread's current chunk.
unsafe fn gather(call: &Call, parts: &mut Parts<'_>) {
    // SAFETY: the current chunk is ours; slots below `used` were reserved by this thread, and a
    // committed one is complete.
    unsafe {
        let chunk: *mut Chunk = (*call.thread).chunk;
        if chunk.is_null() {
            return;
        }
        let generation = region::generation(chunk);
        let mut at = 0;
        if chunk == call.chunk && generation == call.generation() {
            at = (call.slot as usize - chunk as usize) / SLOT_BYTES - 1;
        }
        let used = (*chunk).used.min(CHUNK_SLOTS) as usize;
        while at < used {
            let slot = chunk.cast::<u8>().add((at + 1) * SLOT_BYTES);
            let commit = Commit::from_word(slot.cast::<u64>().read());
            let slots = (commit.slots as usize).max(1);
            if commit.generation == generation && at + slots <= used && commit.kind > KIND_COMPLETION {
                let bytes = core::slice::from_raw_parts(slot, slots * SLOT_BYTES);
                if let (Some(head), Some(body)) = (Extension::read(bytes), bytes.get(Extension::SIZE..))
                    && head.seq == call.seq
                {
                    parts.add(commit.kind, &head, body);
                }
            }
            at += if commit.generation == generation { slots } else { 1 };
        }
    }
}

/// One line that is not a call: a warning at the start.
pub fn warn(message: &[&[u8]]) {
    let mut out = Buffer { bytes: [0; 1024], len: 0 };
    let _ = out.write_str("sockshim: ");
    for part in message {
        for &b in *part {
            let _ = out.write_char(if (0x20..0x7f).contains(&b) { b as char } else { '?' });
        }
    }
    if let Some(place) = out.bytes.get_mut(out.len) {
        *place = b'\n';
    }
    sys::write(2, out.bytes.get(..out.len + 1).unwrap_or(&[]));
}

/// A mark of the program, as a line.
pub fn mark(text: &[u8]) {
    if on() {
        let mut out = Buffer { bytes: [0; 1024], len: 0 };
        let _ = write!(out, "sockshim[{}] mark {}", process::pid(), sockshim_format::line::Quoted(text));
        if let Some(place) = out.bytes.get_mut(out.len) {
            *place = b'\n';
        }
        put(out.bytes.get(..out.len + 1).unwrap_or(&[]));
    }
}
