//! Numbers as digits, without [`fmt::Formatter`]: a line of the log has a dozen, and that takes a hundred instructions for each.

use core::fmt::{self, Write};

/// A number, in decimal.
pub fn number<W: Write>(f: &mut W, number: impl itoa::Integer) -> fmt::Result {
    f.write_str(itoa::Buffer::new().format(number))
}

/// The last so many digits of a number, with zeros in front.
pub fn padded<const DIGITS: u32, W: Write>(f: &mut W, number: u64) -> fmt::Result {
    let above = const { 10u64.pow(DIGITS) };
    f.write_str(itoa::Buffer::new().format(above + number % above).get(1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_standard_library() {
        let mut text = String::new();
        number(&mut text, i64::MIN).unwrap();
        number(&mut text, u64::MAX).unwrap();
        padded::<6, _>(&mut text, 42).unwrap();
        padded::<2, _>(&mut text, 123).unwrap();
        assert_eq!(text, format!("{}{}{:06}23", i64::MIN, u64::MAX, 42));
    }
}
