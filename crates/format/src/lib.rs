//! What sockshim writes and reads: operation numbers, record layouts, and the words for people.
//!
//! This crate is the contract between the shim, which records inside other people's programs, and
//! the tool, which reads. It does no I/O, knows no descriptor and no clock, and needs no allocator.
//! `docs/FORMAT.md` tells the same for people.
//!
//! - [`op`]: which function, which phase
//! - [`region`]: the live region and its chunks
//! - [`record`]: calls and what belongs to them
//! - [`trace`]: the file that the tool keeps
//! - [`keys`]: where session keys of TLS wait for it
//! - [`address`], [`errno`], [`names`]: numbers to words
//! - [`digits`]: numbers as digits, at little cost
//! - [`plan`]: faults on demand, and the text that they are written in
//! - [`mod@line`]: one call as one line of text
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[macro_use]
mod layout;
#[macro_use]
pub mod names;

pub mod address;
pub mod digits;
pub mod errno;
pub mod keys;
pub mod line;
pub mod op;
pub mod plan;
pub mod record;
pub mod region;
pub mod trace;

pub use layout::Field;
