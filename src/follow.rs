//! Following a program into the next one: by its environment, where LD_PRELOAD and our settings are.
//!
//! Most programs pass their environment on. To those that are executed with one of somebody's own making,
//! what we found in ours is given back on the way, and with it a variable that says so; the shim takes all
//! of it out again (`conceal`) before the new program looks. So the program sees what it was meant to see,
//! and what it executes in turn is followed the same way. `SOCKSHIM_FOLLOW=off` turns this off.
//!
//! # Safety
//! Environments are the caller's: arrays of zero-terminated strings, ended by a null, or null. What is
//! kept here is written once, before READY says so.

use crate::config::Start;
use crate::{stack, sys};
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicBool, Ordering::*};

/// `environ(7)`, and the last argument of `execve`.
pub type Strings = *const *const c_char;

unsafe extern "C" {
    /// environ(7). Read where libc itself would read it.
    static environ: UnsafeStrings;
}

#[repr(transparent)]
struct UnsafeStrings(UnsafeCell<Strings>);
// SAFETY: as racy as it is in C: the program that changes it in one thread and executes another program in
// a second one has a race of its own.
unsafe impl Sync for UnsafeStrings {}

/// What makes a program load the shim, and the shim find the trace.
const NAMES: [&str; COUNT] = [
    "LD_PRELOAD",
    "SOCKSHIM_REGION",
    "SOCKSHIM_TRACE",
    "SOCKSHIM_LOG",
    "SOCKSHIM_LOG_BUFFER",
    "SOCKSHIM_SNAPLEN",
    "SOCKSHIM_SIZE",
    "SOCKSHIM_EDGES",
    "SOCKSHIM_INJECT",
];
const COUNT: usize = 9;
const PRELOAD: usize = 0;
/// Says which of NAMES were given back, a character each; behind them the program's own LD_PRELOAD entry
/// if it had one.
const RESTORED: &str = "SOCKSHIM_RESTORED";
const ADDED: u8 = b'+';
/// In front of what the program itself preloads.
const JOINED: u8 = b'&';
const THERE: u8 = b'.';

/// The file of the shim, however it is numbered: how it is told among other preloaded libraries.
const SHIM: &[u8] = b"libsockshim.so";

/// What is written of it lies together.
#[repr(C)]
struct Kept {
    /// `NAME=value` in `text`; null for what was not set.
    entries: UnsafeCell<[*const c_char; COUNT]>,
    text: UnsafeCell<[u8; 8192]>,
}
// SAFETY: written by `keep` alone, before READY is set, and read behind it.
unsafe impl Sync for Kept {}

#[unsafe(link_section = ".bss.kept")]
static KEPT: Kept = Kept { entries: UnsafeCell::new([core::ptr::null(); COUNT]), text: UnsafeCell::new([0; 8192]) };
static READY: AtomicBool = AtomicBool::new(false);

/// Remembers the settings, which the program may overwrite where they lie. Nothing is followed when the
/// shim was not preloaded, for then it would not be in the next program either.
pub fn keep(start: &Start) {
    let shim = start.variable(NAMES[PRELOAD]).and_then(|list| tokens(list).find(|path| is_shim(path)));
    let Some(shim) = shim.filter(|_| !READY.load(Acquire)) else { return };
    // SAFETY: READY is not set, so nobody reads; `begin` runs once.
    let (text, entries) = unsafe { (&mut *KEPT.text.get(), &mut *KEPT.entries.get()) };
    let mut len = 0;
    for (i, (name, entry)) in NAMES.iter().zip(entries).enumerate() {
        let Some(value) = start.variable(name) else { continue };
        let value = if i == PRELOAD { shim } else { value.to_bytes() };
        let begin = len;
        for part in [name.as_bytes(), b"=", value, b"\0"] {
            let Some(place) = text.get_mut(len..len + part.len()) else { return };
            place.copy_from_slice(part);
            len += part.len();
        }
        *entry = text.get(begin..).map_or(core::ptr::null(), |text| text.as_ptr().cast());
    }
    READY.store(true, Release);
}

