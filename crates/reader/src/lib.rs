//! Reads what the shim records: drains the live region, writes and reads the trace, and puts calls
//! and connections together.
//!
//! ```text
//! region     the tool's side of the live region; a region file that lies there alone
//! trace      the file that the tool keeps: writer, reader, and both merged after a kill
//! assemble   slots to events
//! event      a call with all that belongs to it
//! order      events of many threads, by time
//! model      events to connections: who, to whom, how long, how it ended
//! stitch     several runs as one: whose clock is ahead, and by how much
//! tell       what people call processes, connections and their peers
//! expect     whether it all is as expected
//! audit      how a trace compares with what the kernel was asked
//! clock      ticks to nanoseconds
//! ```
//!
//! Input is hostile: a trace may come from anywhere and a live region is written by other people's
//! programs. No bytes of either make this crate panic, or allocate beyond the size of the file.
#![deny(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn)]

pub mod assemble;
pub mod audit;
pub mod clock;
mod error;
pub mod event;
pub mod expect;
pub mod model;
#[cfg(test)]
mod noise;
pub mod order;
pub mod records;
pub mod region;
pub mod stitch;
mod sys;
pub mod tell;
pub mod trace;

pub use assemble::Assembler;
pub use audit::{Audit, Verdict};
pub use clock::Clock;
pub use error::{Error, ErrorKind};
pub use event::{CallInfo, Event, LeftInfo, MarkInfo, OwnedExtension, ProcessInfo};
pub use model::Model;
pub use order::Flow;
pub use records::Batch;
pub use region::{Region, RegionOptions};
pub use trace::{Limit, Tail, Trace, TraceWriter};
