//! The functions of `include/sockshim/harness.h`, where their texts are.
//!
//! # Safety
//! Pointers are the caller's, as the header says. None of the functions changes errno.
#![allow(clippy::missing_safety_doc, missing_docs)]

use crate::facts::sockshim_connection;
use crate::memory::{self, Recorded, Untold};
use crate::reading::{Reading, Silence, TEST_BEGINS};
use crate::story::{calls, story};
use crate::watch::{Callbacks, Watch};
use sockshim_reader::expect;
use sockshim_reader::model::{Connection, words};
use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uint, c_void};
use std::fmt::Write;
use std::sync::Mutex;

/// What `sockshim_expect` returns.
const FAILS: c_int = 0;
const HOLDS: c_int = 1;
const SKIPPED: c_int = 2;

/// Connections whose calls are told for an expectation that does not hold; the others have their sentence.
const TOLD: usize = 3;
/// Connections that are named at all.
const NAMED: usize = 10;

/// Gives errno back as it was.
struct Errno(c_int);

impl Errno {
    fn keep() -> Errno {
        // SAFETY: libc's own place for the calling thread's errno.
        Errno(unsafe { *libc::__errno_location() })
    }
}

impl Drop for Errno {
    fn drop(&mut self) {
        // SAFETY: as in `keep`.
        unsafe { *libc::__errno_location() = self.0 };
    }
}

