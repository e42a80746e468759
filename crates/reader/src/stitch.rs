//! Several runs as one: how far their clocks are apart, and their events in the terms of the first.
//!
//! Bytes are never received before they are sent. So each exchange between two runs bounds by how much one
//! clock is ahead of the other, from both sides; the narrowest bounds of all exchanges are kept, as NTP keeps the
//! shortest round trip.

use crate::event::{CallInfo, Event, OwnedExtension};
use crate::model::{Connection, Model, Role};
use sockshim_format::address::Address;
use sockshim_format::record::{Fd, KIND_FDS, KIND_READY, KIND_SOCKET, Ready, Socket};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// By how much one run's clock is ahead of another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// The estimate; negative if it is behind.
    pub ns: i64,
    /// How far off the estimate may be; `None` if bytes went in one direction only.
    pub within_ns: Option<u64>,
    /// Pipes between the two runs.
    pub pipes: usize,
}

type Endpoint = (IpAddr, u16);

/// By how much the clock of `theirs` is ahead of that of `ours`, as far as the pipes between them tell. `None`
/// if there are none.
pub fn offset(ours: &Model, theirs: &Model) -> Option<Offset> {
    let (ours, theirs) = (by_ends(ours), by_ends(theirs));
    let (mut most, mut least, mut pipes) = (i128::MAX, i128::MIN, 0);
    for ((local, peer), near) in &ours {
        let far = theirs.get(&(*peer, *local)).map_or(&[][..], Vec::as_slice);
        // Ports are used again. Where both runs saw as many, they saw the same ones in the same order.
        if near.len() != far.len() {
            continue;
        }
        for (a, b) in near.iter().zip(far) {
            pipes += 1;
            // Theirs is at most so far ahead as what they received seems late.
            most = delays(a, b).into_iter().flatten().fold(most, i128::min);
            least = delays(b, a).into_iter().flatten().map(|delay| -delay).fold(least, i128::max);
        }
    }
    if pipes == 0 {
        return None;
    }
    let (ns, within) = match (least > i128::MIN, most < i128::MAX) {
        // No difference explains everything: the clocks of one machine, or two that are set well.
        (true, true) if least <= 0 && most >= 0 => (0, Some(most.max(-least))),
        (true, true) => ((least + most) / 2, Some((most - least).abs() / 2)),
        (true, false) => (least.max(0), None),
        (false, true) => (most.min(0), None),
        (false, false) => (0, None),
    };
    let within_ns = within.map(|within| u64::try_from(within).unwrap_or(u64::MAX));
    Some(Offset { ns: i64::try_from(ns).unwrap_or(0), within_ns, pipes })
}

/// Connections by their addresses, each in the order in which they began.
fn by_ends(model: &Model) -> BTreeMap<(Endpoint, Endpoint), Vec<&Connection>> {
    let endpoint = |address| Some((Address(address).ip()?, Address(address).port()?));
    let mut all: BTreeMap<_, Vec<&Connection>> = BTreeMap::new();
    for conn in model.connections().filter(|conn| conn.role != Role::Listener && conn.other_end.is_none()) {
        if let Some(ends) = endpoint(&conn.local).zip(endpoint(&conn.peer)) {
            all.entry(ends).or_default().push(conn);
        }
    }
    all
}

/// How long after one end did something the other seems to have noticed, each by its own clock: the first bytes,
/// the last ones, the end.
fn delays(from: &Connection, to: &Connection) -> [Option<i128>; 4] {
    let delay = |sent: Option<u64>, noticed: Option<u64>| Some(i128::from(noticed?) - i128::from(sent?));
    let (first, last) = from.facts.sent_ns.unzip();
    // Bytes that passed around us on the way out would seem to come before they were sent.
    let all = from.sent.bytes > 0 && to.received.bytes <= from.sent.bytes;
    let whole = to.received.bytes == from.sent.bytes;
    let evidence = &from.evidence;
    let connected = from.phases.connect.filter(|_| from.role == Role::Active && to.role == Role::Passive);
    [
        delay(first.filter(|_| all), to.received.first_ns),
        delay(last.filter(|_| all && whole), to.received.last_ns),
        delay(evidence.half_close_ns.or(evidence.close_ns), to.evidence.eof_ns),
        delay(connected.map(|span| span.start_ns), to.phases.connect.map(|span| span.end_ns)),
    ]
}

/// What makes the events of a run fit those of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    /// Which run it is; the first is 0, and its numbers stay as they are.
    pub run: u32,
    /// By how much its clock is ahead.
    pub ahead_ns: i64,
}

impl Shift {
    /// Tells an event in the terms of the first run: times are moved; processes, sockets and pid namespaces get
    /// numbers that no other run has.
    pub fn apply(self, event: &mut Event) {
        match event {
            Event::Process(info) => {
                self.time(&mut info.time_ns);
                self.process(&mut info.process.process);
                if info.process.parent != 0 {
                    self.process(&mut info.process.parent);
                }
                self.socket(&mut info.process.pid_namespace);
            }
            Event::Mark(mark) => {
                self.time(&mut mark.time_ns);
                self.process(&mut mark.process);
            }
            Event::Left(left) => {
                self.time(&mut left.time_ns);
                self.process(&mut left.process);
                self.socket(&mut left.left.socket);
            }
            Event::Entered(call) | Event::Call(call) | Event::Earlier(call) => self.call(call),
            Event::Lost { process, .. } => self.process(process),
        }
    }

    fn call(self, call: &mut CallInfo) {
        self.time(&mut call.start_ns);
        self.time(&mut call.end_ns);
        self.process(&mut call.process);
        self.socket(&mut call.call.socket);
        call.extensions.iter_mut().for_each(|extension| self.extension(extension));
    }

    fn extension(self, extension: &mut OwnedExtension) {
        // Where the socket lies in each entry of a list.
        let (size, at) = match extension.kind {
            KIND_SOCKET => (Socket::SIZE, 0),
            KIND_FDS => (Fd::SIZE, 8),
            KIND_READY => (Ready::SIZE, 16),
            _ => return,
        };
        for entry in extension.body.chunks_exact_mut(size) {
            let place = entry.get_mut(at..at + 8).and_then(|place| <&mut [u8; 8]>::try_from(place).ok());
            let Some(place) = place else { continue };
            let mut socket = u64::from_ne_bytes(*place);
            self.socket(&mut socket);
            *place = socket.to_ne_bytes();
        }
    }

    fn time(self, time_ns: &mut u64) {
        *time_ns = time_ns.saturating_add_signed(self.ahead_ns.saturating_neg());
    }

    /// The number that a process of the run has among all.
    pub fn number(self, process: u32) -> u32 {
        process ^ self.run.wrapping_shl(26)
    }

    fn process(self, number: &mut u32) {
        *number = self.number(*number);
    }

    /// Zero is nobody's number.
    fn socket(self, number: &mut u64) {
        if *number != 0 {
            *number ^= u64::from(self.run).wrapping_shl(48);
        }
    }
}

#[cfg(test)]
mod tests;
