//! The story of a trace: a summary, a block for each connection or pipe, and the calls of one of them drawn as a
//! sequence.

pub mod bar;
pub mod block;
pub mod row;
pub mod sequence;
pub mod summary;

use sockshim_reader::Model;
pub use sockshim_reader::tell::{Item, number, peer, who};

/// What a report is made of.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The connections.
    pub model: &'a Model,
    /// The zero of times.
    pub zero_ns: u64,
    /// Calls that were lost while they were recorded, and that are in no file.
    pub lost: (u64, u64),
    /// Columns of the terminal.
    pub width: usize,
}

/// Seconds since the beginning: `0.006 s`.
pub fn seconds(time_ns: u64, zero_ns: u64) -> String {
    let us = time_ns.saturating_sub(zero_ns) / 1000;
    format!("{}.{:03} s", us / 1_000_000, us / 1000 % 1000)
}
