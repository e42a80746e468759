//! The fields of a row, of a call or of a connection, whatever they are written as.

use std::collections::HashMap;
use std::fmt::Write;

use sockshim_format::address::Address;
use sockshim_format::errno::errno_name;
use sockshim_format::line::Line;
use sockshim_format::op::{Direction, Op, Phase};
use sockshim_format::plan::Told;
use sockshim_format::record::FLAG_UNCLASSIFIED;
use sockshim_reader::model::{Connect, Connection, Ending, FirstToClose, Span};
use sockshim_reader::{CallInfo, Model};

use super::About;
use super::keys::{self, Key};
use super::text;
use crate::views::live;
use alike::{Alike, Outcome, RING, ends};

mod alike;

/// Takes the fields of a row, in the order of its keys. A field that is not known is not given.
pub trait Row {
    /// Text of whatever kind.
    fn text(&mut self, key: &Key, value: &str);
    /// Text of letters, digits and a few signs.
    fn plain(&mut self, key: &Key, value: &[u8]);
    /// A number that may be negative.
    fn signed(&mut self, key: &Key, value: i64);
    /// A number.
    fn unsigned(&mut self, key: &Key, value: u64);
    /// A moment in nanoseconds since the epoch, for people and as a number.
    fn time(&mut self, time_ns: u64);
    /// Bytes.
    fn bytes(&mut self, key: &Key, value: &[u8]);
    /// Several texts.
    fn list(&mut self, key: &Key, values: &[String]);
    /// What has been given so far, where fields look the same wherever they stand; else nothing.
    fn given(&self) -> Option<&[u8]>;
    /// Fields that were given before.
    fn again(&mut self, fields: &[u8]);
}

/// Makes rows, and remembers what neighbours have in common.
#[derive(Default)]
pub struct Rows {
    /// The beginning of the run's id, which tells connections of several runs apart.
    run: String,
    /// What processes are called, by number.
    names: HashMap<u32, String>,
    /// Processes that have introduced themselves so far.
    introduced: u64,
    /// By connection and direction, of as many as fit in.
    alike: Vec<Alike>,
    line: String,
}

impl Rows {
    /// Begins a run.
    pub fn begin(&mut self, about: &About<'_>) {
        self.run = format!("{:08x}", about.id[0] >> 32);
        if about.part > 1 {
            self.run += &format!(".{}", about.part);
        }
    }

    /// A process has introduced itself: what it is called may have changed.
    pub fn renamed(&mut self, process: u32) {
        self.names.remove(&process);
        self.introduced += 1;
    }

    /// The id of a connection, as text.
    pub fn conn(&self, conn: &Connection) -> String {
        format!("{}-{}", self.run, conn.id)
    }

    fn name(&mut self, model: &Model, process: u32) -> &str {
        self.names.entry(process).or_insert_with(|| live::name(model, process))
    }

    /// Gives the fields of a call. None for one on what is no socket.
    pub fn call(&mut self, row: &mut impl Row, info: &CallInfo, model: &Model) -> bool {
        use keys::call::*;
        let connection = model.of_call(info);
        if info.commit().flags & FLAG_UNCLASSIFIED != 0 && connection.is_none() {
            return false;
        }
        let (call, op, done) = (&info.call, info.op(), info.is_done());
        let phase = op.map_or(Phase::Process, Op::phase);
        row.time(info.start_ns);
        if done {
            row.unsigned(&DUR_NS, info.duration_ns());
        }
        match connection {
            Some(connection) => self.on_connection(row, connection, info, model),
            None => {
                what(row, info, op);
                row.text(&PROCESS_NAME, self.name(model, info.process));
                row.unsigned(&PID, info.pid.into());
                row.unsigned(&TID, info.tid.into());
                descriptor(row, call.fd);
                outcome(row, (done, call.ret, call.errno, info.bytes()));
            }
        }
        // What carries bytes is told by its fields alone, and by what they were.
        if phase == Phase::Communicate && info.is_bare() {
            info.extensions.first().into_iter().for_each(|extension| payload(row, &extension.body));
            return true;
        }
        let parts = info.parts();
        if phase == Phase::Resolve {
            if let Some(name) = parts.name {
                row.text(&DNS_NAME, &String::from_utf8_lossy(name));
            }
            let answers = info.bodies(sockshim_format::record::KIND_ADDRESS, sockshim_format::record::ROLE_RESOLVED);
            let answers: Vec<String> = answers.filter_map(|body| Some(Address(body).ip()?.to_string())).collect();
            if !answers.is_empty() {
                row.list(&DNS_ANSWERS, &answers);
            }
        }
        if phase != Phase::Communicate {
            self.line.clear();
            let line = Line { call, parts: &parts, peer: None, duration_ns: 0 };
            if write!(self.line, "{line}").is_ok() {
                row.text(&CALL, self.line.trim_end_matches(" <0ns>"));
            }
        }
        parts.payload.into_iter().for_each(|bytes| payload(row, bytes));
        if parts.injected != 0 {
            let told = info.injected().map(|injected| Told { op, injected: &injected }.to_string());
            row.list(&INJECTED, &told.collect::<Vec<String>>());
        }
        true
    }

