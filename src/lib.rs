//! The shim: a library that stands in front of libc's socket family inside other people's programs,
//! records each call before it is delegated, and completes the record after.
//!
//! ```text
//! abi        what another binary can see: the table of functions, the control functions
//! inject     faults on demand: between a hook and the next definition, where there is a plan
//! filter     which calls are recorded, where the program has said so
//! hooks      what is recorded around each call, one file per phase
//! recorder   turns a call into a record in the mapped region, or a line of the text log
//! lifecycle  from the first call to the last      config  the environment, read once
//! next       where the next definitions are       sys     raw system calls for our own needs
//! follow     into the programs that are executed  stack   memory whose size is known at run time
//! arch       what differs between processors
//! ```
//! Imports go downward only: abi, hooks, recorder, then `sockshim-format`; a test keeps it so.
//!
//! # Rules for code that runs inside other people's programs
//!
//! 1. `next` exactly once, with the caller's arguments, no early answer, even for NULL or a bad
//!    descriptor: the kernel judges. No retry on EINTR.
//! 2. Wrappers and next-pointers are `extern "C-unwind"`, `panic = "unwind"` in every profile, no
//!    `catch_unwind` around the call, no value with `Drop` alive across it, nothing that can panic:
//!    a cancelled thread is unwound through here.
//! 3. Delegate to the next definition, not to a system call: cancellation points and other shims
//!    live there. (Raw only where there is no next: fully static links.)
//! 4. A wrapper first makes sure that thread-local storage exists (`recorder::is_plain`, `recorder::gate`).
//! 5. errno leaves as `next` set it. User memory is read only after the call that proved it valid,
//!    and only as much as the result says; what must be known before is copied without a fault.
//! 6. No allocation, no lock, no stdio, no thread, no signal handler, no descriptor kept.
//! 7. Our own system calls go through `sys`, never through a libc name that we export.
//! 8. Thread state: 64 bytes of initial-exec storage, no destructor.
//! 9. Look up the descriptor's state before the call that destroys it, record after the call that
//!    creates it.
//! 10. AT_SECURE means: do nothing. Whatever fails in us is counted, and told by the tool afterwards.
//!
//! # The one exception
//!
//! Rules 1 and 5 have one, and only where the user has asked for faults (`SOCKSHIM_INJECT`, `sockshim_inject`):
//! what stands in `src/inject` may answer for the kernel, set errno, change what is asked, wait, or ask twice. It
//! stands where another shim would, between a hook and its next definition, so hooks and rules stay as they are;
//! it never acts on a call that is not recorded, and each thing that it does is a record of its own.
#![cfg_attr(not(test), no_std)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros))]
#![allow(missing_docs)]

// Linked for its unwinder and its panic handler, which the linker then throws away: nothing here
// can panic, and nothing may use std by name.
#[cfg(not(test))]
extern crate std as _;

pub mod abi;
mod arch;
mod config;
mod filter;
mod follow;
mod hooks;
mod inject;
mod lifecycle;
mod next;
mod recorder;
mod stack;
mod sys;

/// The constructor. Runs after the libraries that we need and before the program.
#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCT: extern "C-unwind" fn() = {
    extern "C-unwind" fn construct() {
        lifecycle::construct(|| {
            let mut behind = next::Behind::NONE;
            behind.find();
            abi::table::resolve_all(&behind);
            abi::naked::resolve_all(&behind);
            abi::openers::resolve_all(&behind);
        });
    }
    construct
};

/// The destructor.
#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCT: extern "C-unwind" fn() = {
    extern "C-unwind" fn destruct() {
        lifecycle::destruct();
    }
    destruct
};