/// The paths in LD_PRELOAD (ld.so(8)).
fn tokens(list: &CStr) -> impl Iterator<Item = &[u8]> {
    list.to_bytes().split(|b| matches!(b, b':' | b' ')).filter(|path| !path.is_empty())
}

fn is_shim(path: &[u8]) -> bool {
    path.rsplit(|b| *b == b'/').next().is_some_and(|name| name.starts_with(SHIM))
}

/// The value of `name` in an entry `NAME=value`.
unsafe fn value_of(entry: *const c_char, name: &str) -> Option<&'static CStr> {
    // SAFETY: the caller's entry is a zero-terminated string, which stays as it is meanwhile.
    unsafe {
        let rest = CStr::from_ptr(entry).to_bytes().strip_prefix(name.as_bytes())?;
        (rest.first() == Some(&b'=')).then(|| CStr::from_ptr(entry.add(name.len() + 1)))
    }
}

/// Reads an environment that the kernel has not yet judged: it may lie anywhere, and end anywhere.
struct Checked {
    /// The page that was found to be there last.
    page: usize,
}

impl Checked {
    const PAGE: usize = 4096;

    /// Nothing is known yet: no page begins at the last address.
    fn nothing() -> Checked {
        Checked { page: usize::MAX }
    }

    /// Whether so many bytes can be read. No more than a page.
    fn covers(&mut self, address: usize, bytes: usize) -> bool {
        let last = address.wrapping_add(bytes - 1);
        // Another thread may unmap it meanwhile; the kernel would then have met the same.
        [address, last].into_iter().all(|at| {
            let page = at & !(Checked::PAGE - 1);
            let there = page == self.page || sys::memory::readable(at);
            self.page = if there { page } else { self.page };
            there
        })
    }

    /// The entry at a place of the array: null at its end, None where nothing can be read.
    fn entry(&mut self, envp: Strings, at: usize) -> Option<*const c_char> {
        let place = envp.wrapping_add(at);
        // SAFETY: just found to be readable; the kernel reads such a pointer wherever it lies.
        self.covers(place as usize, size_of::<Strings>()).then(|| unsafe { place.read_unaligned() })
    }

    /// Whether a string can be read to its end.
    fn string(&mut self, text: *const c_char) -> bool {
        let mut at = text as usize;
        while self.covers(at, 1) {
            // SAFETY: just found to be readable.
            if unsafe { (at as *const u8).read() } == 0 {
                return true;
            }
            at = at.wrapping_add(1);
        }
        false
    }
}

/// What an environment lacks.
struct Gap {
    /// Its entries.
    count: usize,
    /// For each of NAMES what must be done.
    marks: [u8; COUNT],
    /// Where its own LD_PRELOAD is, when that does not name the shim; and the whole entry.
    preload: Option<(usize, &'static CStr)>,
    /// Bytes of the strings that must be made: the new LD_PRELOAD, and RESTORED.
    text_bytes: usize,
}

/// What `envp` lacks; None when it lacks nothing, when it cannot be read, or when nothing is followed.
unsafe fn gap(envp: Strings) -> Option<Gap> {
    if !READY.load(Acquire) {
        return None;
    }
    // SAFETY: READY says that the entries are complete.
    let kept = unsafe { &*KEPT.entries.get() };
    let mut gap = Gap { count: 0, marks: [THERE; COUNT], preload: None, text_bytes: RESTORED.len() + COUNT + 2 };
    for (entry, mark) in kept.iter().zip(&mut gap.marks) {
        *mark = if entry.is_null() { THERE } else { ADDED };
    }
    let mut checked = Checked::nothing();
    while !envp.is_null() {
        let entry = checked.entry(envp, gap.count)?;
        if entry.is_null() {
            break;
        }
        if !checked.string(entry) {
            return None;
        }
        for (i, (name, mark)) in NAMES.iter().zip(&mut gap.marks).enumerate() {
            // SAFETY: the whole string was found to be readable; our own entries are strings.
            unsafe {
                let Some(value) = value_of(entry, name) else { continue };
                if i != PRELOAD || tokens(value).any(is_shim) {
                    *mark = THERE;
                } else if *mark == ADDED {
                    *mark = JOINED;
                    gap.preload = Some((gap.count, CStr::from_ptr(entry)));
                    gap.text_bytes += 2 * value.count_bytes() + CStr::from_ptr(kept[PRELOAD]).count_bytes() + 16;
                }
            }
        }
        gap.count += 1;
    }
    gap.marks.iter().any(|mark| *mark != THERE).then_some(gap)
}

/// Text that grows; the caller has counted.
struct Text(*mut u8);

impl Text {
    unsafe fn add(&mut self, bytes: &[u8]) {
        // SAFETY: the caller has made room for so much.
        unsafe {
            self.0.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            self.0 = self.0.add(bytes.len());
        }
    }

