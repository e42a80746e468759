//! Where session keys of TLS wait for the tool: a file that is mapped by the library which collects them
//! inside programs (`crates/keylog`), and read by the tool as it is written.
//!
//! ```text
//! 0       [`KEYS_MAGIC`]
//! 8       u32, counts up: where room is looked for first
//! 12      u32, lines that found no room, or are too long
//! 64      [`SLOTS`] slots of [`SLOT_BYTES`]: u32 state, u32 length, the line
//! ```
//!
//! It lives as long as the run and is seen by nobody else, so it has no versions.

/// First bytes of the file.
pub const KEYS_MAGIC: u64 = u64::from_le_bytes(*b"sockshmK");
/// Where the number lies that tells where to look for room.
pub const NEXT_OFFSET: usize = 8;
/// Where the number of lost lines lies.
pub const LOST_OFFSET: usize = 12;
/// Where the slots begin.
pub const SLOTS_OFFSET: usize = 64;
/// How many there are: lines of two hundred handshakes, and the tool looks every ten milliseconds.
pub const SLOTS: usize = 1024;
/// Bytes of a slot. The longest line has 193: a label of 31, a random of 32 bytes and a secret of 48 in hexadecimal.
pub const SLOT_BYTES: usize = 256;
/// Where the line begins in its slot, behind state and length.
pub const LINE_OFFSET: usize = 8;
/// Bytes of the file.
pub const KEYS_BYTES: usize = SLOTS_OFFSET + SLOTS * SLOT_BYTES;

/// State of a slot: nothing is in it.
pub const SLOT_FREE: u32 = 0;
/// A line is being written.
pub const SLOT_TAKEN: u32 = 1;
/// A line is there for the tool, which then frees the slot.
pub const SLOT_THERE: u32 = 2;

/// The environment variable that names the file.
pub const VARIABLE: &str = "SOCKSHIM_TLS_KEYS";
