//! Perfetto's own format: a `Trace` of TrackEvents, written by hand. The numbers are those of
//! `protos/perfetto/trace/` (trace_packet, track_event, track_descriptor).

use std::io::{self, Write};

use sockshim_reader::model::ConnId;

use super::{Canvas, Fact, HANDSHAKE, Slice, Story, Timeline};
use crate::export::{About, Format};

/// What the tool knows of this format.
pub const FORMAT: Format = Format {
    name: "perfetto",
    extension: "pftrace",
    about: "a timeline with arrows from write to read: ui.perfetto.dev, trace_processor",
    example: "open https://ui.perfetto.dev and drop x.pftrace there: nothing leaves the browser",
    is_binary: true,
    has_connections: false,
    looks_ahead: true,
    forgets: false,
    make: |_| Box::new(Timeline::<Perfetto>::default()),
};

/// CLOCK_REALTIME and CLOCK_BOOTTIME: Perfetto draws by the latter, and shows the former.
const REALTIME: u64 = 1;
const BOOTTIME: u64 = 6;

/// TrackEvent.Type.
const BEGIN: u64 = 1;
const END: u64 = 2;
const INSTANT: u64 = 3;
const COUNTER: u64 = 4;

/// Draws packets.
#[derive(Default)]
pub struct Perfetto {
    bytes: Vec<u8>,
}

