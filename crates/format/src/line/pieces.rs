//! The pieces that lines are made of: addresses with their service, quoted bytes, durations.

use crate::address::Address;
use core::fmt;

/// An address with the name of its service: `127.0.0.1:80 http`.
pub struct Named<'a>(pub Address<'a>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        match self.0.service() {
            Some(service) => write!(f, " {service}"),
            None => Ok(()),
        }
    }
}

/// Bytes as a C string literal, the way strace writes them: `"GET / HTTP/1.1\r\n"`.
pub struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        let mut left = self.0;
        loop {
            // Most bytes stand for themselves: those are told at once.
            let plain = left.iter().take_while(|b| matches!(b, 0x20..0x7f) && !matches!(b, b'"' | b'\\')).count();
            let (text, rest) = left.split_at_checked(plain).unwrap_or((left, &[]));
            f.write_str(core::str::from_utf8(text).unwrap_or_default())?;
            let Some((b, behind)) = rest.split_first() else { break };
            left = behind;
            match *b {
                b'"' => f.write_str("\\\"")?,
                b'\\' => f.write_str("\\\\")?,
                b'\n' => f.write_str("\\n")?,
                b'\r' => f.write_str("\\r")?,
                b'\t' => f.write_str("\\t")?,
                0x0b => f.write_str("\\v")?,
                0x0c => f.write_str("\\f")?,
                b'\0' if !behind.first().is_some_and(u8::is_ascii_digit) => f.write_str("\\0")?,
                // A digit behind a short octal escape would be read as part of it.
                b if behind.first().is_some_and(u8::is_ascii_digit) => write!(f, "\\{b:03o}")?,
                b => write!(f, "\\{b:o}")?,
            }
        }
        f.write_str("\"")
    }
}

/// The value of a socket option: an int as a number, two of them in braces, else hexadecimal.
pub(super) struct OptionValue<'a>(pub &'a [u8]);

impl fmt::Display for OptionValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let int = |b: &[u8]| b.try_into().map(i32::from_ne_bytes).unwrap_or(0);
        match self.0.len() {
            4 => write!(f, "[{}]", int(self.0)),
            8 => write!(f, "{{{}, {}}}", int(&self.0[..4]), int(&self.0[4..])),
            _ if !self.0.is_empty() && self.0.iter().all(|b| (0x20..0x7f).contains(b)) => {
                write!(f, "{}", Quoted(self.0))
            }
            _ => {
                f.write_str("0x")?;
                self.0.iter().take(32).try_for_each(|b| write!(f, "{b:02x}"))
            }
        }
    }
}

/// Nanoseconds for people: `850ns`, `12.3µs`, `1.50ms`, `2.01s`.
pub struct Duration(pub u64);

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0;
        let (unit, name) = match ns {
            0..1_000 => return write!(f, "{ns}ns"),
            1_000..1_000_000 => (1_000, "µs"),
            1_000_000..1_000_000_000 => (1_000_000, "ms"),
            _ => (1_000_000_000, "s"),
        };
        // Three digits that matter, without floating point: the shim's log formats with this too.
        let (whole, thousandths) = (ns / unit, ns % unit * 1000 / unit);
        match whole {
            0..10 => write!(f, "{whole}.{:02}{name}", thousandths / 10),
            10..100 => write!(f, "{whole}.{}{name}", thousandths / 100),
            _ => write!(f, "{whole}{name}"),
        }
    }
}
