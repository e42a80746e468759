//! Everything that another binary can see.
//!
//! - [`table`]: every interposed function, one row each
//! - [`interpose`]: the macro behind the rows
//! - [`naked`]: the rows that cannot have a frame of their own, or take a variable argument list
//! - [`openers`]: what opens files, of which nothing is recorded
//! - [`control`]: the `sockshim_*` functions that become `include/sockshim.h`
//! - [`lookalikes`]: the family under names of its own, for code that wants to be explicit

#[macro_use]
pub mod interpose;
pub mod control;
pub mod lookalikes;
pub mod naked;
pub mod openers;
pub mod table;
