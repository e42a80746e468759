//! From the first moment to the last: the constructor, or the first call if that comes earlier.
//!
//! Nothing is ever torn down. Our destructor runs before those of other libraries, which go on
//! calling us.

use crate::config::{self, Config, Log, Start};
use crate::filter;
use crate::follow;
use crate::inject;
use crate::recorder::{self, MODE, MODE_OFF, MODE_UNKNOWN, attach, chunk, descriptors, log, process, region, thread};
use crate::sys;
use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, Ordering::*};
use sockshim_format::record::PROCESS_IMAGE;
use sockshim_format::region::REGION_EDGES;

/// What the constructor runs: resolves every slot. Set by the table.
#[cfg_attr(test, allow(dead_code))]
type ResolveAll = fn();

static BEGUN: AtomicBool = AtomicBool::new(false);

/// Begins, unless that has been done or is being done: a call that comes meanwhile, from another
/// thread or from inside, passes through. Comes from the constructor or from the first call, which
/// may be in an IFUNC resolver, before libc has set anything up.
#[cold]
#[inline(never)]
pub fn begin() {
    if !thread::has_storage() || BEGUN.swap(true, AcqRel) {
        return;
    }
    let Some(start) = Start::find() else {
        return recorder::switch(MODE_OFF);
    };
    sys::memory::remember_stack();
    let config = config::read(&start);
    let recording = !config.secure && begin_recording(&config);
    if recording && let Some(plan) = config.inject {
        begin_faults(plan);
    }
    let mode = if recording { recorder::mode_on() } else { MODE_OFF };
    if recording && config.follow {
        follow::keep(&start);
    }
    // Not a plain store: `sockshim_stop` may have come first.
    let _ = MODE.compare_exchange(MODE_UNKNOWN, mode, AcqRel, Relaxed);
    recorder::reconsider();
    if recording {
        tell_process(&start);
        if config.region.is_none() {
            attach::calibrate_trace();
        }
    }
    if !config.secure {
        follow::conceal(&start);
    }
}

/// Opens what the settings name. Whatever fails is said once, and then calls pass through.
fn begin_recording(config: &Config) -> bool {
    if let Some((name, value, takes)) = config.complaint {
        log::warn(&[name.as_bytes(), b"=", value.to_bytes(), b" is ignored: it takes ", takes.as_bytes()]);
    }
    process::check_tid_offset();
    log::set_snaplen(config.snaplen);
    if config.collect {
        log::collect();
    }
    let mut recording = false;
    if let Some(path) = config.region {
        // Who set the region set the rest in its header. A region that is gone belongs to a run
        // that has ended; a program that survived it is not told so on its own stderr.
        if let Ok(header) = attach::to_tool(path) {
            log::set_snaplen(header.snaplen_bytes);
            recorder::EDGES.store(header.flags & REGION_EDGES != 0, Relaxed);
            recording = true;
        }
    } else if let Some(path) = config.trace {
        recorder::EDGES.store(config.edges, Relaxed);
        recording = open_trace(path, config);
    }
    let logged = match config.log {
        Log::Off => false,
        Log::Default => config.region.is_none() && config.trace.is_none() && log::to_descriptor(2),
        Log::Descriptor(fd) => {
            let open = log::to_descriptor(fd);
            if !open {
                log::warn(&[b"SOCKSHIM_LOG names a descriptor that is not open; nothing is logged"]);
            }
            open
        }
        Log::File(path) => open_log(path),
    };
    if logged && !recording {
        if let Err(why) = attach::to_nothing(config.snaplen) {
            log::off();
            log::warn(&[why.as_bytes(), b"; the program runs untraced"]);
            return false;
        }
        recording = true;
    }
    recording
}

/// Nothing is injected that cannot be recorded, so this is asked only where calls are. A plan with a mistake is none:
/// half of the faults would be a lie.
fn begin_faults(plan: &CStr) {
    if let Err(mistake) = inject::install(plan) {
        log::warn(&[b"SOCKSHIM_INJECT: ", mistake.word, b" is ", mistake.why.as_bytes(), b"; nothing is injected"]);
    }
}

/// `sockshim_inject`: the plan from now on, none without a text. False if it has a mistake, or if there is nothing
/// to record to.
pub fn inject(plan: Option<&CStr>) -> bool {
    begin();
    let installed = match plan {
        None => {
            inject::clear();
            true
        }
        Some(plan) => region::installed() && inject::install(plan).is_ok(),
    };
    recorder::reconsider();
    installed
}

