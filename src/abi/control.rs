//! The control functions. They are plain and documented: cbindgen makes `include/sockshim.h` of them.
//!
//! # Safety
//! Pointers are the caller's, as the text of each function says: it is written for readers of C.
#![allow(clippy::missing_safety_doc)]

use crate::lifecycle;
use crate::recorder::descriptors;
use crate::sys::{self, End};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::fmt::Write;
use core::mem::MaybeUninit;
use sockshim_format::address::Address;

/// The version of the library, such as "0.1.0". Static: never free it.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn sockshim_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Records from now on. Returns 0, or -1 when there is nothing to record to: no trace, no log.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn sockshim_start() -> c_int {
    if lifecycle::start() { 0 } else { -1 }
}

/// Stops recording: every call passes straight through until sockshim_start.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn sockshim_stop() {
    lifecycle::stop();
}

/// Sends the text log to a descriptor of yours from now on, and starts it if it was off; -1 turns it
/// off. The descriptor stays yours: keep it open. If its number comes to name something else,
/// nothing is written. Returns 0, or -1 when `fd` is not open.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn sockshim_log_to(fd: c_int) -> c_int {
    if lifecycle::log_to(fd) { 0 } else { -1 }
}

/// Puts a text of yours into the trace and the log, at its time: "request 17". `text` is
/// zero-terminated and is copied, at most 1,024 bytes of it; null does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_mark(text: *const c_char) {
    if !text.is_null() {
        // SAFETY: the caller's promise.
        lifecycle::mark(unsafe { CStr::from_ptr(text) }, b"");
    }
}

/// Marks the beginning of a span of time: "NAME: begin". Null does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_span_begin(name: *const c_char) {
    if !name.is_null() {
        // SAFETY: the caller's promise.
        lifecycle::mark(unsafe { CStr::from_ptr(name) }, b": begin");
    }
}

/// Marks the end of a span: "NAME: end". Null does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_span_end(name: *const c_char) {
    if !name.is_null() {
        // SAFETY: the caller's promise.
        lifecycle::mark(unsafe { CStr::from_ptr(name) }, b": end");
    }
}

/// Records into memory from now on, which this process shares with its children: `bytes` of it, 2 to 128 MiB,
/// 16 MiB for 0. It is not recycled: when it is full, calls are counted and no longer kept. With a trace
/// (SOCKSHIM_TRACE, `sockshim run`) everything is recorded there already, and this does nothing. Lines are
/// then printed only if SOCKSHIM_LOG asks for them. Returns 0, or -1 when there is no memory, or the
/// program has more privilege than its user. Call it before other threads use sockets.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn sockshim_record(bytes: usize) -> c_int {
    if lifecycle::record(bytes as u64) { 0 } else { -1 }
}

/// Where calls are recorded, and how many bytes that is: a live region, as docs/FORMAT.md tells it, for
/// reading. Null when there is none. It stays where it is as long as the process lives. Most programs want
/// sockshim/harness.h instead.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_region(bytes: *mut usize) -> *const c_void {
    let (base, len) = lifecycle::region().unwrap_or((core::ptr::null(), 0));
    if !bytes.is_null() {
        // SAFETY: the caller's promise.
        unsafe { bytes.write(len) };
    }
    base.cast()
}

/// Makes calls go wrong from now on as a plan says: "connect:error=ECONNREFUSED:when=2+". Rules have spaces
/// between them; docs/INJECT.md tells the language. The plan takes the place of the one before; null ends it.
/// Each process counts for itself. Returns 0, or -1 when a word of the plan is none, or when there is nothing to
/// record to: what is not recorded is not made to fail. Takes memory at each call, which is not given back.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_inject(plan: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    let plan = (!plan.is_null()).then(|| unsafe { CStr::from_ptr(plan) });
    if lifecycle::inject(plan) { 0 } else { -1 }
}

