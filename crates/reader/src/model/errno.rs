//! The errno values that decide something here (Linux, x86-64).

pub const ENOENT: u16 = 2;
pub const EINTR: u16 = 4;
/// The number names nothing.
pub const EBADF: u16 = 9;
pub const EAGAIN: u16 = 11;
pub const EINVAL: u16 = 22;
pub const EPIPE: u16 = 32;
pub const EADDRINUSE: u16 = 98;
pub const ENETUNREACH: u16 = 101;
pub const ECONNRESET: u16 = 104;
pub const EISCONN: u16 = 106;
pub const ETIMEDOUT: u16 = 110;
pub const ECONNREFUSED: u16 = 111;
pub const EHOSTUNREACH: u16 = 113;
pub const EALREADY: u16 = 114;
pub const EINPROGRESS: u16 = 115;
