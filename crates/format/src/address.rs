//! Socket addresses: raw `sockaddr` bytes, as the kernel has them, to words.

use crate::digits::number;
use crate::names;
use core::fmt::{self, Write};
use core::net::IpAddr;

/// Address families that are told apart here, by their Linux numbers.
pub const AF_UNIX: u16 = 1;
/// IPv4.
pub const AF_INET: u16 = 2;
/// IPv6.
pub const AF_INET6: u16 = 10;
/// Kernel messages.
pub const AF_NETLINK: u16 = 16;

/// A socket address, borrowed as raw bytes. Prints as `127.0.0.1:8080`, `[::1]:80`, `/run/x.sock`,
/// `@abstract`, `netlink:0`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address<'a>(pub &'a [u8]);

impl<'a> Address<'a> {
    /// The address family; 0 when the bytes are too few.
    pub fn family(self) -> u16 {
        self.0.get(..2).map_or(0, |b| u16::from_ne_bytes([b[0], b[1]]))
    }

    /// The port of an IPv4 or IPv6 address.
    pub fn port(self) -> Option<u16> {
        matches!(self.family(), AF_INET | AF_INET6)
            .then(|| self.0.get(2..4).map(|b| u16::from_be_bytes([b[0], b[1]])))
            .flatten()
    }

    /// The IP address, an IPv4-mapped one as IPv4.
    pub fn ip(self) -> Option<IpAddr> {
        match self.family() {
            AF_INET => {
                let b: [u8; 4] = self.0.get(4..8)?.try_into().ok()?;
                Some(core::net::Ipv4Addr::from(b).into())
            }
            AF_INET6 => {
                let b: [u8; 16] = self.0.get(8..24)?.try_into().ok()?;
                let ip = core::net::Ipv6Addr::from(b);
                Some(ip.to_ipv4_mapped().map_or(ip.into(), Into::into))
            }
            _ => None,
        }
    }

    /// The path of an AF_UNIX address: empty when it is unnamed, beginning with a zero byte when it
    /// is abstract.
    pub fn unix_path(self) -> Option<&'a [u8]> {
        if self.family() != AF_UNIX {
            return None;
        }
        let path = self.0.get(2..).unwrap_or(&[]);
        if path.first() == Some(&0) {
            return Some(path); // abstract: every byte counts, zeros too
        }
        Some(path.split(|b| *b == 0).next().unwrap_or(&[]))
    }

    /// The name of the service that the port is registered for, such as `http`.
    pub fn service(self) -> Option<&'static str> {
        names::service(self.port()?)
    }
}

impl Address<'_> {
    /// Writes it.
    pub fn print<W: Write>(self, f: &mut W) -> fmt::Result {
        match (self.family(), self.ip(), self.port()) {
            (_, Some(ip @ IpAddr::V4(_)), Some(port)) => {
                Ip(ip).print(f)?;
                f.write_str(":")?;
                number(f, port)
            }
            (_, Some(ip @ IpAddr::V6(_)), Some(port)) => {
                f.write_str("[")?;
                Ip(ip).print(f)?;
                f.write_str("]:")?;
                number(f, port)
            }
            (AF_UNIX, ..) => match self.unix_path().unwrap_or(&[]) {
                [] => f.write_str("unix:unnamed"),
                [0, name @ ..] => {
                    f.write_str("@")?;
                    fmt_text(f, name)
                }
                path => fmt_text(f, path),
            },
            (AF_NETLINK, ..) => {
                let pid = self.0.get(4..8).map_or(0, |b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
                write!(f, "netlink:{pid}")
            }
            (family, ..) => write!(f, "{}", names::Or(names::family(family as i32), "AF_", family as i64)),
        }
    }
}

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f)
    }
}

impl fmt::Debug for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An IP address as text (RFC 5952). Not the standard library's, whose formatting can panic in
/// theory: the shim must not be able to.
pub struct Ip(pub IpAddr);

impl Ip {
    /// Writes it.
    pub fn print<W: Write>(&self, f: &mut W) -> fmt::Result {
        let segments = match self.0 {
            IpAddr::V4(ip) => {
                for (i, octet) in ip.octets().into_iter().enumerate() {
                    f.write_str(if i == 0 { "" } else { "." })?;
                    number(f, octet)?;
                }
                return Ok(());
            }
            IpAddr::V6(ip) => ip.segments(),
        };
        // The longest run of zeros, at least two, the first of several, is written as "::".
        let (mut best, mut best_len, mut run) = (0, 1, 0);
        for (i, segment) in segments.iter().enumerate() {
            run = if *segment == 0 { run + 1 } else { 0 };
            if run > best_len {
                (best, best_len) = (i + 1 - run, run);
            }
        }
        let gap = if best_len > 1 { best..best + best_len } else { 8..8 };
        for (i, segment) in segments.iter().enumerate() {
            if i == gap.start {
                f.write_str("::")?;
            } else if !gap.contains(&i) {
                f.write_str(if i == 0 || i == gap.end { "" } else { ":" })?;
                write!(f, "{segment:x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f)
    }
}

/// Printable ASCII as it is, the rest as `\xNN`: never lets a traced program's bytes drive a terminal.
pub fn fmt_text(f: &mut dyn fmt::Write, text: &[u8]) -> fmt::Result {
    for &b in text {
        if (0x20..0x7f).contains(&b) {
            f.write_char(b as char)?;
        } else {
            write!(f, "\\x{b:02x}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_people_write_them() {
        let v4 = [2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Address(&v4).to_string(), "127.0.0.1:8080");
        assert_eq!(Address(&v4).service(), Some("http-alt"));
        let mut v6 = [0u8; 28];
        v6[0] = 10;
        v6[3] = 80;
        v6[23] = 1;
        assert_eq!(Address(&v6).to_string(), "[::1]:80");
        for text in ["::", "::1", "1::", "fe80::1:0:0:2", "2001:db8:0:1:1:1:1:1", "1:0:0:2::3", "::ffff:0:1.2.3.4"] {
            let ip: std::net::IpAddr = text.parse().unwrap();
            assert_eq!(Ip(ip).to_string(), ip.to_string());
        }
        assert_eq!(Address(b"\x01\0/run/x\0junk").to_string(), "/run/x");
        assert_eq!(Address(b"\x01\0\0abs\0x").to_string(), "@abs\\x00x");
        assert_eq!(Address(b"\x01\0").to_string(), "unix:unnamed");
        assert_eq!(Address(b"\x02\0\x1f").to_string(), "AF_INET");
        assert_eq!(Address(b"").to_string(), "AF_UNSPEC");
    }
}
