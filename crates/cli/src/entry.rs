//! Where libc hands over to the tool, and how the tool ends.
//!
//! `main` is C's. The runtime that Rust puts in front of its own does what the traced program would inherit: it ignores
//! SIGPIPE, and opens /dev/null where a standard descriptor is closed. And to find the end of the stack it reads
//! /proc/self/maps, which is a sixth of what a process of Rust that does nothing takes.

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Embedded;
use crate::spawn::prepare_signals;

/// What a panic ends with, as under Rust's own runtime.
const PANICKED: c_int = 101;

/// How the tool ends: the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(u8);

impl Exit {
    /// All is well.
    pub const SUCCESS: Exit = Exit(0);
    /// It is not, as far as nothing more is documented.
    pub const FAILURE: Exit = Exit(1);
}

impl From<u8> for Exit {
    fn from(status: u8) -> Exit {
        Exit(status)
    }
}

/// The whole tool, from the arguments of C's `main` to the end of the process.
///
/// # Safety
///
/// `argv` is an array of `argc` strings that nobody changes any more, as libc passes it.
pub unsafe fn main(argc: c_int, argv: *const *const c_char, embedded: &Embedded) -> ! {
    // Before anything is opened: it would have the number of a standard descriptor.
    open_standard_descriptors();
    prepare_signals();
    // SAFETY: the caller vouches for every one of them.
    let argument = |i: usize| unsafe { CStr::from_ptr(*argv.add(i)) };
    let arguments: Vec<OsString> =
        (0..argc as usize).map(|i| OsStr::from_bytes(argument(i).to_bytes()).to_owned()).collect();
    let ended = catch_unwind(AssertUnwindSafe(|| crate::main(arguments, embedded)));
    // Writes what stdout still holds.
    std::process::exit(ended.map_or(PANICKED, |exit| exit.0.into()))
}

/// What is closed becomes /dev/null, but for us alone: the traced program gets it closed.
fn open_standard_descriptors() {
    for descriptor in 0..=2 {
        // SAFETY: system calls about descriptors that are nobody else's. The lower ones are open, so this is the number
        // that `open` gives.
        unsafe {
            if libc::fcntl(descriptor, libc::F_GETFD) == -1 {
                libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
            }
        }
    }
}