/// A string of the caller's, null being none.
unsafe fn text<'a>(text: *const c_char) -> Option<&'a CStr> {
    // SAFETY: the caller's promise: it ends with a zero byte.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

/// Puts a text into a buffer of the caller's, cut to fit. Returns its whole length, as snprintf does.
unsafe fn give(text: &str, out: *mut c_char, room: usize) -> c_long {
    if !out.is_null() && room > 0 {
        // SAFETY: the caller's promise: there is room for so many bytes.
        crate::facts::put(unsafe { std::slice::from_raw_parts_mut(out, room) }, text);
    }
    text.len() as c_long
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockshim_test_begin(name: *const c_char) -> c_int {
    let _errno = Errno::keep();
    if memory::record().is_err() {
        return -1;
    }
    // SAFETY: the caller's promise.
    let name = unsafe { text(name) }.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    memory::mark(&CString::new(format!("{TEST_BEGINS}{name}")).unwrap_or_default());
    if memory::recorded().is_err() { -1 } else { 0 }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockshim_expect(
    trace: *const c_char,
    expectation: *const c_char,
    message: *mut c_char,
    room: usize,
) -> c_int {
    let _errno = Errno::keep();
    // SAFETY: the caller's promise.
    let (trace, expectation) = unsafe { (text(trace), text(expectation)) };
    let (verdict, words) = answer(trace, &expectation.unwrap_or_default().to_string_lossy());
    // SAFETY: the caller's promise.
    unsafe { give(&words, message, room) };
    verdict
}

/// Whether something holds, and what to say about it.
fn answer(trace: Option<&CStr>, text: &str) -> (c_int, String) {
    let expected = match expect::one(text) {
        Ok(expected) => expected,
        Err(wrong) => return (FAILS, format!("wrong expectation: {wrong}\n")),
    };
    let reading = match Reading::of(trace) {
        Ok(reading) => reading,
        Err(Silence::Untold(Untold::Off)) => return (FAILS, format!("{}\n", Untold::Off.words())),
        Err(Silence::Untold(why)) => return (SKIPPED, format!("{}\n", why.words())),
        Err(Silence::Broken(why)) => return (FAILS, format!("{why}\n")),
    };
    if reading.lost > 0 {
        let lost = words::count(reading.lost, "call");
        return (FAILS, format!("{lost} found no room to be recorded: give sockshim_record more bytes\n"));
    }
    let wrong = reading.wrong(&expected);
    if wrong.is_empty() {
        return (HOLDS, format!("{expected} holds\n"));
    }
    let mut told = format!("{expected} does not hold:\n");
    for (at, wrong) in wrong.iter().take(NAMED).enumerate() {
        let _ = writeln!(told, "  {}", wrong.text);
        let id = wrong.connection.and_then(|number| number.checked_sub(1));
        if let Some(id) = id.filter(|_| at < TOLD) {
            calls(&reading, id, &mut told);
        }
    }
    if wrong.iter().all(|wrong| wrong.connection.is_none()) {
        // Nothing to point at: tell what there was instead.
        for conn in reading.connections().take(TOLD) {
            let _ = writeln!(told, "  {}", story(&reading, conn).trim_end());
        }
    }
    if wrong.len() > NAMED {
        let _ = writeln!(told, "  and {} more", words::thousands((wrong.len() - NAMED) as u64));
    }
    (FAILS, told)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockshim_connections(
    trace: *const c_char,
    each: Option<unsafe extern "C" fn(*const sockshim_connection, *mut c_void) -> c_int>,
    context: *mut c_void,
) -> c_int {
    let _errno = Errno::keep();
    // SAFETY: the caller's promise.
    let Ok(reading) = Reading::of(unsafe { text(trace) }) else { return -1 };
    let mut told = 0;
    for conn in reading.connections() {
        told += 1;
        let facts = sockshim_connection::of(&reading, conn);
        // SAFETY: the caller's function, and structures that live until it returns.
        if each.is_some_and(|each| unsafe { each(&facts, context) } != 0) {
            break;
        }
    }
    told
}

/// Fills a structure of the caller's, as far as there is room.
unsafe fn fill(found: &sockshim_connection, out: *mut sockshim_connection) -> c_int {
    // SAFETY: the caller's promise: null, or `size` says how much room there is.
    let room = if out.is_null() { 0 } else { unsafe { (*out).size } };
    if room < size_of::<usize>() {
        return -1;
    }
    let filled = room.min(size_of::<sockshim_connection>());
    // SAFETY: as above. `size` becomes what was filled.
    unsafe {
        out.cast::<u8>().copy_from_nonoverlapping((&raw const *found).cast(), filled);
        (*out).size = filled;
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockshim_connection_of(fd: c_int, out: *mut sockshim_connection) -> c_int {
    let _errno = Errno::keep();
    let Some(cookie) = memory::cookie(fd) else { return -1 };
    let Ok(reading) = Reading::of(None) else { return -1 };
    match reading.model.of_socket(cookie) {
        // SAFETY: the caller's promise.
        Some(conn) => unsafe { fill(&sockshim_connection::of(&reading, conn), out) },
        None => -1,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockshim_story(trace: *const c_char, number: c_uint, out: *mut c_char, room: usize) -> c_long {
    let _errno = Errno::keep();
    // SAFETY: the caller's promise.
    let Ok(reading) = Reading::of(unsafe { text(trace) }) else { return -1 };
    let id = (number as usize).checked_sub(1);
    match id.and_then(|id| reading.model.connection(id)).filter(|conn: &&Connection| reading.is_meant(conn)) {
        // SAFETY: the caller's promise.
        Some(conn) => unsafe { give(&story(&reading, conn), out, room) },
        None => -1,
    }
}

/// `sockshim_watch`. Who finds it locked is told so, and waits for nobody.
pub struct Subscription(Mutex<Watch>);

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockshim_watch_new(callbacks: *const Callbacks) -> *mut Subscription {
    let _errno = Errno::keep();
    let nothing = Callbacks { size: 0, context: std::ptr::null_mut(), call: None, phase: None, finished: None };
    let mut known = nothing;
    // SAFETY: the caller's promise: null, or `size` says how much there is.
    unsafe {
        let bytes = if callbacks.is_null() { 0 } else { (*callbacks).size.min(size_of::<Callbacks>()) };
        (&raw mut known).cast::<u8>().copy_from_nonoverlapping(callbacks.cast(), bytes);
    }
    if memory::record().is_err() {
        return std::ptr::null_mut();
    }
    match Reading::of(None) {
        Ok(reading) => Box::into_raw(Box::new(Subscription(Mutex::new(Watch::new(known, &reading))))),
        Err(_) => std::ptr::null_mut(),
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockshim_watch_deliver(watch: *mut Subscription) -> c_int {
    let _errno = Errno::keep();
    // SAFETY: the caller's promise: null, or what `sockshim_watch_new` gave and nobody has freed.
    let Some(watch) = (unsafe { watch.as_ref() }) else { return -1 };
    let Ok(mut locked) = watch.0.try_lock() else { return -1 };
    Reading::of(None).map_or(-1, |reading| locked.deliver(&reading))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockshim_watch_free(watch: *mut Subscription) {
    let _errno = Errno::keep();
    if !watch.is_null() {
        // SAFETY: the caller's promise, as above; it is not used again.
        drop(unsafe { Box::from_raw(watch) });
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockshim_save(path: *const c_char) -> c_int {
    let _errno = Errno::keep();
    // SAFETY: the caller's promise.
    let (Some(path), Ok(recorded)) = (unsafe { text(path) }, memory::recorded()) else { return -1 };
    use std::os::unix::ffi::OsStrExt;
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
    let saved = match recorded {
        Recorded::Region(copy) => std::fs::write(path, copy),
        Recorded::Kept(kept) => std::fs::copy(kept, path).map(|_| ()),
    };
    if saved.is_ok() { 0 } else { -1 }
}