/// A message in the making.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(&mut self, field: u32, value: u64) -> &mut Message {
        self.varint(u64::from(field) << 3);
        self.varint(value);
        self
    }

    fn fixed(&mut self, field: u32, value: u64) -> &mut Message {
        self.varint(u64::from(field) << 3 | 1);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn bytes(&mut self, field: u32, value: &[u8]) -> &mut Message {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    fn text(&mut self, field: u32, value: &str) -> &mut Message {
        self.bytes(field, value.as_bytes())
    }

    fn message(&mut self, field: u32, value: &Message) -> &mut Message {
        self.bytes(field, &value.0)
    }

    /// DebugAnnotations.
    fn facts(&mut self, facts: &[(&'static str, Fact)]) -> &mut Message {
        for (name, fact) in facts {
            let mut annotation = Message::default();
            annotation.text(10, name);
            match fact {
                Fact::Number(number) => annotation.number(4, *number as u64),
                Fact::Text(text) => annotation.text(6, text),
            };
            self.message(4, &annotation);
        }
        self
    }
}

/// Numbers of tracks: what kind, and which one.
mod track {
    pub fn process(pid: u32) -> u64 {
        1 << 60 | u64::from(pid)
    }
    pub fn thread(pid: u32, tid: u32) -> u64 {
        2 << 60 | u64::from(pid) << 28 | u64::from(tid)
    }
    pub fn connection(id: usize) -> u64 {
        3 << 60 | id as u64
    }
    pub fn counter(id: usize) -> u64 {
        4 << 60 | id as u64
    }
}

/// A TrackEvent on a track.
fn event(kind: u64, track: u64) -> Message {
    let mut event = Message::default();
    event.number(9, kind).number(11, track);
    event
}

impl Perfetto {
    fn packet(&mut self, packet: &Message, out: &mut dyn Write) -> io::Result<()> {
        let mut trace = Message(std::mem::take(&mut self.bytes));
        trace.0.clear();
        trace.message(1, packet);
        self.bytes = trace.0;
        out.write_all(&self.bytes)
    }

    fn event(&mut self, time_ns: u64, event: &Message, out: &mut dyn Write) -> io::Result<()> {
        let mut packet = Message::default();
        packet.number(8, time_ns).number(10, 1).message(11, event);
        self.packet(&packet, out)
    }

    fn track(&mut self, descriptor: &Message, out: &mut dyn Write) -> io::Result<()> {
        let mut packet = Message::default();
        packet.number(10, 1).message(60, descriptor);
        self.packet(&packet, out)
    }
}

impl Canvas for Perfetto {
    fn begin(&mut self, about: &About<'_>, out: &mut dyn Write) -> io::Result<()> {
        let (mut snapshot, mut packet) = (Message::default(), Message::default());
        for clock in [REALTIME, BOOTTIME] {
            let mut reading = Message::default();
            reading.number(1, clock).number(2, about.start_ns);
            snapshot.message(1, &reading);
        }
        packet.number(10, 1).message(6, &snapshot);
        self.packet(&packet, out)
    }

    fn process(&mut self, pid: u32, name: &str, command_line: &[String], out: &mut dyn Write) -> io::Result<()> {
        let (mut process, mut descriptor) = (Message::default(), Message::default());
        process.number(1, pid.into());
        for argument in command_line {
            process.text(2, argument);
        }
        process.text(6, name);
        descriptor.number(1, track::process(pid)).message(3, &process);
        self.track(&descriptor, out)
    }

    fn thread(&mut self, pid: u32, tid: u32, out: &mut dyn Write) -> io::Result<()> {
        let (mut thread, mut descriptor) = (Message::default(), Message::default());
        thread.number(1, pid.into()).number(2, tid.into());
        descriptor.number(1, track::thread(pid, tid)).number(5, track::process(pid)).message(4, &thread);
        self.track(&descriptor, out)
    }

    fn call(&mut self, call: &Slice, out: &mut dyn Write) -> io::Result<()> {
        let track = track::thread(call.pid, call.tid);
        let mut begin = event(BEGIN, track);
        begin.text(22, call.category).text(23, call.name).facts(&call.facts);
        call.leaves.iter().for_each(|arrow| _ = begin.fixed(47, *arrow));
        call.arrives.iter().for_each(|arrow| _ = begin.fixed(48, *arrow));
        self.event(call.start_ns, &begin, out)?;
        match call.end_ns {
            Some(end_ns) => self.event(end_ns, &event(END, track), out),
            None => Ok(()),
        }
    }

    fn mark(&mut self, pid: u32, tid: u32, time_ns: u64, text: &str, out: &mut dyn Write) -> io::Result<()> {
        let mut mark = event(INSTANT, track::thread(pid, tid));
        mark.text(22, "mark").text(23, text);
        self.event(time_ns, &mark, out)
    }

    fn connection(&mut self, pid: u32, id: ConnId, name: &str, out: &mut dyn Write) -> io::Result<()> {
        let mut descriptor = Message::default();
        descriptor.number(1, track::connection(id)).text(2, name).number(5, track::process(pid));
        self.track(&descriptor, out)?;
        let (mut counter, mut descriptor) = (Message::default(), Message::default());
        // UNIT_SIZE_BYTES.
        counter.number(3, 3);
        descriptor.number(1, track::counter(id)).text(2, &format!("in flight from {name}"));
        descriptor.number(5, track::process(pid)).message(8, &counter);
        self.track(&descriptor, out)
    }

    fn phases(&mut self, _pid: u32, id: ConnId, story: &Story<'_>, out: &mut dyn Write) -> io::Result<()> {
        let track = track::connection(id);
        let mut whole = event(BEGIN, track);
        whole.text(22, "connection").text(23, story.name).facts(&story.facts);
        self.event(story.seen.start_ns, &whole, out)?;
        for (name, span, duration_ns) in &story.phases {
            let mut begin = event(BEGIN, track);
            begin.text(22, name).text(23, name).facts(&[("duration_ns", Fact::Number(*duration_ns as i64))]);
            self.event(span.start_ns, &begin, out)?;
            if let Some(inner) = story.within(name) {
                let mut begin = event(BEGIN, track);
                begin.text(22, HANDSHAKE).text(23, HANDSHAKE);
                self.event(inner.start_ns, &begin, out)?;
                self.event(inner.end_ns, &event(END, track), out)?;
            }
            self.event(span.end_ns, &event(END, track), out)?;
        }
        self.event(story.seen.end_ns, &event(END, track), out)
    }

    fn in_flight(&mut self, _pid: u32, id: ConnId, time_ns: u64, bytes: u64, out: &mut dyn Write) -> io::Result<()> {
        let mut counter = event(COUNTER, track::counter(id));
        counter.number(30, bytes);
        self.event(time_ns, &counter, out)
    }

    fn end(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}