    /// Gives the fields of a connection.
    pub fn connection(&mut self, row: &mut impl Row, conn: &Connection, model: &Model) {
        use keys::connection::*;
        if let Some(Span { start_ns, end_ns }) = conn.seen {
            row.time(start_ns);
            row.unsigned(&DUR_NS, end_ns.saturating_sub(start_ns));
        }
        row.plain(&CONN, self.conn(conn).as_bytes());
        if let Some(other) = conn.other_end.and_then(|id| model.connection(id)) {
            row.plain(&OTHER_END, self.conn(other).as_bytes());
        }
        row.plain(&ROLE, conn.role.name().as_bytes());
        if let Some(holder) = conn.holders.first() {
            row.text(&PROCESS_NAME, self.name(model, holder.process));
            row.unsigned(&PID, holder.pid.into());
            row.signed(&FD, holder.fd.into());
        }
        ends(row, conn);
        let phases = &conn.phases;
        for (key, span) in [
            (&RESOLVE_NS, phases.resolve),
            (&CREATE_NS, phases.create),
            (&CONNECT_NS, phases.connect),
            (&COMMUNICATE_NS, phases.communicate),
            (&DISCONNECT_NS, phases.disconnect),
        ] {
            if let Some(span) = span {
                row.unsigned(key, span.duration_ns());
            }
        }
        if let Some(first_byte_ns) = conn.first_byte_ns {
            row.unsigned(&FIRST_BYTE_NS, first_byte_ns);
        }
        row.unsigned(&WAIT_NS, conn.wait_ns);
        row.unsigned(&CALLS, conn.calls);
        row.unsigned(&SENT_BYTES, conn.sent.bytes);
        row.unsigned(&SENT_CALLS, conn.sent.calls);
        row.unsigned(&RECEIVED_BYTES, conn.received.bytes);
        row.unsigned(&RECEIVED_CALLS, conn.received.calls);
        if conn.role == sockshim_reader::model::Role::Listener {
            row.unsigned(&ACCEPTED, conn.accepted);
        }
        let failed = match conn.connect {
            Connect::Failed(errno) => errno,
            _ => conn.evidence.reset.map_or(0, |(_, errno)| errno),
        };
        error(row, failed, &ERRNO, &ERROR_TYPE);
        if let Some(word) = closed_first(model.closed_first(conn)) {
            row.plain(&CLOSED_FIRST, word.as_bytes());
        }
        let ending: &[u8] = match conn.ending {
            Ending::Open => b"open",
            Ending::Closed(_) => b"closed",
            Ending::Leaked(_) => b"leaked",
        };
        row.plain(&ENDING, ending);
        if let Some(bytes) = conn.evidence.unread_bytes {
            row.unsigned(&UNREAD_BYTES, bytes.into());
        }
        for (key, direction) in [(&UNSEEN_SENT_BYTES, Direction::Sent), (&UNSEEN_RECEIVED_BYTES, Direction::Received)] {
            if let Some(unseen) = model.unseen(conn, direction) {
                row.unsigned(key, unseen.bytes);
            }
        }
        // As `ss -e` prints it.
        row.plain(&SOCKET, format!("{:x}", conn.socket).as_bytes());
        if conn.net_namespace != 0 {
            row.unsigned(&NET_NAMESPACE, conn.net_namespace);
        }
        row.plain(&VERDICT, model.verdict(conn).word().as_bytes());
        let Some(tls) = conn.tls.as_deref() else { return };
        if let Some((name, version)) = tls.protocol() {
            row.plain(&TLS_NAME, name.as_bytes());
            row.plain(&TLS_VERSION, version.as_bytes());
        }
        for (key, name) in [(&TLS_SERVER_NAME, &tls.server_name), (&TLS_NEXT_PROTOCOL, &tls.next_protocol)] {
            if let Some(name) = name {
                row.text(key, name);
            }
        }
        if let Some(duration_ns) = tls.duration_ns() {
            row.unsigned(&TLS_NS, duration_ns);
        }
    }

