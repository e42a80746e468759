//! One of the two runs: what of its connections can be compared with another run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use sockshim_format::address::Address;
use sockshim_format::op::Op;
use sockshim_reader::model::{ConnId, Connect, Connection, Role, Traffic, Verdict};
use sockshim_reader::{Event, Model};

use crate::reading::{Opened, Reading, Run};
use crate::views::safe;

/// Ports from here on are the system's choice, unless an administrator has moved them
/// (/proc/sys/net/ipv4/ip_local_port_range).
const CHOSEN_PORT: u16 = 32768;

/// Which connections of two runs are compared: whose they are, of what kind, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// What the program is called.
    pub program: String,
    /// Its role, and its family.
    pub kind: String,
    /// The peer, or for what came from a listener the listener.
    pub peer: String,
}

/// A connection, without what differs from run to run anyway.
#[derive(Clone, Debug)]
pub struct Seen {
    pub key: Key,
    pub id: ConnId,
    pub verdict: Verdict,
    /// Durations in nanoseconds, each under its name.
    pub durations: Vec<(&'static str, u64)>,
    /// Bytes sent and received.
    pub bytes: [u64; 2],
    /// Calls that sent and received. Those that would have blocked are the scheduler's doing.
    pub calls: [u64; 2],
    /// What failed, and with which errno.
    pub errors: BTreeSet<(&'static str, u16)>,
    pub lints: BTreeSet<&'static str>,
    /// Functions that were called on it.
    pub functions: BTreeSet<&'static str>,
    /// How many connections it gave.
    pub accepted: u64,
}

/// A run.
pub struct Side {
    pub seen: Vec<Seen>,
    /// How many processes ran each program.
    pub programs: BTreeMap<String, usize>,
    reading: Reading,
}

impl Side {
    pub fn read(path: &Path) -> Result<Side> {
        let mut functions: BTreeMap<ConnId, BTreeSet<&'static str>> = BTreeMap::new();
        let opened = Opened::open(&Run::only(&[path.to_owned()]), false)?;
        let reading = opened.read(|model, event| {
            if let Event::Call(call) = event
                && let (Some(op), Some(connection)) = (call.op(), model.of_call(call))
            {
                functions.entry(connection.id).or_default().insert(op.name());
            }
            Ok(())
        })?;
        let model = &reading.model;
        let mut used = |id| functions.remove(&id).unwrap_or_default();
        let seen = model.connections().map(|conn| Seen::of(model, conn, reading.zero_ns, used(conn.id))).collect();
        let mut programs = BTreeMap::new();
        for (_, process) in model.processes().filter(|(_, process)| process.pid != 0) {
            *programs.entry(safe(process.name.as_bytes())).or_default() += 1;
        }
        Ok(Side { seen, programs, reading })
    }

    /// Says on stderr what the trace lacks.
    pub fn tell(self) -> Result<()> {
        self.reading.tell()
    }
}

impl Seen {
    fn of(model: &Model, conn: &Connection, zero_ns: u64, functions: BTreeSet<&'static str>) -> Seen {
        let phases = &conn.phases;
        // For how long an accept waited is the client's behaviour.
        let connects = !matches!(conn.role, Role::Passive | Role::Listener);
        let durations = [
            ("resolve", phases.resolve.map(|span| span.duration_ns())),
            ("connect", phases.connect.filter(|_| connects).map(|span| span.duration_ns())),
            ("first byte", conn.first_byte_ns.filter(|_| connects)),
            ("communicate", phases.communicate.map(|span| span.duration_ns())),
            ("disconnect", phases.disconnect.map(|span| span.duration_ns())),
        ];
        let calls = |traffic: &Traffic| traffic.calls.saturating_sub(traffic.again);
        // How a connect went that did not wait is told by SO_ERROR.
        let refused = match conn.connect {
            Connect::Failed(errno) => Some((Op::Connect.name(), errno)),
            _ => None,
        };
        Seen {
            key: Key { program: safe(conn.program().as_bytes()), kind: kind(conn), peer: peer(model, conn) },
            id: conn.id,
            verdict: model.verdict(conn),
            durations: durations.into_iter().filter_map(|(name, ns)| Some((name, ns?))).collect(),
            bytes: [conn.sent.bytes, conn.received.bytes],
            calls: [calls(&conn.sent), calls(&conn.received)],
            errors: conn.errors.iter().map(|(op, (errno, _))| (op.name(), *errno)).chain(refused).collect(),
            lints: model.lints(conn, zero_ns).into_iter().map(|lint| lint.kind.name()).collect(),
            functions,
            accepted: conn.accepted,
        }
    }
}

/// `active IPv4`, `listener unix`.
fn kind(conn: &Connection) -> String {
    let family = match conn.domain {
        libc::AF_UNIX => " unix",
        libc::AF_INET => " IPv4",
        libc::AF_INET6 => " IPv6",
        _ => "",
    };
    format!("{}{family}", conn.role.name())
}

/// Who is at the other end, by its name if it was resolved. Of what came from a listener the clients' ports are chance:
/// there it is the listener.
fn peer(model: &Model, conn: &Connection) -> String {
    let listener = conn.listener.and_then(|id| model.connection(id));
    let own = match conn.role {
        Role::Passive => Some(listener.and_then(Connection::local_address).or(conn.local_address())),
        Role::Listener => Some(conn.local_address()),
        _ => None,
    };
    if let Some(own) = own {
        return own.map_or(String::new(), |address| place(address, None));
    }
    let datagram = || conn.datagram_peers.first().map(|peer| Address(&peer.address));
    match conn.peer_address().or_else(datagram) {
        Some(address) => place(address, conn.peer_name.as_deref()),
        None => String::new(),
    }
}

/// An address without what is chance in it.
fn place(address: Address<'_>, name: Option<&[u8]>) -> String {
    let Some(ip) = address.ip() else { return address.to_string() };
    let host = match (name, ip) {
        (Some(name), _) => safe(name),
        (None, std::net::IpAddr::V6(ip)) => format!("[{ip}]"),
        (None, ip) => ip.to_string(),
    };
    match address.port() {
        Some(port) if port >= CHOSEN_PORT => format!("{host}:*"),
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}
