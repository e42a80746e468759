//! IP packets with TCP or UDP in them, as a kernel would have sent them.

use std::net::{IpAddr, SocketAddr};

/// FIN, SYN, RST, PSH and ACK, as TCP has them.
pub mod flag {
    #![allow(missing_docs)]
    pub const FIN: u8 = 1;
    pub const SYN: u8 = 2;
    pub const RST: u8 = 4;
    pub const PSH: u8 = 8;
    pub const ACK: u8 = 16;
}

const TCP: u8 = 6;
const UDP: u8 = 17;
/// What an IP packet can hold besides its headers: an IPv4 packet and TCP, which is less than IPv6 allows.
pub const MOST_TCP: usize = 65_535 - 20 - 20;
/// The same of UDP.
pub const MOST_UDP: usize = 65_535 - 20 - 8;
/// A receive window that is never full: 65535 << 14.
const WINDOW: u16 = 65_535;
/// What a SYN offers: a segment of any size, and a window that is scaled by 14.
const SYN_OPTIONS: [u8; 8] = [2, 4, (MOST_TCP >> 8) as u8, MOST_TCP as u8, 3, 3, 14, 1];
/// Stands for the checksum where the payload is not whole, so that there is none to be had. Not 0, which means
/// none at all in UDP.
const UNKNOWN: u16 = 0xffff;

/// A packet that is about to be made.
pub struct Frame<'a> {
    /// Who sends it.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// What was kept of its payload.
    pub payload: &'a [u8],
    /// Bytes of its payload.
    pub len: usize,
}

impl Frame<'_> {
    /// The headers of a TCP segment.
    pub fn tcp(&self, out: &mut Vec<u8>, flags: u8, seq: u32, ack: u32) {
        let options: &[u8] = if flags & flag::SYN != 0 { &SYN_OPTIONS } else { &[] };
        let mut header = [0; 28];
        header[..2].copy_from_slice(&self.from.port().to_be_bytes());
        header[2..4].copy_from_slice(&self.to.port().to_be_bytes());
        header[4..8].copy_from_slice(&seq.to_be_bytes());
        let ack = if flags & flag::ACK != 0 { ack } else { 0 };
        header[8..12].copy_from_slice(&ack.to_be_bytes());
        let len = 20 + options.len();
        header[12] = (len as u8 / 4) << 4;
        header[13] = flags;
        header[14..16].copy_from_slice(&WINDOW.to_be_bytes());
        header[20..len].copy_from_slice(options);
        self.packet(out, TCP, &mut header[..len], 16);
    }

    /// The headers of a UDP datagram.
    pub fn udp(&self, out: &mut Vec<u8>) {
        let mut header = [0; 8];
        header[..2].copy_from_slice(&self.from.port().to_be_bytes());
        header[2..4].copy_from_slice(&self.to.port().to_be_bytes());
        header[4..6].copy_from_slice(&((8 + self.len) as u16).to_be_bytes());
        self.packet(out, UDP, &mut header, 6);
    }

    /// The IP header and the one behind it, whose checksum belongs at `checksum_at`.
    fn packet(&self, out: &mut Vec<u8>, protocol: u8, header: &mut [u8], checksum_at: usize) {
        out.clear();
        let len = header.len() + self.len;
        let (from, to) = same_family(self.from.ip(), self.to.ip());
        let mut sum = Sum::default();
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                out.extend_from_slice(&[0x45, 0]);
                out.extend_from_slice(&((20 + len) as u16).to_be_bytes());
                // No identification, do not fragment, a life of 64 hops.
                out.extend_from_slice(&[0, 0, 0x40, 0, 64, protocol, 0, 0]);
                out.extend_from_slice(&from.octets());
                out.extend_from_slice(&to.octets());
                let mut header = Sum::default();
                header.add(out);
                out[10..12].copy_from_slice(&header.checksum().to_be_bytes());
                sum.add(&out[12..20]);
            }
            (from, to) => {
                let octets = |ip| match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                    IpAddr::V6(ip) => ip.octets(),
                };
                out.extend_from_slice(&[0x60, 0, 0, 0]);
                out.extend_from_slice(&(len as u16).to_be_bytes());
                out.extend_from_slice(&[protocol, 64]);
                out.extend_from_slice(&octets(from));
                out.extend_from_slice(&octets(to));
                sum.add(&out[8..40]);
            }
        }
        let checksum = if self.payload.len() < self.len {
            UNKNOWN
        } else {
            sum.add(&[0, protocol]);
            sum.add(&(len as u32).to_be_bytes());
            sum.add(header);
            sum.add(self.payload);
            match sum.checksum() {
                0 if protocol == UDP => UNKNOWN,
                checksum => checksum,
            }
        };
        header[checksum_at..checksum_at + 2].copy_from_slice(&checksum.to_be_bytes());
        out.extend_from_slice(header);
    }
}

/// Two addresses of one packet: where only one is of IPv4, the other is written as if it were of IPv6.
fn same_family(from: IpAddr, to: IpAddr) -> (IpAddr, IpAddr) {
    match (from, to) {
        (IpAddr::V4(from), to @ IpAddr::V6(_)) => (from.to_ipv6_mapped().into(), to),
        (from @ IpAddr::V6(_), IpAddr::V4(to)) => (from, to.to_ipv6_mapped().into()),
        both => both,
    }
}

/// The sum of the checksum (RFC 1071). Only the last piece may have an odd length.
#[derive(Default)]
struct Sum(u64);

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        let words = bytes.chunks_exact(2);
        let odd = words.remainder().first().map_or(0, |byte| u64::from(*byte) << 8);
        self.0 += words.map(|word| u64::from(u16::from_be_bytes([word[0], word[1]]))).sum::<u64>() + odd;
    }

    fn checksum(&self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: &[u8], len: usize) -> Frame<'_> {
        let [from, to] = ["192.0.2.1:1234", "192.0.2.2:80"].map(|text| text.parse().unwrap());
        Frame { from, to, payload, len }
    }

    #[test]
    fn checksums_cancel_out() {
        for payload in [&b""[..], b"odd", b"even"] {
            let frame = frame(payload, payload.len());
            let mut out = Vec::new();
            frame.tcp(&mut out, flag::SYN | flag::ACK, 1, 2);
            let (ip, tcp) = out.split_at(20);
            let mut header = Sum::default();
            header.add(ip);
            assert_eq!(header.checksum(), 0);
            let mut whole = Sum::default();
            whole.add(&ip[12..]);
            whole.add(&[0, 6, 0, (tcp.len() + payload.len()) as u8]);
            whole.add(tcp);
            whole.add(payload);
            assert_eq!(whole.checksum(), 0);
        }
        // The example of RFC 1071: ddf2 is the sum.
        let mut sum = Sum::default();
        sum.add(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.checksum(), !0xddf2);
    }

    #[test]
    fn what_was_cut_keeps_its_length() {
        let mut out = Vec::new();
        frame(b"abc", 1000).udp(&mut out);
        assert_eq!(out.len(), 28);
        assert_eq!((&out[2..4], &out[24..26]), (&1028u16.to_be_bytes()[..], &1008u16.to_be_bytes()[..]));
        assert_eq!(&out[26..28], &UNKNOWN.to_be_bytes());
    }
}
