//! The text log, for use without the tool: a call's records, printed as a line, with one raw write unless lines are to be
//! collected ([`block`]).
//!
//! The line is formatted on the stack. The descriptor is the program's own (stderr, or one that the
//! user named), or none at all: a file is opened for each write, because the shim keeps no
//! descriptor. Before each write the descriptor is compared with what it was at first, so that a
//! program that closes it and opens a socket of the same number never finds our text in its stream.

mod block;

use super::call::Call;
use super::{may_ask, process, region};
use crate::sys;
use crate::sys::path::KeptPath;
use core::ffi::{CStr, c_int};
use core::fmt::{self, Write};
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::*};
use sockshim_format::digits::{number, padded};
use sockshim_format::line::{Line, Parts, Quoted};
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

/// Lines are collected, where they come quickly.
pub fn collect() {
    block::begin();
}

/// Writes what was collected.
pub fn flush() {
    block::flush(put);
}

/// Likewise if one of these descriptors is where it goes: they are about to be closed, or others to take their numbers.
pub fn flush_to(first: u32, last: u32) {
    if (first..=last).contains(&(SINK.load(Relaxed) as u32)) {
        flush();
    }
}

/// Writes what was collected, and from now on each line at once: nothing comes after the last one that would write it.
pub fn end() {
    block::end(put);
}

