//! Asks in process what sockshim has recorded: facts of descriptors and connections, expectations, callbacks. For tests
//! in C and C++; `include/sockshim/harness.h` tells what each function does.
//!
//! ```text
//! abi       the functions, as C sees them
//! facts     connections and calls as C structures
//! watch     what a subscriber has been told
//! story     a connection's calls as lines
//! reading   a region or a trace to a model, and which of its connections are meant
//! memory    the shim's functions, if it is there, and a copy of its region
//! ```
//!
//! It is a library of its own because it allocates, and reads with `std`: nothing of that may be in the shim. It links
//! nothing of the shim either, and finds its functions by weak symbols, so that a test runs without it, too, and says
//! that it asked nobody.
//!
//! Nothing here runs inside a hook. Each question copies the region and reads the copy, on the thread that asks.

mod abi;
mod facts;
mod memory;
mod reading;
mod story;
mod watch;