/// `sockshim_filter`: records what the text says and nothing else, everything without one. False if it has a mistake, or
/// if there is nothing to record to. The trace tells which filter begins where.
pub fn filter(text: Option<&CStr>) -> bool {
    begin();
    let installed = match text {
        None => {
            filter::clear();
            true
        }
        Some(text) => region::installed() && filter::install(text).is_ok(),
    };
    recorder::reconsider();
    if installed {
        let text = text.map_or(&b"off"[..], CStr::to_bytes);
        tell_mark(b"filter: ", text, b"");
    }
    installed
}

/// Apart, as is what else takes pages of the stack that a program under a tool never touches.
#[cold]
#[inline(never)]
fn open_trace(path: &CStr, config: &Config) -> bool {
    let mut buffer = [0u8; 4096];
    let made = expand(path, &mut buffer)
        .ok_or("the path is too long")
        .and_then(|path| attach::to_trace(path, config.size, config.snaplen, config.edges));
    if let Err(why) = made {
        log::warn(&[b"SOCKSHIM_TRACE=", path.to_bytes(), b": ", why.as_bytes(), b"; the program runs untraced"]);
    }
    made.is_ok()
}

#[cold]
#[inline(never)]
fn open_log(path: &'static CStr) -> bool {
    let mut buffer = [0u8; 4096];
    let opened = absolute(path, &mut buffer).is_some_and(log::to_file);
    if !opened {
        log::warn(&[b"SOCKSHIM_LOG=", path.to_bytes(), b": the file cannot be opened; nothing is logged"]);
    }
    opened
}

/// A path that holds when the program changes its directory.
fn absolute<'a>(path: &CStr, buffer: &'a mut [u8; 4096]) -> Option<&'a CStr> {
    let mut len = 0;
    if path.to_bytes().first() != Some(&b'/') {
        len = sys::getcwd(buffer).len();
        *buffer.get_mut(len)? = b'/';
        len += 1;
    }
    let text = path.to_bytes_with_nul();
    buffer.get_mut(len..len + text.len())?.copy_from_slice(text);
    CStr::from_bytes_until_nul(buffer).ok()
}

/// `%p` in a trace's path becomes the pid, so that every process can have a file of its own.
fn expand<'a>(path: &CStr, buffer: &'a mut [u8; 4096]) -> Option<&'a CStr> {
    let mut len = 0;
    let mut bytes = path.to_bytes().iter();
    while let Some(&b) = bytes.next() {
        if b != b'%' || bytes.as_slice().first() != Some(&b'p') {
            *buffer.get_mut(len)? = b;
            len += 1;
            continue;
        }
        bytes.next();
        let (mut digits, mut count, mut pid) = ([0u8; 10], 0, sys::getpid());
        while let Some(place) = digits.get_mut(count) {
            *place = b'0' + (pid % 10) as u8;
            (count, pid) = (count + 1, pid / 10);
            if pid == 0 {
                break;
            }
        }
        for digit in digits.get(..count)?.iter().rev() {
            *buffer.get_mut(len)? = *digit;
            len += 1;
        }
    }
    *buffer.get_mut(len)? = 0;
    CStr::from_bytes_until_nul(buffer).ok()
}

/// Bytes that are kept of the path of what was executed.
const MAX_PATH: usize = 512;

/// The path of the program, as it was executed where that tells which file it is. The kernel is asked only where it does not: to
/// be the first to look into a process's part of /proc is a tenth of what we add to the start of a program.
fn executable<'a>(start: &Start, buffer: &'a mut [u8; MAX_PATH]) -> &'a [u8] {
    match start.executed().filter(|path| names_a_file(path.to_bytes()) && !start.is_script(path)) {
        Some(path) => path.to_bytes().get(..MAX_PATH).unwrap_or(path.to_bytes()),
        None => sys::readlink(c"/proc/self/exe", buffer),
    }
}

/// Whether a path does so by itself, from wherever it is looked at: it begins at the root, takes no step back, and does not lead
/// by a descriptor of somebody's, as `/proc/self/exe` and `/dev/fd/3` do.
fn names_a_file(path: &[u8]) -> bool {
    let Some(path) = path.strip_prefix(b"/") else { return false };
    let goes_on = |part: &[u8]| !matches!(part, b"" | b"." | b"..");
    path.split(|byte| *byte == b'/').all(goes_on) && !path.starts_with(b"proc/") && !path.starts_with(b"dev/")
}

