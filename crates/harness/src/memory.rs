//! The shim, as far as it is there, and a copy of the region that it records in.

use sockshim_format::region::{CHUNK_BYTES, Header, KEPT, REGION_DRAINED};
use std::arch::{asm, global_asm};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::offset_of;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};
use std::time::{Duration, Instant};

/// Why there is nothing to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untold {
    /// The shim is not there.
    Absent,
    /// The tool takes what is recorded, and keeps no trace.
    Drained,
    /// The tool does not answer any more.
    Deaf,
    /// Nothing is recorded.
    Off,
}

impl Untold {
    /// In words, with the remedy.
    pub const fn words(self) -> &'static str {
        match self {
            Untold::Absent => "sockshim is absent: link with -lsockshim, or run with LD_PRELOAD=$(sockshim lib)",
            Untold::Drained => "sockshim run keeps no trace that could be asked: give it -o FILE",
            Untold::Deaf => "sockshim run does not answer: it was killed, or cannot write its trace",
            Untold::Off => "nothing is recorded: call sockshim_test_begin first",
        }
    }
}

// Weak: null where the shim is not there. The same way as the shim itself finds `__libc_stack_end`.
global_asm!(".weak sockshim_region", ".weak sockshim_record", ".weak sockshim_mark", ".weak sockshim_describe");

macro_rules! weak {
    ($name:literal) => {{
        let place: *const c_void;
        // SAFETY: reads an address out of the global offset table, which the loader filled before any code of ours.
        #[cfg(target_arch = "aarch64")]
        unsafe {
            asm!(concat!("adrp {0}, :got:", $name), concat!("ldr {0}, [{0}, :got_lo12:", $name, "]"), out(reg) place,
                options(pure, readonly, nostack));
        }
        // SAFETY: likewise.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            asm!(concat!("mov {}, qword ptr [rip + ", $name, "@GOTPCREL]"), out(reg) place,
                options(pure, readonly, nostack));
        }
        place
    }};
}

type Region = unsafe extern "C" fn(*mut usize) -> *const c_void;
type Record = extern "C" fn(usize) -> c_int;
type Mark = unsafe extern "C" fn(*const c_char);
type Describe = unsafe extern "C" fn(c_int, *mut Descriptor) -> c_int;

/// `sockshim_descriptor`, as far as it is asked here.
#[repr(C)]
struct Descriptor {
    size: usize,
    cookie: u64,
    rest: [u8; 240],
}

/// Records from now on, into memory if there is no trace.
pub fn record() -> Result<(), Untold> {
    let function = weak!("sockshim_record");
    if function.is_null() {
        return Err(Untold::Absent);
    }
    // SAFETY: the address is that of the function of this name, whose type never changes (docs/ABI.md).
    let function: Record = unsafe { std::mem::transmute(function) };
    if function(0) == 0 { Ok(()) } else { Err(Untold::Off) }
}

/// Puts a text into the trace.
pub fn mark(text: &CStr) {
    let function = weak!("sockshim_mark");
    if !function.is_null() {
        // SAFETY: as in `record`; the text ends with a zero byte.
        unsafe { std::mem::transmute::<*const c_void, Mark>(function)(text.as_ptr()) };
    }
}

/// SO_COOKIE of a socket, or the shim's own number for it.
pub fn cookie(fd: c_int) -> Option<u64> {
    let function = weak!("sockshim_describe");
    if function.is_null() {
        return None;
    }
    let mut found = Descriptor { size: size_of::<Descriptor>(), cookie: 0, rest: [0; 240] };
    // SAFETY: as in `record`; `size` says how much room there is.
    let ret = unsafe { std::mem::transmute::<*const c_void, Describe>(function)(fd, &mut found) };
    let Descriptor { cookie, rest: _, .. } = found;
    (ret == 0).then_some(cookie)
}

/// What is recorded by now.
pub enum Recorded {
    /// A copy of the region, up to the last chunk in use.
    Region(Vec<u8>),
    /// The trace that the tool keeps, and it is in there.
    Kept(PathBuf),
}

/// How long the tool has to write what is recorded into its trace. It looks a hundred times in a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is recorded by now.
pub fn recorded() -> Result<Recorded, Untold> {
    let function = weak!("sockshim_region");
    if function.is_null() {
        return Err(Untold::Absent);
    }
    let mut bytes = 0;
    // SAFETY: as in `record`; `bytes` is ours.
    let base = unsafe { std::mem::transmute::<*const c_void, Region>(function)(&mut bytes) };
    if base.is_null() {
        return Err(Untold::Off);
    }
    let region = Words { base: base.cast(), bytes };
    let header = Header::read(&region.copy(0, Header::SIZE)).ok_or(Untold::Off)?;
    if header.flags & REGION_DRAINED != 0 {
        let path = std::env::var_os(KEPT).map(PathBuf::from).ok_or(Untold::Drained)?;
        return if region.is_kept(&header) { Ok(Recorded::Kept(path)) } else { Err(Untold::Deaf) };
    }
    let used = region.highest_used(&header) * CHUNK_BYTES;
    Ok(Recorded::Region(region.copy(0, header.chunks_offset as usize + used)))
}

/// The mapped region, to which threads write at any moment: it is read in words, each with all that was written
/// before it.
struct Words {
    base: *const u8,
    bytes: usize,
}

impl Words {
    fn word(&self, at: usize) -> u64 {
        if !at.is_multiple_of(8) || at + 8 > self.bytes {
            return 0;
        }
        // SAFETY: inside the region, which the shim keeps mapped as long as the process lives, and aligned.
        unsafe { (*self.base.add(at).cast::<AtomicU64>()).load(Acquire) }
    }

    fn half(&self, at: usize) -> &AtomicU32 {
        // SAFETY: as in `word`; callers name a field of the header, which `bytes` are enough for, and which is aligned.
        unsafe { &*self.base.add(at).cast::<AtomicU32>() }
    }

    /// Asks the tool to write what is recorded by now into its trace, and waits until it has.
    fn is_kept(&self, header: &Header) -> bool {
        let asked = self.half(offset_of!(Header, asked)).fetch_add(1, AcqRel).wrapping_add(1);
        let begin = Instant::now();
        let tool = format!("/proc/{}", header.tool_pid);
        while (self.half(offset_of!(Header, answered)).load(Acquire).wrapping_sub(asked) as i32) < 0 {
            if begin.elapsed() > PATIENCE || !std::path::Path::new(&tool).exists() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    fn copy(&self, from: usize, len: usize) -> Vec<u8> {
        let end = (from + len).min(self.bytes);
        (from..end).step_by(8).flat_map(|at| self.word(at).to_ne_bytes()).collect()
    }

    /// Chunks up to the last one that is not free, by the bitmap: pages that were never used stay untouched. No bit is
    /// set of one that was not offered yet.
    fn highest_used(&self, header: &Header) -> usize {
        let count = header.offered_chunks() as usize;
        for word in (0..count.div_ceil(64)).rev() {
            let chunks = (count - word * 64).min(64);
            let there = u64::MAX >> (64 - chunks);
            let used = !self.word(header.free_offset as usize + word * 8) & there;
            if used != 0 {
                return word * 64 + 64 - used.leading_zeros() as usize;
            }
        }
        0
    }
}
