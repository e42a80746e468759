//! The tool. It carries the shim, and never links it: the library's exports would interpose the tool itself.

#![no_main]

use std::ffi::{c_char, c_int};

// cargo builds the shared libraries before this binary and leaves them in deps/, beside the build scripts' own
// directories.
macro_rules! library {
    ($name:literal) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/../../../deps/", $name))
    };
}

#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    let embedded =
        sockshim_cli::Embedded { shim: library!("libsockshim.so"), keylog: library!("libsockshim_keylog.so") };
    // SAFETY: these are libc's.
    unsafe { sockshim_cli::entry::main(argc, argv, &embedded) }
}
