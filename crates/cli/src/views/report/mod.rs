//! The story of a trace: a summary, a block for each connection or pipe, and the calls of one of them drawn as a
//! sequence.

pub mod bar;
pub mod block;
pub mod row;
pub mod sequence;
pub mod summary;

use sockshim_format::address::Address;
use sockshim_format::line::Named;
use sockshim_reader::Model;
use sockshim_reader::model::{ConnId, Connection, Role};

use super::{live, safe};

/// What a report is made of.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The connections.
    pub model: &'a Model,
    /// The zero of times.
    pub zero_ns: u64,
    /// Calls that were lost while they were recorded, and that are in no file.
    pub lost: (u64, u64),
    /// Columns of the terminal.
    pub width: usize,
}

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
    format!("{}[{}]:{}{more}", live::name(model, holder.process), holder.pid, holder.fd)
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

/// Seconds since the beginning: `0.006 s`.
pub fn seconds(time_ns: u64, zero_ns: u64) -> String {
    let us = time_ns.saturating_sub(zero_ns) / 1000;
    format!("{}.{:03} s", us / 1_000_000, us / 1000 % 1000)
}
