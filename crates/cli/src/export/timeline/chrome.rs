//! The JSON of Chrome's tracing (Trace Event Format), which many viewers read.

use std::io::{self, Write};

use sockshim_reader::model::ConnId;

use super::{Canvas, Fact, HANDSHAKE, Slice, Story, Timeline};
use crate::export::text;
use crate::export::{About, Format};

/// What the tool knows of this format.
pub const FORMAT: Format = Format {
    name: "chrome",
    // Of JSON there are many kinds.
    extension: "trace.json",
    about: "the same timeline as JSON: chrome://tracing, speedscope, ui.perfetto.dev",
    example: "jq '.traceEvents[] | select(.ph == \"C\")' x.trace.json",
    is_binary: false,
    has_connections: false,
    looks_ahead: true,
    forgets: false,
    make: |_| Box::new(Timeline::<Chrome>::default()),
};

/// Draws events.
#[derive(Default)]
pub struct Chrome {
    start_ns: u64,
    bytes: Vec<u8>,
    /// An event was written: the next one needs a comma.
    begun: bool,
}

impl Chrome {
    /// Begins an event of a phase letter, of a thread.
    fn event(&mut self, letter: char, pid: u32, tid: u32, time_ns: u64) -> &mut Chrome {
        self.bytes.clear();
        let comma = if std::mem::replace(&mut self.begun, true) { "," } else { "" };
        // A double holds microseconds since the epoch no finer than a quarter of one: so they are since the beginning.
        let since_ns = i128::from(time_ns) - i128::from(self.start_ns);
        let sign = if since_ns < 0 { "-" } else { "" };
        let (us, fraction) = (since_ns.unsigned_abs() / 1000, since_ns.unsigned_abs() % 1000);
        let text =
            format!("{comma}\n{{\"ph\":\"{letter}\",\"pid\":{pid},\"tid\":{tid},\"ts\":{sign}{us}.{fraction:03}");
        self.bytes.extend_from_slice(text.as_bytes());
        self
    }

    /// A field with text.
    fn text(&mut self, key: &str, value: &str) -> &mut Chrome {
        self.raw(key, "\"");
        text::escaped(&mut self.bytes, value);
        self.bytes.push(b'"');
        self
    }

    /// A field with JSON.
    fn raw(&mut self, key: &str, value: &str) -> &mut Chrome {
        self.bytes.extend_from_slice(b",\"");
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.extend_from_slice(b"\":");
        self.bytes.extend_from_slice(value.as_bytes());
        self
    }

    fn facts(&mut self, facts: &[(&str, Fact)]) -> &mut Chrome {
        self.raw("args", "{");
        for (at, (name, fact)) in facts.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            self.bytes.extend_from_slice(format!("{comma}\"{name}\":").as_bytes());
            match fact {
                Fact::Number(number) => text::number(&mut self.bytes, *number),
                Fact::Text(value) => {
                    self.bytes.push(b'"');
                    text::escaped(&mut self.bytes, value);
                    self.bytes.push(b'"');
                }
            }
        }
        self.bytes.push(b'}');
        self
    }

    fn write(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.bytes.push(b'}');
        out.write_all(&self.bytes)
    }

    fn named(&mut self, what: &str, pid: u32, tid: u32, name: String, out: &mut dyn Write) -> io::Result<()> {
        let start_ns = self.start_ns;
        self.event('M', pid, tid, start_ns).text("name", what).facts(&[("name", Fact::Text(name))]).write(out)
    }

    /// One end of a nestable slice of a connection.
    fn edge(
        &mut self,
        letter: char,
        (pid, id): (u32, ConnId),
        time_ns: u64,
        name: &str,
        facts: &[(&str, Fact)],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let event = self.event(letter, pid, pid, time_ns).text("cat", "connection").raw("id", &id.to_string());
        event.text("name", name).facts(facts).write(out)
    }
}

