//! JSON Lines: one object per line, for jq, log shippers and databases. `docs/jsonl.schema.json` is its schema.
//!
//! Written by hand into a buffer that is used again: a trace has millions of calls.

use std::collections::BTreeMap;
use std::io::{self, Write};

use sockshim_reader::model::Connection;
use sockshim_reader::{CallInfo, Event, Model, ProcessInfo};

use super::keys::{Key, key};
use super::rows::{Row, Rows};
use super::text::{self, Times};
use super::{About, Ended, Exporter, Format, Known, Options};

/// The version of the schema: another one when a reader of this one would misunderstand.
pub const SCHEMA_VERSION: u32 = 1;
/// Calls that have not returned yet, and are told in the end if they never do.
const MAX_ENTERED: usize = 1 << 16;

/// What an object of a kind begins with.
macro_rules! kind {
    ($kind:literal) => {
        concat!("{\"type\":\"", $kind, "\"")
    };
}

/// What the tool knows of this format.
pub const FORMAT: Format = Format {
    name: "jsonl",
    extension: "jsonl",
    about: "JSON Lines, an object per call or connection: jq, log shippers, databases",
    example: "jq -c 'select(.errno)' x.jsonl",
    is_binary: false,
    has_connections: true,
    looks_ahead: false,
    forgets: true,
    make: |options| Box::new(Jsonl::new(options)),
};

/// Writes JSON Lines.
pub struct Jsonl {
    options: Options,
    rows: Rows,
    object: Object,
    /// Calls that were told.
    calls: u64,
    /// By process, thread and number.
    entered: BTreeMap<(u32, u32, u32), CallInfo>,
}

impl Jsonl {
    /// One that has written nothing.
    pub fn new(options: Options) -> Jsonl {
        Jsonl { options, rows: Rows::default(), object: Object::default(), calls: 0, entered: BTreeMap::new() }
    }

    fn call(&mut self, info: &CallInfo, known: Known<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.object.begin(kind!("call"));
        if !self.rows.call(&mut self.object, info, known.so_far) {
            return Ok(());
        }
        self.calls += 1;
        self.object.end(out)
    }

    fn process(&mut self, info: &ProcessInfo, known: Known<'_>, out: &mut dyn Write) -> io::Result<()> {
        let process = &info.process;
        self.rows.renamed(process.process);
        let object = &mut self.object;
        object.begin(kind!("process"));
        object.time(info.time_ns);
        let name = crate::views::live::name(known.so_far, process.process);
        object.text(key!("process.executable.name"), &name);
        object.unsigned(key!("process.pid"), process.pid.into());
        object.unsigned(key!("process.parent_pid"), process.ppid.into());
        // A forked process runs its parent's program, and has nothing of its own to say.
        if !info.exe.is_empty() {
            object.text(key!("process.executable.path"), &String::from_utf8_lossy(&info.exe));
        }
        if !info.args.is_empty() {
            let args: Vec<String> = info.args.iter().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect();
            object.list(key!("process.command_args"), &args);
        }
        object.end(out)
    }
}

impl Exporter for Jsonl {
    fn begin(&mut self, about: &About<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.rows.begin(about);
        let object = &mut self.object;
        object.begin(kind!("header"));
        object.unsigned(key!("schema"), SCHEMA_VERSION.into());
        object.plain(key!("sockshim"), env!("CARGO_PKG_VERSION").as_bytes());
        object.plain(key!("run"), format!("{:016x}{:016x}", about.id[0], about.id[1]).as_bytes());
        object.time(about.start_ns);
        object.text(key!("host.name"), about.host);
        object.text(key!("process.command_line"), about.command);
        object.end(out)
    }