    /// RESTORED with its value.
    unsafe fn add_marks(&mut self, gap: &Gap, equals: &[u8]) {
        // SAFETY: as in `add`.
        unsafe {
            self.add(RESTORED.as_bytes());
            self.add(equals);
            self.add(&gap.marks);
            self.add(gap.preload.map_or(&[], |(_, entry)| entry.to_bytes()));
        }
    }

    /// Our library in front of the program's own.
    unsafe fn add_preload(&mut self, kept: *const c_char, theirs: &CStr) {
        // SAFETY: as in `add`; both are entries of LD_PRELOAD.
        unsafe {
            self.add(CStr::from_ptr(kept).to_bytes());
            self.add(b":");
            self.add(theirs.to_bytes().get(NAMES[PRELOAD].len() + 1..).unwrap_or(&[]));
        }
    }
}

/// Runs `execute` on an environment in which nothing is missing: on `envp` itself if it has all, else on
/// one that lives until `execute` returns.
///
/// # Safety
/// `envp` is an environment or null.
pub unsafe fn restored(envp: Strings, execute: &impl Fn(Strings) -> usize) -> usize {
    // SAFETY: the caller's promise.
    let Some(gap) = (unsafe { gap(envp) }) else { return execute(envp) };
    let pointers = gap.count + COUNT + 2;
    // SAFETY: `gap` has counted: entries, at most all of NAMES, RESTORED and the null; then the strings.
    unsafe {
        stack::with(pointers * size_of::<*const c_char>() + gap.text_bytes, &|memory| {
            let (array, mut text) =
                (memory.cast::<*const c_char>(), Text(memory.cast::<*const c_char>().add(pointers).cast()));
            let kept = &*KEPT.entries.get();
            let mut len = gap.count;
            if len > 0 {
                array.copy_from_nonoverlapping(envp, len);
            }
            if let Some((at, theirs)) = gap.preload {
                array.add(at).write(text.0.cast());
                text.add_preload(kept[PRELOAD], theirs);
                text.add(b"\0");
            }
            for (entry, mark) in kept.iter().zip(gap.marks) {
                if mark == ADDED {
                    array.add(len).write(*entry);
                    len += 1;
                }
            }
            array.add(len).write(text.0.cast());
            text.add_marks(&gap, b"=");
            text.add(b"\0");
            array.add(len + 1).write(core::ptr::null());
            execute(array)
        })
    }
}

/// The environment of this program, as the functions without an `envp` pass it on.
pub fn own() -> Strings {
    // SAFETY: libc's variable; see its declaration.
    unsafe { environ.0.get().read_volatile() }
}

/// Runs `execute` on a command for `sh -c`, which is executed with this program's own environment: where
/// that lacks something, the command begins with an `export` of it.
///
/// # Safety
/// `command` is a zero-terminated string or null.
pub unsafe fn command(command: *const c_char, execute: &impl Fn(*const c_char) -> usize) -> usize {
    const EXPORT: &[u8] = b"export ";
    // SAFETY: the caller's promise; libc's own environment.
    unsafe {
        let Some(gap) = gap(own()).filter(|_| Checked::nothing().string(command)) else { return execute(command) };
        let kept = &*KEPT.entries.get();
        let quoted = |bytes: &[u8]| !bytes.contains(&b'\'');
        let text = CStr::from_ptr(command).to_bytes_with_nul();
        let mut bytes = EXPORT.len() + gap.text_bytes + text.len() + 8;
        let mut fits = gap.preload.is_none_or(|(_, theirs)| quoted(theirs.to_bytes()));
        for entry in kept.iter().filter(|entry| !entry.is_null()) {
            let entry = CStr::from_ptr(*entry).to_bytes();
            bytes += entry.len() + 4;
            fits &= quoted(entry);
        }
        // A value with a quotation mark in it would have to be written otherwise; it is left out.
        if !fits {
            return execute(command);
        }
        stack::with(bytes, &|memory| {
            let mut out = Text(memory);
            out.add(EXPORT);
            for ((name, entry), mark) in NAMES.iter().zip(kept).zip(gap.marks) {
                if mark == THERE {
                    continue;
                }
                // The sign and the value go into quotation marks.
                out.add(name.as_bytes());
                out.add(b"='");
                match gap.preload.filter(|_| mark == JOINED) {
                    Some((_, theirs)) => out.add_preload(entry.add(name.len() + 1), theirs),
                    None => out.add(CStr::from_ptr(entry.add(name.len() + 1)).to_bytes()),
                }
                out.add(b"' ");
            }
            out.add_marks(&gap, b"='");
            out.add(b"'; ");
            out.add(text);
            execute(memory.cast())
        })
    }
}

/// Takes out of the environment what was given back, before the program looks at it.
pub fn conceal(start: &Start) {
    let Some(marks) = start.variable(RESTORED).filter(|marks| marks.count_bytes() >= COUNT) else { return };
    // A library's constructor that ran before ours may have moved the environment (setenv(3)).
    let mut arrays = [start.environment(), own().cast_mut()];
    if arrays[0] == arrays[1] {
        arrays[1] = core::ptr::null_mut();
    }
    for array in arrays.into_iter().filter(|array| !array.is_null()) {
        // SAFETY: the kernel's block or libc's copy of it: this process's own writable memory, and nobody
        // else runs yet.
        unsafe { take_out(array, marks) };
    }
}

unsafe fn take_out(array: *mut *const c_char, marks: &'static CStr) {
    // SAFETY: the caller's promise.
    unsafe {
        let (mut from, mut to) = (array, array);
        while !(*from).is_null() {
            let mut entry = *from;
            from = from.add(1);
            let name = NAMES.iter().position(|name| value_of(entry, name).is_some());
            match name.and_then(|i| marks.to_bytes().get(i)) {
                _ if value_of(entry, RESTORED).is_some() => continue,
                Some(&ADDED) => continue,
                Some(&JOINED) => entry = marks.as_ptr().add(COUNT),
                _ => {}
            }
            to.write(entry);
            to = to.add(1);
        }
        // To the end that it had: what lies behind is looked for there.
        while to <= from {
            to.write(core::ptr::null());
            to = to.add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stale_is_left_where_the_environment_ended() {
        let entries =
            [c"A=b", c"SOCKSHIM_REGION=x", c"SOCKSHIM_LOG=off", c"SOCKSHIM_RESTORED=+++++++++", c"SOCKSHIM_EDGES=off"];
        let mut array = entries.map(CStr::as_ptr).to_vec();
        array.extend([core::ptr::null(), c"behind".as_ptr()]);
        // SAFETY: an array of strings with a null pointer behind them, all of them ours.
        unsafe { take_out(array.as_mut_ptr(), c"+++++++++") };
        let there: Vec<bool> = array.iter().map(|entry| !entry.is_null()).collect();
        assert_eq!(there, [true, false, false, false, false, false, true]);
    }
}
