//! What neighbouring rows have in common: it is made once and copied, for making it takes longer than all else.

use sockshim_format::address::Address;
use sockshim_format::op::Direction;
use sockshim_reader::CallInfo;
use sockshim_reader::model::{ConnId, Connection};

use super::super::keys;
use super::super::text;
use super::{Row, descriptor, outcome, what};

/// Fields that neighbours have in common, as they were given last. Those of a million calls need not be made a
/// million times.
#[derive(Clone, Default)]
struct Fields<K> {
    of: Option<K>,
    bytes: Vec<u8>,
}

impl<K: PartialEq> Fields<K> {
    /// Gives the fields, which are the same whenever the key is.
    fn give<R: Row>(&mut self, row: &mut R, key: K, make: impl FnOnce(&mut R)) {
        if self.of.as_ref() == Some(&key) {
            return row.again(&self.bytes);
        }
        let Some(before) = row.given().map(<[u8]>::len) else { return make(row) };
        make(row);
        self.bytes.clear();
        self.bytes.extend_from_slice(row.given().and_then(|given| given.get(before..)).unwrap_or_default());
        self.of = Some(key);
    }
}

/// What a call is, whether it has returned, its descriptor, connection, process, pid and thread, and how many processes
/// had introduced themselves by then.
type Caller = (u16, bool, i32, ConnId, u32, u32, u32, u64);
/// What a call returned, its errno, and the bytes that passed.
pub(super) type Outcome = (bool, i64, u16, Option<(Direction, u64)>);
/// Connections that calls are made on in turn, more or less, in two directions each: what was made for others is made
/// again.
pub(super) const RING: usize = 8192;

/// What calls have in common that carry bytes in the same direction of a connection, or none.
#[derive(Clone, Default)]
pub(super) struct Alike {
    caller: Fields<Caller>,
    /// The ends of the connection too.
    outcome: Fields<Outcome>,
    ends: Ends,
}

impl Alike {
    /// Gives the fields of a call, up to the ends of its connection. `run` is the beginning of the run's id, and how many
    /// processes have introduced themselves.
    pub fn give<R: Row>(
        &mut self,
        row: &mut R,
        conn: &Connection,
        info: &CallInfo,
        (run, introduced): (&str, u64),
        name: impl FnOnce(u32) -> String,
    ) {
        use keys::call::*;
        let done = info.is_done();
        let CallInfo { process, pid, tid, .. } = *info;
        let make = |row: &mut R| {
            what(row, info, info.op());
            row.plain(&CONN, format!("{run}-{}", conn.id).as_bytes());
            row.text(&PROCESS_NAME, &name(process));
            row.unsigned(&PID, pid.into());
            row.unsigned(&TID, tid.into());
            descriptor(row, info.call.fd);
        };
        let key = (info.call.op, done, info.call.fd, conn.id, process, pid, tid, introduced);
        self.caller.give(row, key, make);
        if self.ends.changes(conn) {
            self.outcome.of = None;
        }
        let key = (done, info.call.ret, info.call.errno, info.bytes());
        let ends = &mut self.ends;
        self.outcome.give(row, key, |row| {
            outcome(row, key);
            ends.give(row, conn);
        });
    }
}

/// The ends of a connection, as far as they were known when they were given last.
#[derive(Clone, Default)]
struct Ends {
    id: ConnId,
    local: Vec<u8>,
    peer: Vec<u8>,
    named: bool,
    kind: (i32, i32, i32),
    fields: Fields<()>,
}

impl Ends {
    /// Whether they are not those that were given last.
    fn changes(&mut self, conn: &Connection) -> bool {
        let kind = (conn.domain, conn.kind, conn.protocol);
        let known = self.id == conn.id && self.kind == kind && self.named == conn.peer_name.is_some();
        // An empty `Vec` points nowhere: some processors take hundreds of cycles for a `memcmp` of nothing there.
        let differ = |a: &[u8], b: &[u8]| a.len() != b.len() || !a.is_empty() && a != b;
        let changes = !known || differ(&self.local, &conn.local) || differ(&self.peer, &conn.peer);
        if changes {
            self.local.clone_from(&conn.local);
            self.peer.clone_from(&conn.peer);
            (self.id, self.kind, self.named, self.fields.of) = (conn.id, kind, conn.peer_name.is_some(), None);
        }
        changes
    }

    /// Gives them, once it is known whether they have changed.
    fn give(&mut self, row: &mut impl Row, conn: &Connection) {
        self.fields.give(row, (), |row| ends(row, conn));
    }
}

/// Gives the ends of a connection: the same keys have the same names in both kinds of rows.
pub(super) fn ends(row: &mut impl Row, conn: &Connection) {
    use keys::call::*;
    for (key, word) in [
        (&TRANSPORT, keys::transport(conn.domain, conn.kind, conn.protocol)),
        (&NETWORK_TYPE, keys::network_type(conn.domain)),
    ] {
        if !word.is_empty() {
            row.plain(key, word.as_bytes());
        }
    }
    let mut host = Vec::new();
    for (address_key, port_key, address) in
        [(&LOCAL_ADDRESS, &LOCAL_PORT, &conn.local), (&PEER_ADDRESS, &PEER_PORT, &conn.peer)]
    {
        let address = Address(address);
        host.clear();
        text::host(&mut host, address);
        match (host.is_empty(), address.port()) {
            (true, _) => {}
            (_, Some(port)) => {
                row.plain(address_key, &host);
                row.unsigned(port_key, port.into());
            }
            // A path may hold anything.
            _ => row.text(address_key, &String::from_utf8_lossy(&host)),
        }
    }
    if let Some(name) = &conn.peer_name {
        row.text(&SERVER_ADDRESS, &String::from_utf8_lossy(name));
    }
}
