//! What people see: calls as they happen, connections when they are over.
//!
//! Views see calls and connections, never bytes of a file.

pub mod live;
pub mod report;
pub mod table;
pub mod tls;
pub mod unseen;

use std::io::{self, Write};

pub use sockshim_reader::model::words::{count, thousands};
pub use sockshim_reader::tell::safe;
use sockshim_reader::{Event, Model};

/// Tells events as they come, and what is left to say at the end.
pub trait Teller {
    /// Tells an event that `model` has been fed with.
    fn event(&mut self, out: &mut dyn Write, model: &Model, event: &Event) -> io::Result<()>;
    /// Takes note that all events up to this time have been told.
    fn complete(&mut self, _out: &mut dyn Write, _time_ns: u64) -> io::Result<()> {
        Ok(())
    }
    /// The last words of so many calls, when the model is finished.
    fn end(&mut self, out: &mut dyn Write, model: &Model, calls: u64) -> io::Result<()>;
}

/// Bytes for people: exact while that is short, then with three digits.
pub fn bytes(bytes: u64) -> String {
    let scaled = |shift: u32, unit: &str| {
        let value = bytes as f64 / (1u64 << shift) as f64;
        let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
        format!("{value:.digits$} {unit}")
    };
    match bytes {
        0..10_000 => format!("{bytes} B"),
        _ if bytes < 1 << 20 => scaled(10, "KiB"),
        _ if bytes < 1 << 30 => scaled(20, "MiB"),
        _ => scaled(30, "GiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_can_be_read() {
        let numbers = [0, 999, 1204, 1_000_000].map(thousands);
        assert_eq!(numbers, ["0", "999", "1,204", "1,000,000"]);
    }

    #[test]
    fn sizes_have_three_digits_that_matter() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(9_999), "9999 B");
        assert_eq!(bytes(102_400), "100 KiB");
        assert_eq!(bytes(1 << 20), "1.00 MiB");
        assert_eq!(bytes(3 << 29), "1.50 GiB");
    }

    #[test]
    fn the_terminal_is_not_the_traced_programs() {
        assert_eq!(safe(b"a\x1b[2Jb"), r"a\x1b[2Jb");
        assert_eq!(safe("a\n\tb\r\0\u{9b}31m".as_bytes()), r"a\n\tb\r\x00\xc2\x9b31m");
        assert_eq!(safe(b"gr\xfc\xc3\xbc\\n\xe2\x82"), r"gr\xfcü\n\xe2\x82");
        assert_eq!(safe(safe(b"\x1b\n").as_bytes()), safe(b"\x1b\n"));
    }
}