impl Canvas for Chrome {
    fn begin(&mut self, about: &About<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.start_ns = about.start_ns;
        self.bytes.clear();
        self.bytes.extend_from_slice(b"{\"displayTimeUnit\":\"ns\",\"otherData\":{\"tool\":\"sockshim\"");
        self.text("version", env!("CARGO_PKG_VERSION")).text("host", about.host).text("command", about.command);
        self.text("start_ns", &about.start_ns.to_string());
        self.bytes.extend_from_slice(b"},\"traceEvents\":[");
        out.write_all(&self.bytes)
    }

    fn process(&mut self, pid: u32, name: &str, command_line: &[String], out: &mut dyn Write) -> io::Result<()> {
        self.named("process_name", pid, pid, name.to_owned(), out)?;
        let start_ns = self.start_ns;
        let labels = Fact::Text(command_line.join(" "));
        self.event('M', pid, pid, start_ns).text("name", "process_labels").facts(&[("labels", labels)]).write(out)
    }

    fn thread(&mut self, pid: u32, tid: u32, out: &mut dyn Write) -> io::Result<()> {
        let name = if pid == tid { "main thread".to_owned() } else { format!("thread {tid}") };
        self.named("thread_name", pid, tid, name, out)
    }

    fn call(&mut self, call: &Slice, out: &mut dyn Write) -> io::Result<()> {
        let (letter, duration_ns) = match call.end_ns {
            Some(end_ns) => ('X', end_ns - call.start_ns),
            None => ('B', 0),
        };
        let event = self.event(letter, call.pid, call.tid, call.start_ns);
        event.text("cat", call.category).text("name", call.name);
        if letter == 'X' {
            event.raw("dur", &format!("{}.{:03}", duration_ns / 1000, duration_ns % 1000));
        }
        event.facts(&call.facts).write(out)?;
        // An arrow is bound to the slice that lasts at its time: the end of a read may not be a part of it.
        let last_ns = call.start_ns + duration_ns.saturating_sub(1);
        let leaves = call.leaves.iter().map(|arrow| ('s', call.start_ns, *arrow));
        for (letter, time_ns, arrow) in leaves.chain(call.arrives.iter().map(|arrow| ('f', last_ns, *arrow))) {
            let event = self.event(letter, call.pid, call.tid, time_ns).text("cat", "pipe").text("name", "bytes");
            event.raw("id", &arrow.to_string());
            if letter == 'f' {
                event.text("bp", "e");
            }
            event.write(out)?;
        }
        Ok(())
    }

    fn mark(&mut self, pid: u32, tid: u32, time_ns: u64, text: &str, out: &mut dyn Write) -> io::Result<()> {
        self.event('i', pid, tid, time_ns).text("cat", "mark").text("name", text).text("s", "t").write(out)
    }

    fn connection(&mut self, _pid: u32, _id: ConnId, _name: &str, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn phases(&mut self, pid: u32, id: ConnId, story: &Story<'_>, out: &mut dyn Write) -> io::Result<()> {
        let which = (pid, id);
        self.edge('b', which, story.seen.start_ns, story.name, &story.facts, out)?;
        for (name, span, duration_ns) in &story.phases {
            let facts = [("duration_ns", Fact::Number(*duration_ns as i64))];
            self.edge('b', which, span.start_ns, name, &facts, out)?;
            if let Some(inner) = story.within(name) {
                self.edge('b', which, inner.start_ns, HANDSHAKE, &[], out)?;
                self.edge('e', which, inner.end_ns, HANDSHAKE, &[], out)?;
            }
            self.edge('e', which, span.end_ns, name, &[], out)?;
        }
        self.edge('e', which, story.seen.end_ns, story.name, &[], out)
    }

    fn in_flight(&mut self, pid: u32, id: ConnId, time_ns: u64, bytes: u64, out: &mut dyn Write) -> io::Result<()> {
        let event = self.event('C', pid, pid, time_ns).text("name", "bytes in flight").raw("id", &id.to_string());
        event.facts(&[("bytes", Fact::Number(bytes as i64))]).write(out)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"\n]}\n")
    }
}
