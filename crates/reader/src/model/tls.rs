//! The handshake of TLS, as far as it passes in the open: what a connection is told about in front of its first
//! encrypted byte, and how long that took.
//!
//! Bytes come as calls gave them, in any pieces, and cut after what was kept of each (`run --snaplen`). Records are
//! told apart by their headers; where a header was cut away nothing more is known. What TLS 1.3 encrypts, the
//! protocol that was agreed on for one, is not seen.

use super::connection::{Connection, Span};
use super::hello::{ClientHello, ServerHello};
use crate::event::CallInfo;
use sockshim_format::op::Direction;

/// Kinds of records (RFC 8446, 5.1).
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const KINDS: std::ops::RangeInclusive<u8> = CHANGE_CIPHER_SPEC..=24;
/// No record is longer (RFC 5246, 6.2.3).
const MOST_RECORD: u16 = (1 << 14) + 2048;
/// What is kept of a hello: those with keys of quantum-safe algorithms have two thousand bytes.
const MOST_HELLO: usize = 1 << 14;
/// Where a handshake may begin: behind what a STARTTLS takes.
const LATEST_START: u64 = 4096;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

/// What is known of a handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// When the client's first message was to be sent, or had been received.
    pub start_ns: u64,
    /// When this end had sent and received what the handshake needs: curl calls it `time_appconnect`. None if it did
    /// not come that far, or if that could not be seen.
    pub end_ns: Option<u64>,
    /// The version that was agreed on, as it stands in messages: 0x0304 is TLS 1.3.
    pub version: Option<u16>,
    /// The server's name, as the client gave it.
    pub server_name: Option<String>,
    /// The protocol that was agreed on (ALPN); before TLS 1.3 only, which encrypts it.
    pub next_protocol: Option<String>,
    /// The protocols that the client offered.
    pub offered: Vec<String>,
    /// What was sent and what was received, while the handshake goes on.
    sides: Option<Box<[Side; 2]>>,
}

/// One direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Side {
    head: [u8; 5],
    /// Bytes of the head that are there.
    have: usize,
    /// Bytes of the record that are to come.
    left: u64,
    /// The beginning of the first record, which has the hello.
    hello: Vec<u8>,
    /// Which hello that was, once its record is over.
    said: u8,
    /// Kept bytes ended within the first record.
    cut: bool,
    /// From here on nothing is known: a header was cut away, or it is no TLS.
    lost: bool,
    changed_cipher: bool,
    finished: bool,
}

impl Side {
    /// Takes bytes apart, and tells of each record whose end is among them.
    fn feed(&mut self, mut kept: &[u8], len: u64, each: &mut impl FnMut(&mut Side, u8)) {
        let mut left = len;
        while left > 0 && !self.lost {
            if self.left == 0 && self.have < self.head.len() {
                let Some((byte, rest)) = kept.split_first() else {
                    self.lost = true;
                    return;
                };
                if let Some(place) = self.head.get_mut(self.have) {
                    *place = *byte;
                }
                (kept, left, self.have) = (rest, left - 1, self.have + 1);
                if self.have == self.head.len() {
                    self.begin_record();
                }
                if self.have < self.head.len() || self.left > 0 {
                    continue;
                }
            } else {
                let now = self.left.min(left);
                let there = kept.len().min(usize::try_from(now).unwrap_or(usize::MAX));
                let (bytes, rest) = kept.split_at(there);
                self.note(bytes, now);
                (kept, left, self.left) = (rest, left - now, self.left - now);
            }
            if self.left == 0 && !self.lost {
                let [kind, ..] = self.head;
                self.have = 0;
                match self.hello.first() {
                    Some(said) if self.said == 0 => self.said = *said,
                    None if self.said == 0 => self.lost = true,
                    _ => {}
                }
                each(self, kind);
            }
        }
    }

    fn begin_record(&mut self) {
        let [kind, major, _, high, low] = self.head;
        let len = u16::from_be_bytes([high, low]);
        // Before the hello there is nothing; and nothing else begins with one.
        let is_first = self.said == 0 && kind != HANDSHAKE;
        self.lost = !KINDS.contains(&kind) || major != 3 || len > MOST_RECORD || is_first;
        self.left = len.into();
    }

    /// Bytes of a record; fewer than there were if they were cut.
    fn note(&mut self, bytes: &[u8], were: u64) {
        if self.said != 0 || self.cut {
            return;
        }
        let room = MOST_HELLO.saturating_sub(self.hello.len());
        self.hello.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        self.cut = (bytes.len() as u64) < were;
        // Something else that looked like it.
        self.lost |= !matches!(self.hello.first(), None | Some(&(CLIENT_HELLO | SERVER_HELLO)));
    }
}