/// Prints no more. Returns what `resume` takes.
pub fn off() -> i32 {
    flush();
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
    flush();
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

/// Prints a line that is told at this time, which may wait for others.
fn print(line: &[u8], now_ns: u64) {
    let waits = block::may_wait(now_ns);
    match block::add(line, put) {
        true if waits => {}
        true => flush(),
        false => put(line),
    }
}

/// Prints a line that must not wait.
fn print_now(line: &[u8]) {
    if block::add(line, put) { flush() } else { put(line) }
}

/// Writes whole lines.
fn put(text: &[u8]) {
    match SINK.load(Acquire) {
        OFF => {}
        // Behind a seccomp filter even a write may kill.
        _ if !may_ask() => {}
        FILE => {
            let fd = sys::open(PATH.get(), libc::O_WRONLY | libc::O_APPEND, 0);
            if fd >= 0 {
                if text.len() <= libc::PIPE_BUF && sys::limit(libc::RLIMIT_FSIZE) == u64::MAX {
                    sys::write(fd, text);
                } else if let Some(status) = sys::fstat(fd) {
                    put_to(fd, &status, text);
                }
                sys::close(fd);
            }
        }
        fd => {
            let Some(status) = sys::fstat(fd) else { return };
            if status.st_dev == SINK_DEVICE.load(Relaxed) && status.st_ino == SINK_INODE.load(Relaxed) {
                put_to(fd, &status, text);
            }
        }
    }
}

/// To a file by one write, if it can take so much. What may be a pipe takes no more than PIPE_BUF bytes in one piece (pipe(7)): others
/// may write there too, and lines are not to be torn.
fn put_to(fd: c_int, status: &libc::stat, text: &[u8]) {
    let is_file = status.st_mode & libc::S_IFMT == libc::S_IFREG;
    if is_file && !may_grow(status, text.len()) {
        return;
    }
    let mut left = text;
    while !left.is_empty() {
        let piece = if is_file { left } else { lines_of(left, libc::PIPE_BUF) };
        sys::write(fd, piece);
        left = left.get(piece.len()..).unwrap_or(&[]);
    }
}

/// As many whole lines as so many bytes hold, but something.
fn lines_of(text: &[u8], bytes: usize) -> &[u8] {
    let start = text.get(..bytes).unwrap_or(text);
    let end = start.iter().rposition(|b| *b == b'\n').map_or(start.len(), |at| at + 1);
    text.get(..end).unwrap_or(text)
}

/// Whether a file can take so many bytes more: past RLIMIT_FSIZE the kernel would send SIGXFSZ.
fn may_grow(status: &libc::stat, bytes: usize) -> bool {
    (status.st_size as u64).saturating_add(bytes as u64) <= sys::limit(libc::RLIMIT_FSIZE)
}

/// Text on the stack; what does not fit is cut.
struct Buffer {
    bytes: [MaybeUninit<u8>; 1024],
    len: usize,
}

impl Buffer {
    fn new() -> Buffer {
        Buffer { bytes: [const { MaybeUninit::uninit() }; 1024], len: 0 }
    }

    /// As a line.
    fn line(&mut self) -> &[u8] {
        if let Some(place) = self.bytes.get_mut(self.len) {
            place.write(b'\n');
        }
        // SAFETY: so many bytes were written, and the newline for which there always is room.
        unsafe { core::slice::from_raw_parts(self.bytes.as_ptr().cast(), self.len + 1) }
    }

    #[cold]
    #[inline(never)]
    fn write_part(&mut self, text: &str, bytes: usize) -> fmt::Result {
        // SAFETY: so many bytes from `len` on lie inside.
        unsafe { self.bytes.as_mut_ptr().add(self.len).cast::<u8>().copy_from(text.as_ptr(), bytes) };
        self.len += bytes;
        Err(fmt::Error)
    }

    /// Shows that something was cut.
    fn cut(&mut self) {
        self.len = self.len.min(self.bytes.len() - 4);
        let _ = self.write_str("...");
    }
}

impl Write for Buffer {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.len() - 1 - self.len; // the newline always fits
        if text.len() > room {
            return self.write_part(text, room);
        }
        // SAFETY: so many bytes from `len` on lie inside. Of words that are known here the compiler knows how many: it copies them in place.
        unsafe { self.bytes.as_mut_ptr().add(self.len).cast::<u8>().copy_from(text.as_ptr(), text.len()) };
        self.len += text.len();
        Ok(())
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
    // SAFETY: as above.
    let tid = unsafe { (*call.thread).tid };

    let mut out = Buffer::new();
    let line = Line { call: record, parts: &parts, peer: parts.peer, duration_ns };
    if prefix(&mut out, tid, at_ns, op).and_then(|()| line.print(&mut out)).is_err() {
        out.cut();
    }
    // What is not done yet may not be for long.
    let done = Commit::from_word(record.commit).state == STATE_DONE;
    if done {
        print(out.line(), at_ns + duration_ns)
    } else {
        print_now(out.line())
    }

    // A private region has no tool: once the line is out, its records have served.
    // SAFETY: nothing is pinned, so no unfinished write of an interrupted call goes to this chunk.
    unsafe {
        let chunk = (*call.thread).chunk;
        let over = Commit::from_word(record.commit).state != STATE_ENTERED;
        if over && region::private() && !chunk.is_null() && (*call.thread).pinned.is_null() && (*chunk).used > 16 {
            region::reuse(chunk);
        }
    }
}

/// `sockshim[123/124] +0.001234 communicate `: who, when, which phase.
fn prefix(out: &mut Buffer, tid: u32, at_ns: u64, op: Op) -> fmt::Result {
    out.write_str("sockshim[")?;
    number(out, process::pid())?;
    if tid != process::pid() {
        out.write_str("/")?;
        number(out, tid)?;
    }
    out.write_str("] +")?;
    let at_us = at_ns / 1000;
    number(out, at_us / 1_000_000)?;
    out.write_str(".")?;
    padded::<6, _>(out, at_us)?;
    let phase = op.phase().name();
    out.write_str(" ")?;
    out.write_str(phase)?;
    // As wide as the longest of them, and a space.
    out.write_str("            ".get(phase.len()..).unwrap_or(" "))
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
    let mut out = Buffer::new();
    let _ = out.write_str("sockshim: ");
    for part in message {
        for &b in *part {
            let _ = out.write_char(if (0x20..0x7f).contains(&b) { b as char } else { '?' });
        }
    }
    sys::write(2, out.line());
}

/// A mark of the program, as a line.
pub fn mark(text: &[u8]) {
    if on() {
        let mut out = Buffer::new();
        let _ = write!(out, "sockshim[{}] mark {}", process::pid(), Quoted(text));
        print_now(out.line());
    }
}
