//! pcapng, for Wireshark: the packets that the calls would have made, synthesized without privilege.
//!
//! Calls do not tell what a network did: packets are as large as they can be, none is lost or sent twice, and the
//! kernel's acknowledgements stand for what programs have read. What they tell is which process said what when.
//!
//! - `blocks`: the file format; `frames`: IP, TCP and UDP headers; `wire`: a packet and who tells of it
//! - `stream`: sequence numbers; `addresses`: AF_UNIX and unknown ends; `senders`: datagrams that both ends know of
//! - `acts`: what the calls mean on the wire

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::net::IpAddr;

use sockshim_format::address::Address;
use sockshim_format::op::Phase;
use sockshim_format::record::{KIND_ADDRESS, ROLE_RESOLVED};
use sockshim_reader::model::{ConnId, Connection};
use sockshim_reader::{CallInfo, Event, Model};

use super::delay::Delay;
use super::{About, Ended, Exporter, Format, Known};
use crate::views::{live, safe};
use acts::Act;
use addresses::{Addresses, Ends};
use blocks::Blocks;
use frames::{Frame, MOST_UDP};
use senders::Senders;
use stream::Stream;
use wire::{Teller, Wire};

mod acts;
mod addresses;
mod blocks;
mod frames;
mod senders;
mod stream;
mod wire;

/// What the tool knows of this format.
pub const FORMAT: Format = Format {
    name: "pcapng",
    extension: "pcapng",
    about: "packets as the calls would have made them, each with its process: Wireshark, tshark",
    example: "tshark -r x.pcapng -Y http",
    is_binary: true,
    has_connections: false,
    looks_ahead: true,
    forgets: false,
    make: |_| Box::new(Pcapng::default()),
};

/// Names that are told, so that a trace of a million lookups does not make us remember them all.
const MAX_NAMES: usize = 1 << 16;

/// Writes pcapng.
#[derive(Default)]
struct Pcapng {
    blocks: Blocks,
    addresses: Addresses,
    /// Of datagrams, once there is one that was received.
    senders: Option<Senders>,
    /// The interface of each process, by its number.
    interfaces: HashMap<u32, u32>,
    /// Packets of each interface, and calls that are missing.
    packets: Vec<u64>,
    lost: Vec<u64>,
    streams: Vec<Stream>,
    /// Which stream a connection is, and which end.
    of_conn: HashMap<ConnId, (usize, usize)>,
    delay: Delay<Due>,
    /// Calls that may be what closes a connection: their beginning, and who tells.
    closing: HashMap<ConnId, (u64, Teller)>,
    names: HashSet<(IpAddr, String)>,
    scratch: Vec<u8>,
    last_ns: u64,
}

/// Something that waits for its time.
struct Due {
    on: On,
    act: Act,
    teller: Teller,
}

/// What it happens on: a stream, by its place, or between two addresses.
enum On {
    Stream(usize),
    Datagram(Ends),
}

impl Exporter for Pcapng {
    fn begin(&mut self, about: &About<'_>, out: &mut dyn Write) -> io::Result<()> {
        let application = format!("sockshim {} (synthesized from socket calls)", env!("CARGO_PKG_VERSION"));
        let host = if about.host.is_empty() { String::new() } else { format!(" on {}", safe(about.host.as_bytes())) };
        self.last_ns = about.start_ns;
        self.blocks.section(&application, &format!("{}{host}", safe(about.command.as_bytes())), out)
    }

    fn keys(&mut self, lines: &[u8], whole: &Model, out: &mut dyn Write) -> io::Result<()> {
        let first = whole.connections().find_map(|conn| conn.holders.first()).map(|holder| holder.process);
        if let Some(process) = first.or_else(|| whole.processes().next().map(|(number, _)| number)) {
            self.interface(process, whole, out)?;
        }
        self.blocks.secrets(lines, out)
    }

    fn event(&mut self, event: &Event, known: Known<'_>, out: &mut dyn Write) -> io::Result<()> {
        if let Some(time_ns) = event.time_ns() {
            while let Some((time_ns, due)) = self.delay.pop_before(time_ns) {
                self.act(time_ns, due, out)?;
            }
        }
        match event {
            Event::Lost { process, count, .. } => {
                let interface = self.interface(*process, known.so_far, out)? as usize;
                if let Some(lost) = self.lost.get_mut(interface) {
                    *lost += u64::from(*count);
                }
            }
            Event::Entered(call) | Event::Call(call) => self.call(event, call, known, out)?,
            // A process that says nothing has no interface.
            Event::Process(_) | Event::Mark(_) | Event::Left(_) | Event::Earlier(_) => {}
        }
        Ok(())
    }

