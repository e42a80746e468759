//! Numbers, times and bytes as text, into a buffer that is used again: nothing here allocates per call.

use std::net::IpAddr;

use sockshim_format::address::{Address, Ip};

/// A number.
pub fn number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Moments as RFC 3339 has them. Remembers the last one: most calls fall into the same second as their neighbours.
#[derive(Default)]
pub struct Times {
    second: u64,
    between: &'static str,
    text: Vec<u8>,
}

impl Times {
    /// `2026-11-23T05:28:22.811158584`, something in between, and the nanoseconds since the epoch.
    pub fn write_both(&mut self, out: &mut Vec<u8>, time_ns: u64, between: &'static str) {
        let (second, rest) = (time_ns / 1_000_000_000, time_ns % 1_000_000_000);
        if second != self.second || between != self.between || second == 0 {
            (self.second, self.between) = (second, between);
            self.text.clear();
            self.text.extend_from_slice(&date_and_time(second));
            self.text.extend_from_slice(b".000000000");
            self.text.extend_from_slice(between.as_bytes());
            number(&mut self.text, time_ns);
        }
        let fraction = fraction(rest as u32);
        let end = self.text.len();
        self.text[20..29].copy_from_slice(&fraction);
        // In the first second the number has fewer digits, and was made just now.
        if second > 0 {
            self.text[end - 9..].copy_from_slice(&fraction);
        }
        out.extend_from_slice(&self.text);
    }
}

/// The nine digits behind a second.
fn fraction(mut rest: u32) -> [u8; 9] {
    const PAIRS: [[u8; 2]; 100] = {
        let mut pairs = [[0; 2]; 100];
        let mut number = 0;
        while number < 100 {
            pairs[number] = [b'0' + number as u8 / 10, b'0' + number as u8 % 10];
            number += 1;
        }
        pairs
    };
    let mut digits = [0; 9];
    for at in [7, 5, 3, 1] {
        digits[at..at + 2].copy_from_slice(&PAIRS[rest as usize % 100]);
        rest /= 100;
    }
    digits[0] = b'0' + rest as u8;
    digits
}

/// A number with leading zeros.
fn put_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn date_and_time(second: u64) -> [u8; 19] {
    let (year, month, day) = civil(second / 86_400);
    let of_day = second % 86_400;
    let mut text = *b"0000-00-00T00:00:00";
    for (at, len, value) in [
        (0, 4, year),
        (5, 2, month),
        (8, 2, day),
        (11, 2, of_day / 3600),
        (14, 2, of_day / 60 % 60),
        (17, 2, of_day % 60),
    ] {
        put_digits(&mut text[at..at + len], value);
    }
    text
}

/// Year, month and day of a day since 1970-01-01, by eras of 400 years that begin in March (Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Whether a JSON string may hold these bytes as they are. Without a branch: the compiler looks at many at once.
fn is_plain(bytes: &[u8]) -> bool {
    !bytes.iter().fold(false, |odd, byte| odd | (*byte < 0x20) | (*byte >= 0x7f) | (*byte == b'"') | (*byte == b'\\'))
}

/// What stands behind the backslash for each byte: 0 if it needs none, `u` if it has no short form.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        escapes[byte] = b'u';
        byte += 1;
    }
    escapes[0x7f] = b'u';
    escapes[b'"' as usize] = b'"';
    escapes[b'\\' as usize] = b'\\';
    escapes[b'\n' as usize] = b'n';
    escapes[b'\r' as usize] = b'r';
    escapes[b'\t' as usize] = b't';
    escapes
};

/// The inside of a JSON string.
pub fn escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    if is_plain(bytes) {
        return out.extend_from_slice(bytes);
    }
    let mut plain = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escape = ESCAPES[usize::from(*byte)];
        if escape == 0 {
            continue;
        }
        out.extend_from_slice(&bytes[plain..at]);
        plain = at + 1;
        out.extend_from_slice(&[b'\\', escape]);
        if escape == b'u' {
            let hex = |nibble: u8| b"0123456789abcdef"[usize::from(nibble & 15)];
            out.extend_from_slice(&[b'0', b'0', hex(byte >> 4), hex(*byte)]);
        }
    }
    out.extend_from_slice(&bytes[plain..]);
}

/// The bytes as text, if they are text: UTF-8, and of control characters only those of plain text.
pub fn printable(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    (is_plain(bytes) || !bytes.iter().any(|byte| ESCAPES[usize::from(*byte)] == b'u')).then_some(text)
}