impl Connection {
    /// Bytes have passed.
    pub(super) fn note_tls(&mut self, way: Direction, bytes: u64, info: &CallInfo) {
        // Most calls of most connections, where no payload was read.
        if self.tls.is_none() && info.extensions.is_empty() {
            return;
        }
        let Some((_, kept)) = info.payload() else {
            // What is not on record may have been a record's header.
            return Tls::note(&mut self.tls, way, &[], bytes, 0, (info.start_ns, info.end_ns));
        };
        let traffic = if way == Direction::Sent { &self.sent } else { &self.received };
        let before = traffic.bytes.saturating_sub(bytes);
        Tls::note(&mut self.tls, way, kept, bytes, before, (info.start_ns, info.end_ns));
    }
}

impl Tls {
    /// Looks at bytes that passed: `kept` is what is known of `len`, `before` how many passed that way before, `span`
    /// when the call began and ended. A connection that shows no TLS has none.
    fn note(tls: &mut Option<Box<Tls>>, way: Direction, kept: &[u8], len: u64, before: u64, span: (u64, u64)) {
        let known = tls.as_deref_mut().map(|tls| tls.sides.is_some());
        match known {
            Some(false) => return,
            // Most calls of most connections end here.
            None if kept.first() != Some(&HANDSHAKE)
                || before > LATEST_START
                || kept.get(1).is_some_and(|b| *b != 3) =>
            {
                return;
            }
            _ => {}
        }
        let (start_ns, end_ns) = span;
        let begun = || Tls {
            start_ns: if way == Direction::Sent { start_ns } else { end_ns },
            sides: Some(Box::default()),
            ..Tls::default()
        };
        let this = tls.get_or_insert_with(|| Box::new(begun()));
        this.feed(way, kept, len, end_ns);
        let any = |of: fn(&Side) -> bool| this.sides.as_ref().is_some_and(|sides| sides.iter().any(of));
        match (any(|side| side.lost), any(|side| side.said != 0)) {
            (true, false) => *tls = None,
            (lost, _) if lost || this.end_ns.is_some() => this.sides = None,
            _ => {}
        }
    }

    fn feed(&mut self, way: Direction, kept: &[u8], len: u64, end_ns: u64) {
        let Some(mut sides) = self.sides.take() else { return };
        let at = usize::from(way == Direction::Received);
        let [sent, received] = &mut *sides;
        let (this, other) = if at == 0 { (sent, received) } else { (received, sent) };
        this.feed(kept, len, &mut |side, kind| self.record(side, other, kind, end_ns));
        self.sides = Some(sides);
    }

    fn record(&mut self, side: &mut Side, other: &Side, kind: u8, end_ns: u64) {
        match kind {
            HANDSHAKE if !side.hello.is_empty() => self.hello(&std::mem::take(&mut side.hello)),
            HANDSHAKE => side.finished |= side.changed_cipher,
            CHANGE_CIPHER_SPEC => side.changed_cipher = true,
            _ => {}
        }
        // TLS 1.2 ends when both have said "finished", encrypted, behind the change. In TLS 1.3 the client's
        // "finished" is its first encrypted record, but for early data, which come in front of the server's hello.
        let both = side.finished && other.finished;
        let client = kind == APPLICATION_DATA && side.said == CLIENT_HELLO && other.said == SERVER_HELLO;
        if both || client {
            self.end_ns.get_or_insert(end_ns);
        }
    }

    fn hello(&mut self, message: &[u8]) {
        match message.first() {
            Some(&CLIENT_HELLO) => {
                let hello = ClientHello::read(message);
                self.server_name = hello.server_name;
                self.offered = hello.protocols;
            }
            Some(&SERVER_HELLO) => {
                let hello = ServerHello::read(message);
                self.version = hello.version;
                self.next_protocol = hello.protocol;
            }
            _ => {}
        }
    }

    /// From its first message until it was over.
    pub fn span(&self) -> Option<Span> {
        Some(Span { start_ns: self.start_ns, end_ns: self.end_ns?.max(self.start_ns) })
    }

    /// How long the handshake took.
    pub fn duration_ns(&self) -> Option<u64> {
        self.span().map(Span::duration_ns)
    }

    /// The version for people: `TLS 1.3`.
    pub fn version_name(&self) -> Option<String> {
        let (name, number) = self.protocol()?;
        Some(format!("{} {number}", name.to_uppercase()))
    }

    /// Name and number of the protocol, as OpenTelemetry has them: `tls` and `1.3`.
    pub fn protocol(&self) -> Option<(&'static str, &'static str)> {
        Some(match self.version? {
            0x0300 => ("ssl", "3.0"),
            0x0301 => ("tls", "1.0"),
            0x0302 => ("tls", "1.1"),
            0x0303 => ("tls", "1.2"),
            0x0304 => ("tls", "1.3"),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
