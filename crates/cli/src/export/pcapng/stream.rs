//! A stream of bytes as TCP would have carried it: sequence numbers, who acknowledges what, how it ends.
//!
//! What passed is told by the calls at either end, or at both. Each byte becomes part of one packet, whoever tells
//! of it first: mostly the sender. A reader whose sender has told acknowledges; so where both ends are known, what
//! is not acknowledged is what is in flight between the two programs. An end that is not known acknowledges at once.

use std::io;
use std::net::SocketAddr;

use super::frames::{Frame, MOST_TCP, flag};
use super::wire::{Teller, Wire};

/// No call keeps more of its bytes, whatever it was asked to.
const MOST_KEPT: u64 = 65_535;

/// One connection: its ends are numbered, the one that connects first.
pub struct Stream {
    ends: [End; 2],
    /// A SYN was sent.
    begun: bool,
    /// Both know of each other.
    established: bool,
    reset: bool,
}

/// One end: what it sends, and what it has read of what the other sends.
struct End {
    address: SocketAddr,
    /// Its calls are in the trace.
    known: bool,
    /// Bytes in packets.
    emitted: u64,
    /// Bytes that its own calls have sent, and read.
    sent: u64,
    read: u64,
    /// Its FIN was sent.
    fin: bool,
    /// It has closed: its kernel answers for it.
    closed: bool,
    /// A FIN that waits for bytes that only the reader can tell.
    held: bool,
    /// It has acknowledged the other's FIN.
    acked_fin: bool,
    /// The last acknowledgement, as a count of bytes and FIN.
    acked: u64,
}

impl Stream {
    /// A stream between two addresses. One whose beginning was not seen is `established`.
    pub fn new(addresses: [SocketAddr; 2], known: [bool; 2], established: bool) -> Stream {
        let end = |at: usize| End {
            address: addresses[at],
            known: known[at],
            emitted: 0,
            sent: 0,
            read: 0,
            fin: false,
            closed: false,
            held: false,
            acked_fin: false,
            acked: 0,
        };
        Stream { ends: [end(0), end(1)], begun: established, established, reset: false }
    }

    /// `connect` was called.
    pub fn connect(&mut self, teller: &mut Teller, wire: &mut Wire<'_>) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        self.segment(0, flag::SYN, &[], 0, teller, wire)
    }

    /// Both ends know of each other by now.
    pub fn establish(&mut self, teller: &mut Teller, wire: &mut Wire<'_>) -> io::Result<()> {
        if self.established || self.reset {
            return Ok(());
        }
        self.connect(teller, wire)?;
        self.established = true;
        self.segment(1, flag::SYN | flag::ACK, &[], 0, teller, wire)?;
        self.segment(0, flag::ACK, &[], 0, teller, wire)
    }

    /// Nobody listens there.
    pub fn refuse(&mut self, teller: &mut Teller, wire: &mut Wire<'_>) -> io::Result<()> {
        if self.established || self.reset {
            return Ok(());
        }
        self.reset = true;
        self.segment(1, flag::RST | flag::ACK, &[], 0, teller, wire)
    }

    /// A call of the teller's sent bytes, `kept` of which are known.
    pub fn send(&mut self, kept: &[u8], len: u64, teller: &mut Teller, wire: &mut Wire<'_>) -> io::Result<()> {
        self.establish(teller, wire)?;
        let at = teller.end;
        let end = &mut self.ends[at];
        let start = end.sent;
        end.sent += len;
        // What the reader may know better: bytes that could not be kept here, and all behind them.
        let (kept_len, behind) = (kept.len() as u64, start > end.emitted);
        let reader = &self.ends[1 - at];
        let told = match reader.known && !reader.closed {
            true if behind => 0,
            true if kept_len == 0 || kept_len >= MOST_KEPT => kept_len.min(len),
            _ => len,
        };
        if told == 0 { Ok(()) } else { self.data(at, start, kept, told, teller, wire) }
    }

    /// A call of the teller's read bytes.
    pub fn receive(&mut self, kept: &[u8], len: u64, teller: &mut Teller, wire: &mut Wire<'_>) -> io::Result<()> {
        self.establish(teller, wire)?;
        let at = teller.end;
        let start = self.ends[at].read;
        self.ends[at].read += len;
        let news = start + len > self.ends[1 - at].emitted;
        self.data(1 - at, start, kept, len, teller, wire)?;
        if news { Ok(()) } else { self.acknowledge(at, teller, wire) }
    }

    /// A call of the teller's read the end of what the other sends.
    pub fn end_of_file(&mut self, teller: &mut Teller, wire: &mut Wire<'_>) -> io::Result<()> {
        self.establish(teller, wire)?;
        let at = teller.end;
        self.fin(1 - at, teller, wire)?;
        self.ends[at].acked_fin = true;
        self.acknowledge(at, teller, wire)
    }

    /// The teller ends its direction.
    pub fn shut_down(&mut self, teller: &mut Teller, wire: &mut Wire<'_>) -> io::Result<()> {
        let (at, other) = (teller.end, 1 - teller.end);
        let end = &mut self.ends[at];
        if end.sent > end.emitted && self.ends[other].known && !self.ends[other].closed {
            self.ends[at].held = true;
            return Ok(());
        }
        self.fin(at, teller, wire)
    }