/// Base64, with padding (RFC 4648).
pub fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    /// Groups of three bytes that are made at a time.
    const GROUPS: usize = 64;
    let digits = |[a, b, c]: [u8; 3]| {
        let bits = u32::from(a) << 16 | u32::from(b) << 8 | u32::from(c);
        (u32::from(BASE64[bits as usize >> 12]) | u32::from(BASE64[bits as usize & 0xfff]) << 16).to_le_bytes()
    };
    let mut text = [0; 4 * GROUPS];
    for piece in bytes.chunks(3 * GROUPS) {
        let groups = piece.chunks_exact(3);
        let rest = groups.remainder();
        for (place, group) in text.chunks_exact_mut(4).zip(groups) {
            place.copy_from_slice(&digits([group[0], group[1], group[2]]));
        }
        out.extend_from_slice(&text[..piece.len() / 3 * 4]);
        match *rest {
            [a] => {
                let [a, b, ..] = digits([a, 0, 0]);
                out.extend_from_slice(&[a, b, b'=', b'=']);
            }
            [a, b] => {
                let [a, b, c, _] = digits([a, b, 0]);
                out.extend_from_slice(&[a, b, c, b'=']);
            }
            _ => {}
        }
    }
}

/// The digits of twelve bits.
static BASE64: [u16; 4096] = {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut pairs = [0; 4096];
    let mut bits = 0;
    while bits < 4096 {
        pairs[bits] = u16::from_le_bytes([DIGITS[bits >> 6], DIGITS[bits & 63]]);
        bits += 1;
    }
    pairs
};

/// An IP address without its port, or the path of an AF_UNIX socket: `@name` if it is abstract, nothing if it
/// has no name.
pub fn host(out: &mut Vec<u8>, address: Address<'_>) {
    match (address.ip(), address.unix_path()) {
        (Some(IpAddr::V4(ip)), _) => {
            for (at, octet) in ip.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                number(out, octet);
            }
        }
        (Some(ip), _) => out.extend_from_slice(Ip(ip).to_string().as_bytes()),
        (_, Some([])) => {}
        (_, Some([0, name @ ..])) => {
            out.push(b'@');
            out.extend_from_slice(String::from_utf8_lossy(name).as_bytes());
        }
        (_, Some(path)) => out.extend_from_slice(String::from_utf8_lossy(path).as_bytes()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        // By date(1).
        for (second, expected) in [
            (0, "1970-01-01T00:00:00.000000000 0"),
            (951_782_400, "2000-02-29T00:00:00.000000000 951782400000000000"),
            (1_709_251_199, "2024-02-29T23:59:59.000000000 1709251199000000000"),
            (1_735_689_599, "2024-12-31T23:59:59.000000000 1735689599000000000"),
            (4_107_542_400, "2100-03-01T00:00:00.000000000 4107542400000000000"),
        ] {
            assert_eq!(text(|out| Times::default().write_both(out, second * 1_000_000_000, " ")), expected);
        }
        let mut times = Times::default();
        for (time_ns, expected) in [
            (42, "1970-01-01T00:00:00.000000042 42"),
            (2_000_300_004, "1970-01-01T00:00:02.000300004 2000300004"),
            (2_999_999_999, "1970-01-01T00:00:02.999999999 2999999999"),
            (u64::MAX, "2554-07-21T23:34:33.709551615 18446744073709551615"),
        ] {
            assert_eq!(text(|out| times.write_both(out, time_ns, " ")), expected);
        }
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(text(|out| escaped(out, "a\"\\\n\r\t\u{1}\u{7f}ü")), "a\\\"\\\\\\n\\r\\t\\u0001\\u007fü");
    }

    #[test]
    fn payload_is_text_or_base64() {
        assert_eq!(printable("GET / HTTP/1.1\r\nü".as_bytes()), Some("GET / HTTP/1.1\r\nü"));
        assert_eq!((printable(b"\x1b[2J"), printable(b"\xff"), printable(b"\x7f")), (None, None, None));
        // RFC 4648, section 10.
        for (bytes, expected) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(text(|out| base64(out, bytes.as_bytes())), expected);
        }
        assert_eq!(text(|out| base64(out, &[0xff, 0xfe, 0])), "//4A");
    }

    #[test]
    fn hosts_have_no_ports() {
        let v4 = [2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        let mut v6 = [0; 28];
        (v6[0], v6[23]) = (10, 1);
        for (address, expected) in [
            (&v4[..], "127.0.0.1"),
            (&v6, "::1"),
            (b"\x01\0/run/x\0", "/run/x"),
            (b"\x01\0\0abs", "@abs"),
            (b"\x01\0", ""),
        ] {
            assert_eq!(text(|out| host(out, Address(address))), expected);
        }
    }
}