/// Records from now on only the calls that a filter means: "port=443", "%connect,close:peer=10.0.0.1". Rules have
/// spaces between them, and one of them has to hold; docs/INJECT.md tells the words. The filter takes the place of the
/// one before; null ends it. A socket is on record from the first call on for which a rule holds, and to its end;
/// calls that are left out are counted. The trace has a mark where a filter begins. Returns 0, or -1 when a word of it
/// is none, or when there is nothing to record to. Takes memory at each call, which is not given back.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_filter(filter: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    let filter = (!filter.is_null()).then(|| unsafe { CStr::from_ptr(filter) });
    if lifecycle::filter(filter) { 0 } else { -1 }
}

/// What is known of a descriptor. Set `size` to sizeof(sockshim_descriptor) before the call: later
/// versions add fields at the end and fill only as many as you have room for.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct sockshim_descriptor {
    /// sizeof(sockshim_descriptor), set by you.
    pub size: usize,
    /// The kernel's own number of the socket (SO_COOKIE; `ss -e` prints it as `sk:`): the same in
    /// every process that has the socket open, and never used again. From 2^63 up one of ours, good in
    /// this process and its children: with SOCKSHIM_EDGES=off, and behind a seccomp filter.
    pub cookie: u64,
    /// Address family, such as AF_INET.
    pub domain: c_int,
    /// SOCK_STREAM, SOCK_DGRAM and so on.
    pub kind: c_int,
    /// IPPROTO_TCP and so on.
    pub protocol: c_int,
    /// 1 for a listening socket.
    pub listening: c_int,
    /// The socket's own address as text, zero-terminated, cut if it is longer: "127.0.0.1:8080",
    /// "/run/x.sock".
    pub local: [c_char; 112],
    /// The other end's address, empty if it is not connected.
    pub peer: [c_char; 112],
}

// What version 0.1 had: programs that were built then have no room for more.
const FIRST_SIZE: usize = 256;
const _: () = assert!(size_of::<sockshim_descriptor>() >= FIRST_SIZE);

/// Text in a fixed array, zero-terminated, cut to fit.
struct Text<'a>(&'a mut [c_char], usize);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for b in text.bytes() {
            let last = self.0.len() - 1;
            match self.0.get_mut(self.1) {
                Some(place) if self.1 < last => *place = b as c_char,
                _ => return Err(core::fmt::Error),
            }
            self.1 += 1;
        }
        Ok(())
    }
}

fn address(fd: c_int, end: End, out: &mut [c_char]) {
    if let Some(bytes) = sys::socket_address(fd, end, &mut MaybeUninit::uninit()) {
        let _ = write!(Text(out, 0), "{}", Address(bytes));
    }
}

/// Tells what `fd` names, into a structure of yours whose `size` you have set. Returns 0, or -1 if
/// `fd` is no socket, `facts` is null, or `facts->size` is too small; then nothing is written.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockshim_describe(fd: c_int, facts: *mut sockshim_descriptor) -> c_int {
    // SAFETY: the caller's promise.
    let room = if facts.is_null() { 0 } else { unsafe { (*facts).size } };
    if room < FIRST_SIZE {
        return -1;
    }
    let filled = room.min(size_of::<sockshim_descriptor>());
    let option = |name| sys::getsockopt_int(fd, libc::SOL_SOCKET, name).ok();
    let Some(domain) = option(libc::SO_DOMAIN) else { return -1 };
    let mut found = sockshim_descriptor {
        size: filled,
        cookie: descriptors::of_ours(fd).or_else(|| sys::cookie(fd)).unwrap_or_else(|| descriptors::known(fd)),
        domain,
        kind: option(libc::SO_TYPE).unwrap_or(0),
        protocol: option(libc::SO_PROTOCOL).unwrap_or(0),
        listening: option(libc::SO_ACCEPTCONN).unwrap_or(0),
        local: [0; 112],
        peer: [0; 112],
    };
    address(fd, End::Local, &mut found.local);
    address(fd, End::Peer, &mut found.peer);
    // SAFETY: the caller's promise; `size` says that there is room for so much.
    unsafe { facts.cast::<u8>().copy_from_nonoverlapping((&raw const found).cast(), filled) };
    0
}