    fn event(&mut self, event: &Event, known: Known<'_>, out: &mut dyn Write) -> io::Result<()> {
        if self.options.connections {
            if let Event::Process(info) = event {
                self.rows.renamed(info.process.process);
            }
            return Ok(());
        }
        match event {
            Event::Call(call) => {
                if call.announced {
                    self.entered.remove(&(call.process, call.tid, call.call.seq));
                }
                self.call(call, known, out)
            }
            // It is told when it has returned; a stream that is cut short has it not.
            Event::Entered(call) => {
                if self.entered.len() < MAX_ENTERED {
                    self.entered.insert((call.process, call.tid, call.call.seq), call.clone());
                }
                Ok(())
            }
            Event::Mark(mark) => {
                let object = &mut self.object;
                object.begin(kind!("mark"));
                object.time(mark.time_ns);
                object.unsigned(key!("process.pid"), mark.pid.into());
                object.unsigned(key!("thread.id"), mark.tid.into());
                object.text(key!("text"), &String::from_utf8_lossy(&mark.text));
                object.end(out)
            }
            Event::Lost { process, tid, count } => {
                let pid = known.so_far.process(*process).map_or(0, |process| process.pid);
                let object = &mut self.object;
                object.begin(kind!("lost"));
                object.unsigned(key!("process.pid"), pid.into());
                object.unsigned(key!("thread.id"), (*tid).into());
                object.unsigned(key!("calls"), (*count).into());
                object.end(out)
            }
            Event::Process(info) => self.process(info, known, out),
            Event::Left(_) | Event::Earlier(_) => Ok(()),
        }
    }

    fn connection(&mut self, connection: &Connection, model: &Model, out: &mut dyn Write) -> io::Result<()> {
        self.object.begin(kind!("connection"));
        self.rows.connection(&mut self.object, connection, model);
        self.object.end(out)
    }

    fn end(&mut self, ended: &Ended<'_>, out: &mut dyn Write) -> io::Result<()> {
        let known = Known { so_far: ended.model, whole: ended.model };
        for (_, call) in std::mem::take(&mut self.entered) {
            self.call(&call, known, out)?;
        }
        let object = &mut self.object;
        object.begin(kind!("end"));
        object.unsigned(key!("calls"), self.calls);
        object.unsigned(key!("connections"), ended.model.connections_in_all() as u64);
        object.unsigned(key!("lost"), ended.lost);
        object.literal(key!("complete"), if ended.whole { "true" } else { "false" });
        object.end(out)
    }
}

/// An object in the making.
#[derive(Default)]
struct Object {
    bytes: Vec<u8>,
    times: Times,
}

impl Object {
    /// `kind` is what it begins with: see `kind!`.
    fn begin(&mut self, kind: &str) {
        self.bytes.clear();
        self.bytes.extend_from_slice(kind.as_bytes());
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.bytes.extend_from_slice(b"}\n");
        out.write_all(&self.bytes)
    }

    fn key(&mut self, key: &Key) {
        self.bytes.extend_from_slice(key.json.as_bytes());
    }

    fn literal(&mut self, key: &Key, value: &str) {
        self.key(key);
        self.bytes.extend_from_slice(value.as_bytes());
    }
}

impl Row for Object {
    fn text(&mut self, key: &Key, value: &str) {
        self.key(key);
        self.bytes.push(b'"');
        text::escaped(&mut self.bytes, value);
        self.bytes.push(b'"');
    }

    fn plain(&mut self, key: &Key, value: &[u8]) {
        self.key(key);
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(value);
        self.bytes.push(b'"');
    }

    fn signed(&mut self, key: &Key, value: i64) {
        self.key(key);
        text::number(&mut self.bytes, value);
    }

    fn unsigned(&mut self, key: &Key, value: u64) {
        self.key(key);
        text::number(&mut self.bytes, value);
    }

    fn time(&mut self, time_ns: u64) {
        self.bytes.extend_from_slice(b",\"ts\":\"");
        self.times.write_both(&mut self.bytes, time_ns, "Z\",\"ts_ns\":\"");
        self.bytes.push(b'"');
    }

    fn bytes(&mut self, key: &Key, value: &[u8]) {
        self.key(key);
        self.bytes.push(b'"');
        text::base64(&mut self.bytes, value);
        self.bytes.push(b'"');
    }

    fn list(&mut self, key: &Key, values: &[String]) {
        self.key(key);
        for (at, value) in values.iter().enumerate() {
            self.bytes.push(if at == 0 { b'[' } else { b',' });
            self.bytes.push(b'"');
            text::escaped(&mut self.bytes, value);
            self.bytes.push(b'"');
        }
        self.bytes.push(b']');
    }

    fn given(&self) -> Option<&[u8]> {
        Some(&self.bytes)
    }

    fn again(&mut self, fields: &[u8]) {
        self.bytes.extend_from_slice(fields);
    }
}