    /// The teller has closed its end, in order or with a reset; before that, if `peer_first`, the other end did.
    pub fn close(&mut self, reset: bool, peer_first: bool, teller: &mut Teller, wire: &mut Wire<'_>) -> io::Result<()> {
        let (at, other) = (teller.end, 1 - teller.end);
        if self.ends[at].closed || !self.established {
            return Ok(());
        }
        self.ends[at].closed = true;
        if self.ends[other].held || (peer_first && !self.ends[other].known) {
            // Not by this call.
            let mut before = Teller { comment: String::new(), ..teller.clone() };
            self.fin(other, &mut before, wire)?;
        }
        if reset {
            return self.reset(at, teller, wire);
        }
        self.shut_down(teller, wire)?;
        // What was not read before, the kernel has answered all the same.
        self.acknowledge(at, teller, wire)
    }

    /// An end has reset the connection.
    pub fn reset(&mut self, at: usize, teller: &mut Teller, wire: &mut Wire<'_>) -> io::Result<()> {
        if !self.established || self.reset {
            return Ok(());
        }
        self.segment(at, flag::RST | flag::ACK, &[], 0, teller, wire)?;
        self.reset = true;
        Ok(())
    }

    /// No more is told: what waited to be told by the reader never will be.
    pub fn finish(&mut self, teller: &mut Teller, wire: &mut Wire<'_>) -> io::Result<()> {
        for at in [0, 1] {
            if self.ends[at].held {
                self.fin(at, teller, wire)?;
            }
        }
        Ok(())
    }

    /// The FIN of an end, behind all that it is known to have sent.
    fn fin(&mut self, at: usize, teller: &mut Teller, wire: &mut Wire<'_>) -> io::Result<()> {
        let other = 1 - at;
        if self.ends[at].fin || self.reset || !self.established {
            return Ok(());
        }
        let End { emitted, sent, .. } = self.ends[at];
        if sent > emitted {
            self.data(at, emitted, &[], sent - emitted, teller, wire)?;
        }
        self.ends[at].held = false;
        self.segment(at, flag::FIN | flag::ACK, &[], 0, teller, wire)?;
        self.ends[at].fin = true;
        // The kernel of an end that has closed, or of whom we know nothing, answers at once.
        if !self.ends[other].known || self.ends[other].closed {
            self.ends[other].acked_fin = true;
            self.acknowledge(other, teller, wire)?;
        }
        Ok(())
    }

    /// Bytes that begin at `start` in the stream of an end: as packets, as far as they are not yet in one.
    fn data(
        &mut self,
        at: usize,
        start: u64,
        kept: &[u8],
        len: u64,
        teller: &mut Teller,
        wire: &mut Wire<'_>,
    ) -> io::Result<()> {
        let mut from = self.ends[at].emitted;
        if self.ends[at].fin || self.reset {
            return Ok(());
        }
        while from < start + len {
            let size = (start + len - from).min(MOST_TCP as u64) as usize;
            let skipped = usize::try_from(from.saturating_sub(start)).unwrap_or(usize::MAX);
            let kept = if from < start { &[] } else { kept.get(skipped..).unwrap_or_default() };
            from += size as u64;
            let last = if from >= start + len { flag::PSH } else { 0 };
            self.segment(at, last | flag::ACK, &kept[..kept.len().min(size)], size, teller, wire)?;
            self.ends[at].emitted = from;
        }
        Ok(())
    }

    /// A packet that says nothing but how far an end has read, if that is news.
    fn acknowledge(&mut self, at: usize, teller: &mut Teller, wire: &mut Wire<'_>) -> io::Result<()> {
        if self.reset || self.acknowledged(at) <= self.ends[at].acked {
            return Ok(());
        }
        self.segment(at, flag::ACK, &[], 0, teller, wire)
    }

    /// What an end acknowledges: bytes, and a FIN.
    fn acknowledged(&self, at: usize) -> u64 {
        let (end, other) = (&self.ends[at], &self.ends[1 - at]);
        let all = !end.known || end.closed || (end.acked_fin && other.fin);
        let bytes = if all { other.emitted } else { end.read.min(other.emitted) };
        let fin = other.fin && (all || end.acked_fin);
        // Never less than before.
        (bytes + u64::from(fin)).max(end.acked)
    }

    fn segment(
        &mut self,
        at: usize,
        flags: u8,
        kept: &[u8],
        len: usize,
        teller: &mut Teller,
        wire: &mut Wire<'_>,
    ) -> io::Result<()> {
        let acknowledged = self.acknowledged(at);
        let (end, other) = (&self.ends[at], &self.ends[1 - at]);
        let frame = Frame { from: end.address, to: other.address, payload: kept, len };
        // Both begin at 0; a SYN is the first to be counted, and who refuses sends none.
        let refuses = flags & flag::RST != 0 && !self.established;
        let first = u64::from(flags & flag::SYN == 0 && !refuses);
        let seq = (first + end.emitted + u64::from(end.fin)) as u32;
        frame.tcp(wire.headers(), flags, seq, (1 + acknowledged) as u32);
        self.ends[at].acked = acknowledged;
        wire.send(kept, len, at, teller)
    }
}

#[cfg(test)]
mod tests;