    fn end(&mut self, ended: &Ended<'_>, out: &mut dyn Write) -> io::Result<()> {
        while let Some((time_ns, due)) = self.delay.pop() {
            self.act(time_ns, due, out)?;
        }
        for at in 0..self.streams.len() {
            self.on_stream(at, self.last_ns, out, |stream, wire| stream.finish(&mut Teller::default(), wire))?;
        }
        // Threads that end tell nothing: what nobody has told of is somebody's.
        let told: u64 = self.lost.iter().sum();
        if let Some(lost) = self.lost.first_mut() {
            *lost += ended.lost.saturating_sub(told);
        }
        for (interface, (packets, lost)) in self.packets.iter().zip(&self.lost).enumerate() {
            self.blocks.statistics(interface as u32, self.last_ns, *packets, *lost, out)?;
        }
        Ok(())
    }
}

impl Pcapng {
    /// What a call means.
    fn call(&mut self, event: &Event, info: &CallInfo, known: Known<'_>, out: &mut dyn Write) -> io::Result<()> {
        if info.op().is_some_and(|op| op.phase() == Phase::Resolve) {
            return self.resolved(info, known.so_far, out);
        }
        let mut acts = acts::of(event, info, known);
        for told in acts.drain(..) {
            let Some(conn) = known.whole.connection(told.conn) else { continue };
            let interface = self.interface(info.process, known.so_far, out)?;
            let comment = acts::comment(info, known.so_far);
            let mut teller = Teller { interface, pid: info.pid, tid: info.tid, end: 0, comment };
            if let Act::Datagram { .. } = told.act {
                self.datagram(told, conn, teller, known.whole);
                continue;
            }
            if let Act::Closing = told.act {
                self.closing.insert(told.conn, (info.start_ns, teller));
                continue;
            }
            if !acts::is_stream(conn) {
                continue;
            }
            let (stream, end) = match self.of_conn.get(&told.conn) {
                Some(known) => *known,
                None => self.stream(&told, &teller, known, out)?,
            };
            teller.end = end;
            self.delay.push(told.time_ns, Due { on: On::Stream(stream), act: told.act, teller });
        }
        Ok(())
    }

    /// A stream that is seen for the first time: how both ends end is known already.
    fn stream(
        &mut self,
        told: &acts::Told<'_>,
        teller: &Teller,
        known: Known<'_>,
        out: &mut dyn Write,
    ) -> io::Result<(usize, usize)> {
        let Some(conn) = known.whole.connection(told.conn) else { return Ok((0, 0)) };
        let other = conn.other_end.and_then(|id| known.whole.connection(id));
        let ends = self.addresses.of_stream(conn, other, told.peer);
        let end = acts::end(conn);
        let mut is_known = [other.is_some(); 2];
        is_known[end] = true;
        let at = self.streams.len();
        self.streams.push(Stream::new(ends, is_known, !told.act.begins()));
        for conn in [Some(conn), other].into_iter().flatten() {
            let end = if conn.id == told.conn { end } else { 1 - end };
            self.of_conn.insert(conn.id, (at, end));
            let mut teller = Teller { comment: String::new(), end, ..teller.clone() };
            if let Some(holder) = conn.holders.first().filter(|_| conn.id != told.conn) {
                teller.interface = self.interface(holder.process, known.so_far, out)?;
                (teller.pid, teller.tid) = (holder.pid, holder.pid);
            }
            for (time_ns, act) in acts::endings(conn) {
                self.delay.push(time_ns, Due { on: On::Stream(at), act, teller: teller.clone() });
            }
        }
        Ok((at, end))
    }

    fn datagram(&mut self, told: acts::Told<'_>, conn: &Connection, teller: Teller, whole: &Model) {
        let Act::Datagram { sent, len, .. } = told.act else { return };
        if !sent {
            let senders = self.senders.get_or_insert_with(|| Senders::of(whole));
            if senders.have_told(conn, told.peer, len, whole) {
                return;
            }
        }
        let [near, far] = self.addresses.of_datagram(conn, told.peer);
        // The sender is the first end of a datagram.
        let ends = if sent { [near, far] } else { [far, near] };
        let teller = Teller { end: usize::from(!sent), ..teller };
        self.delay.push(told.time_ns, Due { on: On::Datagram(ends), act: told.act, teller });
    }

