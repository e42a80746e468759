//! What people call things: processes, connections, their peers.

use crate::model::{ConnId, Connection, Model, Role};
use sockshim_format::address::Address;
use sockshim_format::line::Named;

/// A connection, or a pipe: two of them that are the ends of one channel.
#[derive(Clone, Copy)]
pub struct Item<'a> {
    /// The connection; of a pipe the end that connected, or was there first.
    pub near: &'a Connection,
    /// The other end.
    pub far: Option<&'a Connection>,
}

impl<'a> Item<'a> {
    /// The connection with its other end, if that is in the trace too.
    pub fn of(model: &'a Model, connection: &'a Connection) -> Item<'a> {
        let other = connection.other_end.and_then(|id| model.connection(id));
        let Some(other) = other else { return Item { near: connection, far: None } };
        let far_first = match (connection.role, other.role) {
            (Role::Active, _) => false,
            (_, Role::Active) => true,
            _ => {
                begin_ns(other) < begin_ns(connection)
                    || (begin_ns(other) == begin_ns(connection) && other.id < connection.id)
            }
        };
        let (near, far) = if far_first { (other, connection) } else { (connection, other) };
        Item { near, far: Some(far) }
    }

    /// Its ends.
    pub fn ends(&self) -> impl Iterator<Item = &'a Connection> + use<'a> {
        [Some(self.near), self.far].into_iter().flatten()
    }
}

fn begin_ns(connection: &Connection) -> u64 {
    connection.seen.map_or(0, |span| span.start_ns)
}

/// The number that people call a connection by: `#1` is the first.
pub fn number(id: ConnId) -> String {
    format!("#{}", id + 1)
}

/// Who uses it: `curl[26537]:5`.
pub fn who(model: &Model, connection: &Connection) -> String {
    let Some(holder) = connection.holders.first() else { return "?".into() };
    let more = match connection.holders.len() {
        1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    format!("{}[{}]:{}{more}", name(model, holder.process), holder.pid, holder.fd)
}

/// The other side as people know it: the name that was resolved, the address, the service.
pub fn peer(connection: &Connection) -> Option<String> {
    let address = match connection.peer_address() {
        Some(address) if address.unix_path() != Some(&[]) => address,
        Some(_) => return None,
        None => Address(&connection.datagram_peers.first()?.address),
    };
    let text = Named(address).to_string();
    let name = connection.peer_name.as_ref().map(|name| safe(name));
    let more = match connection.datagram_peers.len() {
        0 | 1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    Some(match name.filter(|name| !text.starts_with(name.as_str())) {
        Some(name) => format!("{name} {text}{more}"),
        None => text + &more,
    })
}

/// What a process is called; a forked one by its parent's name, as long as it runs the same program.
pub fn name(model: &Model, process: u32) -> String {
    let mut number = process;
    for _ in 0..64 {
        let Some(state) = model.process(number) else { break };
        let name = state.name();
        if !name.is_empty() {
            return safe(name.as_bytes());
        }
        match &state.info {
            Some(info) if info.process.parent != 0 => number = info.process.parent,
            _ => break,
        }
    }
    "?".into()
}

/// Text of the traced program for a terminal: nothing in it can move the cursor. Control characters, and bytes that are
/// no UTF-8, are written as strace and C do. A backslash stays one: twice it would be harder to read, in regular expressions
/// above all, and text that was made safe before would change.
pub fn safe(text: &[u8]) -> String {
    let mut safe = String::with_capacity(text.len());
    let escape = |out: &mut String, bytes: &[u8]| bytes.iter().for_each(|byte| *out += &format!("\\x{byte:02x}"));
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => safe += "\\n",
                '\r' => safe += "\\r",
                '\t' => safe += "\\t",
                c if c.is_control() => escape(&mut safe, c.encode_utf8(&mut [0; 4]).as_bytes()),
                c => safe.push(c),
            }
        }
        escape(&mut safe, chunk.invalid());
    }
    safe
}

/// `#2 curl[26537]:5 ──▶ localhost 127.0.0.1:8080 http-alt: it took 60.0ms to connect; server closed first`.
pub fn story(model: &Model, connection: &Connection, zero_ns: u64, wrong: &str) -> String {
    let to = match (connection.role, peer(connection)) {
        (Role::Listener, _) | (_, None) => String::new(),
        (Role::Passive, Some(peer)) => format!(" ◀── {peer}"),
        (_, Some(peer)) => format!(" ──▶ {peer}"),
    };
    let sentence = model.sentence(connection, zero_ns);
    format!("{} {}{to}: {wrong}{sentence}", number(connection.id), who(model, connection))
}