/// The first record of a program: who it is.
fn tell_process(start: &Start) {
    if region::private() || !recorder::gate() {
        return;
    }
    let (mut path, mut arguments) = ([0u8; MAX_PATH], [0u8; 1024]);
    let path = executable(start, &mut path);
    let arguments = start.arguments(&mut arguments);
    // SAFETY: `gate` has settled the thread's state.
    unsafe { process::announce(thread::current(), PROCESS_IMAGE, 0, path, arguments) };
}

/// `sockshim_start`: records from now on, if there is anything to record to.
pub fn start() -> bool {
    begin();
    if region::installed() {
        switch_on();
    }
    region::installed()
}

/// While we were off, descriptors have come and gone unseen: what was known of them is forgotten.
fn switch_on() {
    if !recorder::is_on() {
        descriptors::closed_between(0, u32::MAX);
        recorder::switch(recorder::mode_on());
    }
}

/// `sockshim_stop`: calls pass through from now on.
pub fn stop() {
    begin();
    recorder::switch(MODE_OFF);
    log::flush();
}

/// Bytes of the memory that `sockshim_record` makes if it is not told.
const MEMORY_BYTES: u64 = 16 << 20;

/// `sockshim_record`: into memory from now on, unless there is a trace already.
pub fn record(bytes: u64) -> bool {
    begin();
    let Some(start) = Start::find().filter(|start| !start.secure()) else { return false };
    if region::readable().is_none() {
        let config = config::read(&start);
        let bytes = if bytes == 0 { MEMORY_BYTES } else { bytes };
        recorder::EDGES.store(config.edges, Relaxed);
        log::set_snaplen(config.snaplen);
        if attach::to_memory(bytes, config.snaplen, config.edges).is_err() {
            return false;
        }
        // As with a trace: lines are printed only if somebody asked for them.
        if matches!(config.log, Log::Default) {
            log::off();
        }
        descriptors::closed_between(0, u32::MAX);
        recorder::switch(recorder::mode_on());
        tell_process(&start);
    }
    switch_on();
    true
}

/// `sockshim_region`: where it is and how large, if anybody else can make something of it.
pub fn region() -> Option<(*const u8, usize)> {
    begin();
    region::readable()
}

/// Sends the log to a descriptor from now on, with private memory to print from if need be.
pub fn log_to(fd: i32) -> bool {
    begin();
    if fd < 0 {
        log::off();
        return true;
    }
    if !log::to_descriptor(fd) || (!region::installed() && attach::to_nothing(config::DEFAULT_SNAPLEN).is_err()) {
        log::off();
        return false;
    }
    switch_on();
    true
}

/// `sockshim_mark`: a text of the program's own, at its time; `end` follows it.
pub fn mark(text: &CStr, end: &[u8]) {
    tell_mark(b"", text.to_bytes(), end);
}

fn tell_mark(begin: &[u8], text: &[u8], end: &[u8]) {
    use sockshim_format::record::{KIND_MARK, Mark};
    if recorder::gate() {
        let head = Mark { ticks: recorder::clock::now() }.to_bytes();
        let (mut whole, mut len) = ([0u8; 1040], 0);
        for part in [begin, text.get(..text.len().min(1024)).unwrap_or(&[]), end] {
            if let Some(place) = whole.get_mut(len..len + part.len()) {
                place.copy_from_slice(part);
                len += part.len();
            }
        }
        let text = whole.get(..len).unwrap_or(&[]);
        // SAFETY: `gate` has settled the thread's state.
        unsafe { chunk::extension_by(thread::current(), KIND_MARK, 0, 0, 0, &[&head, text]) };
        log::mark(text);
    }
}

/// The constructor: resolves every name while that is safe, then begins.
#[cfg_attr(test, allow(dead_code))]
pub fn construct(resolve_all: ResolveAll) {
    resolve_all();
    begin();
}

/// The destructor. Calls still come after it, so all it does is look at what is left open, and once more
/// at the clock, which makes the times of a trace without a tool exact.
#[cfg_attr(test, allow(dead_code))]
pub fn destruct() {
    if recorder::gate() {
        // SAFETY: `gate` has settled the thread's state.
        unsafe { recorder::tcp::left() };
    }
    if !region::private() {
        region::calibrate_again();
    }
    log::end();
}
