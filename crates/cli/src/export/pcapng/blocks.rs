//! The blocks of a pcapng file (draft-ietf-opsawg-pcapng), little-endian.

use std::io::{self, Write};
use std::net::IpAddr;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const NAME_RESOLUTION: u32 = 4;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const DECRYPTION_SECRETS: u32 = 10;
/// Secrets that are an NSS key log: "TLSK".
const TLS_KEY_LOG: u32 = 0x544c_534b;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// IP packets without a link layer: no addresses to invent (LINKTYPE_RAW).
const LINKTYPE_RAW: u16 = 101;
/// The longest value of an option.
const MOST: usize = 65_000;

/// Options of all blocks, and of each kind of block.
mod option {
    pub const COMMENT: u16 = 1;
    pub const SECTION_OS: u16 = 3;
    pub const SECTION_APPLICATION: u16 = 4;
    pub const INTERFACE_NAME: u16 = 2;
    pub const INTERFACE_DESCRIPTION: u16 = 3;
    pub const INTERFACE_TIME_RESOLUTION: u16 = 9;
    pub const PACKET_FLAGS: u16 = 2;
    pub const PACKET_PROCESS_AND_THREAD: u16 = 8;
    pub const STATISTICS_RECEIVED: u16 = 4;
    pub const STATISTICS_DROPPED: u16 = 5;
}

/// A packet, with what is told about it.
pub struct Packet<'a> {
    /// The number of its interface.
    pub interface: u32,
    /// When, in nanoseconds since the epoch.
    pub time_ns: u64,
    /// IP header and what follows it.
    pub headers: &'a [u8],
    /// What was kept of the payload.
    pub payload: &'a [u8],
    /// Bytes of the payload as it was.
    pub payload_len: usize,
    /// Whether the process of the interface sent it.
    pub outbound: bool,
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// What to say about it; nothing if empty.
    pub comment: &'a str,
}

/// Writes blocks.
#[derive(Default)]
pub struct Blocks {
    bytes: Vec<u8>,
}

impl Blocks {
    /// The beginning of a file.
    pub fn section(&mut self, application: &str, comment: &str, out: &mut dyn Write) -> io::Result<()> {
        self.begin(SECTION_HEADER);
        self.u32(BYTE_ORDER);
        self.u16(1);
        self.u16(0);
        // Its length, which is not known.
        self.bytes.extend_from_slice(&u64::MAX.to_le_bytes());
        self.option(option::SECTION_OS, b"Linux");
        self.option(option::SECTION_APPLICATION, application.as_bytes());
        self.option(option::COMMENT, comment.as_bytes());
        self.end(out)
    }

    /// An interface; they are numbered as they are written.
    pub fn interface(&mut self, name: &str, description: &str, out: &mut dyn Write) -> io::Result<()> {
        self.begin(INTERFACE_DESCRIPTION);
        self.u16(LINKTYPE_RAW);
        self.u16(0);
        // No limit to what is kept of a packet.
        self.u32(0);
        self.option(option::INTERFACE_NAME, name.as_bytes());
        self.option(option::INTERFACE_DESCRIPTION, description.as_bytes());
        self.option(option::INTERFACE_TIME_RESOLUTION, &[9]);
        self.end(out)
    }

    /// A packet.
    pub fn packet(&mut self, packet: &Packet<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.begin(ENHANCED_PACKET);
        self.u32(packet.interface);
        self.time(packet.time_ns);
        let headers = packet.headers.len();
        self.u32((headers + packet.payload.len()) as u32);
        self.u32((headers + packet.payload_len) as u32);
        self.bytes.extend_from_slice(packet.headers);
        self.bytes.extend_from_slice(packet.payload);
        self.pad();
        self.option(option::PACKET_FLAGS, &(if packet.outbound { 2u32 } else { 1 }).to_le_bytes());
        let mut who = [0; 8];
        who[..4].copy_from_slice(&packet.pid.to_le_bytes());
        who[4..].copy_from_slice(&packet.tid.to_le_bytes());
        self.option(option::PACKET_PROCESS_AND_THREAD, &who);
        self.option(option::COMMENT, packet.comment.as_bytes());
        self.end(out)
    }

    /// Names of addresses.
    pub fn names(&mut self, names: &[(IpAddr, String)], out: &mut dyn Write) -> io::Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        self.begin(NAME_RESOLUTION);
        for (address, name) in names {
            let name = &name.as_bytes()[..name.len().min(MOST)];
            let mut value = Vec::new();
            let kind: u16 = match address {
                IpAddr::V4(ip) => {
                    value.extend_from_slice(&ip.octets());
                    1
                }
                IpAddr::V6(ip) => {
                    value.extend_from_slice(&ip.octets());
                    2
                }
            };
            value.extend(name.iter().filter(|byte| **byte != 0));
            value.push(0);
            self.record(kind, &value);
        }
        self.record(0, &[]);
        self.end_without_options(out)
    }

    /// Session keys, in front of the packets that they decrypt.
    pub fn secrets(&mut self, lines: &[u8], out: &mut dyn Write) -> io::Result<()> {
        self.begin(DECRYPTION_SECRETS);
        self.u32(TLS_KEY_LOG);
        self.u32(lines.len() as u32);
        self.bytes.extend_from_slice(lines);
        self.pad();
        self.end(out)
    }

    /// How many packets an interface had, and how many calls are missing.
    pub fn statistics(
        &mut self,
        interface: u32,
        time_ns: u64,
        packets: u64,
        lost: u64,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        self.begin(INTERFACE_STATISTICS);
        self.u32(interface);
        self.time(time_ns);
        self.option(option::STATISTICS_RECEIVED, &packets.to_le_bytes());
        self.option(option::STATISTICS_DROPPED, &lost.to_le_bytes());
        self.end(out)
    }

    fn begin(&mut self, kind: u32) {
        self.bytes.clear();
        self.u32(kind);
        // The length, once it is known.
        self.u32(0);
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.u32(0);
        self.end_without_options(out)
    }

    fn end_without_options(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let len = (self.bytes.len() + 4) as u32;
        self.u32(len);
        if let Some(place) = self.bytes.get_mut(4..8) {
            place.copy_from_slice(&len.to_le_bytes());
        }
        out.write_all(&self.bytes)
    }

    /// An option with something in it.
    fn option(&mut self, code: u16, value: &[u8]) {
        if !value.is_empty() {
            self.record(code, &value[..value.len().min(MOST)]);
        }
    }

    fn record(&mut self, code: u16, value: &[u8]) {
        self.u16(code);
        self.u16(value.len() as u16);
        self.bytes.extend_from_slice(value);
        self.pad();
    }

    fn time(&mut self, time_ns: u64) {
        self.u32((time_ns >> 32) as u32);
        self.u32(time_ns as u32);
    }

    fn u16(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}