    /// Does what is due.
    fn act(&mut self, time_ns: u64, due: Due, out: &mut dyn Write) -> io::Result<()> {
        let names = std::mem::take(&mut self.addresses.names);
        self.blocks.names(&names, out)?;
        let Due { on, act, mut teller } = due;
        let at = match on {
            On::Stream(at) => at,
            On::Datagram(ends) => return self.send_datagram(time_ns, ends, act, teller, out),
        };
        if let Act::Close { conn, .. } = act
            && let Some((_, told)) = self.closing.remove(&conn).filter(|(start_ns, _)| *start_ns == time_ns)
        {
            teller = Teller { end: teller.end, ..told };
        }
        let teller = &mut teller;
        self.on_stream(at, time_ns, out, |stream, wire| match act {
            Act::Connect => stream.connect(teller, wire),
            Act::Establish => stream.establish(teller, wire),
            Act::Refuse => stream.refuse(teller, wire),
            Act::Send { kept, len } => stream.send(&kept, len, teller, wire),
            Act::Receive { kept, len } => stream.receive(&kept, len, teller, wire),
            Act::EndOfFile => stream.end_of_file(teller, wire),
            Act::ShutDown => stream.shut_down(teller, wire),
            Act::Close { reset, peer_first, .. } => stream.close(reset, peer_first, teller, wire),
            Act::Reset => stream.reset(1 - teller.end, teller, wire),
            Act::Datagram { .. } | Act::Closing => Ok(()),
        })
    }

    fn send_datagram(
        &mut self,
        time_ns: u64,
        [from, to]: Ends,
        act: Act,
        mut teller: Teller,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let Act::Datagram { kept, len, .. } = act else { return Ok(()) };
        self.last_ns = self.last_ns.max(time_ns);
        let Pcapng { blocks, packets, scratch, last_ns, .. } = self;
        let mut wire = Wire { out, blocks, time_ns: *last_ns, packets, scratch };
        // Those of AF_UNIX, and several in one call, may be longer than UDP can carry.
        let mut done = 0;
        loop {
            let size = usize::try_from(len - done).unwrap_or(usize::MAX).min(MOST_UDP);
            let kept = kept.get(done as usize..).unwrap_or_default();
            let kept = kept.get(..size).unwrap_or(kept);
            Frame { from, to, payload: kept, len: size }.udp(wire.headers());
            wire.send(kept, size, 0, &mut teller)?;
            done += size as u64;
            if done >= len {
                return Ok(());
            }
        }
    }

    fn on_stream(
        &mut self,
        at: usize,
        time_ns: u64,
        out: &mut dyn Write,
        act: impl FnOnce(&mut Stream, &mut Wire<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.last_ns = self.last_ns.max(time_ns);
        let Pcapng { blocks, packets, scratch, streams, last_ns, .. } = self;
        let Some(stream) = streams.get_mut(at) else { return Ok(()) };
        act(stream, &mut Wire { out, blocks, time_ns: *last_ns, packets, scratch })
    }

    /// The interface of a process. The first one comes in front of names and secrets: editcap and Wireshark cannot save
    /// a file again that begins otherwise, for they do not know yet what its packets are.
    fn interface(&mut self, process: u32, model: &Model, out: &mut dyn Write) -> io::Result<u32> {
        if let Some(interface) = self.interfaces.get(&process) {
            return Ok(*interface);
        }
        let pid = model.process(process).map_or(0, |process| process.pid);
        let name = format!("{}[{pid}]", live::name(model, process));
        self.blocks.interface(&name, &acts::command_line(model, process), out)?;
        let interface = self.packets.len() as u32;
        self.packets.push(0);
        self.lost.push(0);
        self.interfaces.insert(process, interface);
        Ok(interface)
    }

    /// A name was resolved: its addresses are shown by it.
    fn resolved(&mut self, info: &CallInfo, so_far: &Model, out: &mut dyn Write) -> io::Result<()> {
        let Some(name) = info.parts().name else { return Ok(()) };
        let name = safe(name.strip_suffix(b"\0").unwrap_or(name));
        let numeric = name.parse::<IpAddr>().is_ok();
        let addresses = info.bodies(KIND_ADDRESS, ROLE_RESOLVED).filter_map(|body| Address(body).ip());
        let mut names = Vec::new();
        for ip in addresses.filter(|_| !numeric && !name.is_empty()) {
            if self.names.len() < MAX_NAMES && self.names.insert((ip, name.clone())) {
                names.push((ip, name.clone()));
            }
        }
        if !names.is_empty() {
            self.interface(info.process, so_far, out)?;
        }
        self.blocks.names(&names, out)
    }
}

#[cfg(test)]
mod tests;
