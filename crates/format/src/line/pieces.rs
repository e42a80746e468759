//! The pieces that lines are made of: addresses with their service, quoted bytes, durations.

use crate::address::Address;
use crate::digits::{number, padded};
use core::fmt::{self, Write};

/// An address with the name of its service: `127.0.0.1:80 http`.
pub struct Named<'a>(pub Address<'a>);

impl Named<'_> {
    /// Writes it.
    pub fn print<W: Write>(&self, f: &mut W) -> fmt::Result {
        self.0.print(f)?;
        match self.0.service() {
            Some(service) => {
                f.write_str(" ")?;
                f.write_str(service)
            }
            None => Ok(()),
        }
    }
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f)
    }
}

/// Bytes as a C string literal, the way strace writes them: `"GET / HTTP/1.1\r\n"`.
pub struct Quoted<'a>(pub &'a [u8]);

impl Quoted<'_> {
    /// Writes them.
    pub fn print<W: Write>(&self, f: &mut W) -> fmt::Result {
        f.write_str("\"")?;
        let mut left = self.0;
        loop {
            // Most bytes stand for themselves: those are told at once.
            let plain = left.iter().take_while(|b| matches!(b, 0x20..0x7f) && !matches!(b, b'"' | b'\\')).count();
            let (text, rest) = left.split_at_checked(plain).unwrap_or((left, &[]));
            if !text.is_empty() {
                f.write_str(core::str::from_utf8(text).unwrap_or_default())?;
            }
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
                b => octal(f, b, behind.first().is_some_and(u8::is_ascii_digit))?,
            }
        }
        f.write_str("\"")
    }
}

/// A byte as C's octal escape, with all three digits or as many as it takes.
fn octal<W: Write>(f: &mut W, byte: u8, whole: bool) -> fmt::Result {
    f.write_str("\\")?;
    let mut begun = whole;
    for shift in [6, 3, 0] {
        let digit = byte >> shift & 7;
        begun |= digit != 0 || shift == 0;
        if begun {
            f.write_char(char::from(b'0' + digit))?;
        }
    }
    Ok(())
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f)
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

impl Duration {
    /// Writes it.
    pub fn print<W: Write>(&self, f: &mut W) -> fmt::Result {
        match self.0 {
            ns @ 0..1_000 => {
                number(f, ns)?;
                f.write_str("ns")
            }
            ns @ 1_000..1_000_000 => in_units::<1_000, W>(f, ns, "µs"),
            ns @ 1_000_000..1_000_000_000 => in_units::<1_000_000, W>(f, ns, "ms"),
            ns => in_units::<1_000_000_000, W>(f, ns, "s"),
        }
    }
}

/// Three digits that matter, without floating point: the shim's log formats with this too.
fn in_units<const UNIT: u64, W: Write>(f: &mut W, ns: u64, name: &str) -> fmt::Result {
    let (whole, thousandths) = (ns / UNIT, ns % UNIT * 1000 / UNIT);
    number(f, whole)?;
    match whole {
        0..10 => {
            f.write_str(".")?;
            padded::<2, W>(f, thousandths / 10)?;
        }
        10..100 => {
            f.write_str(".")?;
            number(f, thousandths / 100)?;
        }
        _ => {}
    }
    f.write_str(name)
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_quoted_as_a_c_compiler_reads_them() {
        for (bytes, text) in [
            (&b"GET /\r\n"[..], r#""GET /\r\n""#),
            (b"\"\\\t", r#""\"\\\t""#),
            (b"\0a\0", r#""\0a\0""#),
            (b"\x001\x089\xff9", r#""\0001\0109\3779""#),
            (b"\x01\x08\xff", r#""\1\10\377""#),
            (b"", r#""""#),
        ] {
            assert_eq!(Quoted(bytes).to_string(), text);
        }
    }

    #[test]
    fn durations_have_three_digits_that_matter() {
        for (ns, text) in [
            (0, "0ns"),
            (999, "999ns"),
            (1_000, "1.00µs"),
            (12_345, "12.3µs"),
            (999_999, "999µs"),
            (1_049_000, "1.04ms"),
            (2_010_000_000, "2.01s"),
            (3_600_000_000_000, "3600s"),
        ] {
            assert_eq!(Duration(ns).to_string(), text);
        }
    }
}
