//! Where packets go: out as blocks, with who tells of them.

use std::io::{self, Write};

use super::blocks::{Blocks, Packet};

/// Who tells of a packet: a call of a process.
#[derive(Clone, Debug, Default)]
pub struct Teller {
    /// The interface of the process.
    pub interface: u32,
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// Which end of the stream it is.
    pub end: usize,
    /// The call, and who made it, for the first packet that comes of it.
    pub comment: String,
}

/// Writes packets, none of them before the last one.
pub struct Wire<'a> {
    /// Where to.
    pub out: &'a mut dyn Write,
    /// Writes the blocks.
    pub blocks: &'a mut Blocks,
    /// The time of the packets, in nanoseconds since the epoch.
    pub time_ns: u64,
    /// Packets of each interface.
    pub packets: &'a mut Vec<u64>,
    /// The headers of the packet in the making.
    pub scratch: &'a mut Vec<u8>,
}

impl Wire<'_> {
    /// Room for the headers.
    pub fn headers(&mut self) -> &mut Vec<u8> {
        self.scratch
    }

    /// Sends a packet with the headers that were made, from an end of the stream.
    pub fn send(&mut self, kept: &[u8], len: usize, from: usize, teller: &mut Teller) -> io::Result<()> {
        let comment = std::mem::take(&mut teller.comment);
        let packet = Packet {
            interface: teller.interface,
            time_ns: self.time_ns,
            headers: self.scratch,
            payload: kept,
            payload_len: len,
            outbound: from == teller.end,
            pid: teller.pid,
            tid: teller.tid,
            comment: &comment,
        };
        if let Some(count) = self.packets.get_mut(teller.interface as usize) {
            *count += 1;
        }
        self.blocks.packet(&packet, self.out)
    }
}
