//! What is recorded around each call: one file per phase, one plain function per call.
//!
//! Every hook has the same shape: enter, `next` once with the caller's own arguments, leave. It
//! learns its row (which symbol, and whether through `syscall()`), and gets `next` as a parameter.
//!
//! - [`create`], [`connect`], [`accept`], [`communicate`], [`message`], [`transfer`], [`asynchronous`], [`disconnect`]: the
//!   phases
//! - [`resolve`], [`resolver`]: names to addresses
//! - [`wait`]: poll, select, epoll
//! - [`descriptor`]: copies and settings of descriptors
//! - [`process`]: fork, exit; [`execute`]: exec and its kind; [`raw`]: `syscall()`
//!
//! # Safety
//! Every hook is called by the exported function of its row, with that function's arguments, after
//! `recorder::is_plain()` or `recorder::gate()` has said yes.
#![allow(clippy::missing_safety_doc, clippy::too_many_arguments)]

pub mod accept;
pub mod asynchronous;
pub mod communicate;
pub mod connect;
pub mod create;
pub mod descriptor;
pub mod disconnect;
pub mod execute;
pub mod message;
pub mod process;
pub mod raw;
pub mod resolve;
pub mod resolver;
pub mod transfer;
pub mod wait;

#[cfg(test)]
mod tests;
