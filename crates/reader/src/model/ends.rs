//! Pipes: two connections of one trace that are the ends of one channel.

use super::connection::{ConnId, Connect, Connection, Role};
use super::{HashMap, Model};
use sockshim_format::address::Address;
use std::net::IpAddr;

/// How far apart two ends may be seen: an accept queue keeps a connection waiting for its owner.
pub(super) const SLACK_NS: u64 = 1_000_000_000;

/// A client that is kept waiting for so long notices.
const LONG_QUEUE_NS: u64 = 100_000_000;

type Endpoint = (IpAddr, u16);

impl Model {
    /// Finds the other ends of connections that have none yet. `finish` calls it; a live view may,
    /// at any time.
    pub fn find_ends(&mut self) {
        self.find_ends_until(u64::MAX);
    }

    /// Of those whose other end may still have to be seen, if it is to be found by counting, only the ones that were
    /// connected by this time.
    pub(super) fn find_ends_until(&mut self, until_ns: u64) {
        let unfinished = self.unfinished();
        let alone: Vec<&Connection> = unfinished.iter().filter_map(|id| self.connections.get(*id)).collect();
        let alone: Vec<&Connection> = alone.into_iter().filter(|conn| conn.other_end.is_none()).collect();
        let mut pairs = mirrored(&alone);
        pairs.extend(same_path(&alone, until_ns));
        for (a, b) in pairs {
            let free = |id: ConnId| self.connections.get(id).is_some_and(|conn| conn.other_end.is_none());
            if !free(a) || !free(b) {
                continue;
            }
            for (id, other) in [(a, b), (b, a)] {
                if let Some(conn) = self.connections.get_mut(id) {
                    conn.other_end = Some(other);
                }
            }
            self.note_queued(a, b, &unfinished);
        }
    }
}

impl Model {
    /// Tells the listener of a pipe that is new how long its client waited, connected, before anybody asked for it.
    fn note_queued(&mut self, a: ConnId, b: ConnId, unfinished: &[ConnId]) {
        let (Some(a), Some(b)) = (self.connections.get(a), self.connections.get(b)) else { return };
        let (client, server) = if a.role == Role::Passive { (b, a) } else { (a, b) };
        let (Some(connect), Some(accept)) = (client.phases.connect, server.phases.connect) else { return };
        let waited_ns = accept.start_ns.saturating_sub(connect.end_ns);
        let Some(listener) = server.listener.filter(|_| waited_ns >= LONG_QUEUE_NS) else { return };
        // What has finished changes no more.
        if unfinished.binary_search(&listener).is_ok()
            && let Some(listener) = self.connections.get_mut(listener)
        {
            let (count, longest_ns) = listener.facts.queued;
            listener.facts.queued = (count + 1, longest_ns.max(waited_ns));
        }
    }
}

/// IP connections whose addresses mirror each other while both were there.
fn mirrored(alone: &[&Connection]) -> Vec<(ConnId, ConnId)> {
    let mut by_ends: HashMap<(Endpoint, Endpoint), Vec<&Connection>> = HashMap::default();
    for conn in alone {
        if let Some((local, peer)) = ends(conn) {
            by_ends.entry((local, peer)).or_default().push(conn);
        }
    }
    let mut pairs = Vec::new();
    for conn in alone {
        let Some((local, peer)) = ends(conn) else { continue };
        let others = by_ends.get(&(peer, local)).map_or(&[][..], Vec::as_slice);
        // Ports are used again: of several, the one that began nearest in time.
        let near = others.iter().filter(|other| other.id > conn.id && fit(conn, other));
        let nearest = near.min_by_key(|other| begin(conn).abs_diff(begin(other)));
        pairs.extend(nearest.map(|other| (conn.id, other.id)));
    }
    pairs
}

/// AF_UNIX streams by path. Nothing in the records names both ends, but a listener's queue keeps
/// the order: when as many were accepted as had connected, they match one by one.
fn same_path(alone: &[&Connection], until_ns: u64) -> Vec<(ConnId, ConnId)> {
    let mut by_path: HashMap<&[u8], (Vec<&Connection>, Vec<&Connection>)> = HashMap::default();
    let connected = |conn: &&Connection| conn.phases.connect.map_or(0, |span| span.end_ns);
    for conn in alone.iter().filter(|conn| connected(conn) <= until_ns) {
        let named = |address| Address(address).unix_path().filter(|path| !path.is_empty());
        match conn.role {
            Role::Active if conn.connect == Connect::Done => {
                if let Some(path) = named(&conn.peer) {
                    by_path.entry(path).or_default().0.push(conn);
                }
            }
            Role::Passive => {
                if let Some(path) = named(&conn.local) {
                    by_path.entry(path).or_default().1.push(conn);
                }
            }
            _ => {}
        }
    }
    let mut pairs = Vec::new();
    for (mut active, mut passive) in by_path.into_values().filter(|(a, p)| a.len() == p.len()) {
        active.sort_by_key(connected);
        passive.sort_by_key(connected);
        let both = active.into_iter().zip(passive);
        pairs.extend(both.filter(|(a, p)| fit(a, p)).map(|(a, p)| (a.id, p.id)));
    }
    pairs
}

fn ends(conn: &Connection) -> Option<(Endpoint, Endpoint)> {
    let endpoint = |address| Some((Address(address).ip()?, Address(address).port()?));
    if conn.role == Role::Listener {
        return None;
    }
    let ((mut local, port), peer) = (endpoint(&conn.local)?, endpoint(&conn.peer)?);
    // A datagram socket that is bound to all addresses, as one is that only sends, sends to this machine from there.
    if local.is_unspecified() && peer.0.is_loopback() {
        local = peer.0;
    }
    Some(((local, port), peer))
}

fn begin(conn: &Connection) -> u64 {
    conn.seen.map_or(0, |span| span.start_ns)
}

fn fit(a: &Connection, b: &Connection) -> bool {
    let (Some(x), Some(y)) = (a.seen, b.seen) else { return false };
    let overlap = x.start_ns <= y.end_ns.saturating_add(SLACK_NS) && y.start_ns <= x.end_ns.saturating_add(SLACK_NS);
    // Every network namespace has a loopback of its own.
    let loopback = |conn: &Connection| Address(&conn.peer).ip().is_some_and(|ip| ip.is_loopback());
    let unknown = a.net_namespace == 0 || b.net_namespace == 0;
    let namespaces = unknown || a.net_namespace == b.net_namespace || !(loopback(a) || loopback(b));
    let kinds = a.kind == b.kind || a.kind == 0 || b.kind == 0;
    overlap && namespaces && kinds
}