    /// Gives the fields of a call on a connection, up to the ends of that.
    fn on_connection(&mut self, row: &mut impl Row, conn: &Connection, info: &CallInfo, model: &Model) {
        let received = matches!(info.bytes(), Some((Direction::Received, _)));
        let at = (conn.id * 2 + usize::from(received)) % RING;
        if self.alike.len() <= at {
            self.alike.resize(at + 1, Alike::default());
        }
        let Rows { alike, names, run, introduced, .. } = self;
        let name = |process: u32| names.entry(process).or_insert_with(|| live::name(model, process)).clone();
        alike[at].give(row, conn, info, (run, *introduced), name);
    }
}

/// Gives which function was called.
fn what(row: &mut impl Row, info: &CallInfo, op: Option<Op>) {
    use keys::call::*;
    match op {
        Some(op) => row.plain(&EVENT_NAME, op.name().as_bytes()),
        None => row.plain(&EVENT_NAME, format!("op_{}", info.call.op).as_bytes()),
    }
    row.plain(&PHASE, op.map_or(Phase::Process, Op::phase).name().as_bytes());
    row.plain(&STATE, if info.is_done() { b"done" } else { b"entered" });
}

fn descriptor(row: &mut impl Row, fd: i32) {
    if fd >= 0 {
        row.signed(&keys::call::FD, fd.into());
    }
}

fn outcome(row: &mut impl Row, (done, ret, errno, bytes): Outcome) {
    use keys::call::*;
    if done {
        row.signed(&RET, ret);
        error(row, errno, &ERRNO, &ERROR_TYPE);
    }
    if let Some((direction, bytes)) = bytes {
        row.plain(&DIRECTION, if direction == Direction::Sent { b"transmit" } else { b"receive" });
        row.unsigned(&BYTES, bytes);
    }
}

fn payload(row: &mut impl Row, bytes: &[u8]) {
    use keys::call::*;
    match text::printable(bytes) {
        _ if bytes.is_empty() => {}
        Some(text) => row.text(&PAYLOAD_TEXT, text),
        None => row.bytes(&PAYLOAD_BASE64, bytes),
    }
}

fn error(row: &mut impl Row, errno: u16, errno_key: &Key, type_key: &Key) {
    if errno == 0 {
        return;
    }
    match errno_name(errno) {
        "" => row.plain(errno_key, errno.to_string().as_bytes()),
        name => row.plain(errno_key, name.as_bytes()),
    }
    if let Some(word) = keys::error_type(errno) {
        row.plain(type_key, word.as_bytes());
    }
}

/// One word for who closed first; none where nobody did.
fn closed_first(first: FirstToClose) -> Option<&'static str> {
    Some(match first {
        FirstToClose::Us => "us",
        FirstToClose::UsReset => "us_with_reset",
        FirstToClose::Peer => "peer",
        FirstToClose::Reset => "peer_with_reset",
        FirstToClose::Both => "both",
        FirstToClose::Unknown => "unknown",
        FirstToClose::Nobody => return None,
    })
}
