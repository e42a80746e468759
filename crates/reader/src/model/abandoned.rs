//! Connections that a program leaves open for others to the same peer.
//!
//! What is held to the end may be held on purpose: a connection to a database, or many of them. A pool takes one that
//! is idle before it makes another; who makes another again and again, and never closes any, has forgotten them.

use super::Model;
use super::connection::ConnId;
use std::collections::BTreeMap;

/// Connections to one peer that were left for another, and never closed, that are no coincidence.
const ABANDONED: usize = 3;

impl Model {
    /// A process has ended, and these connections were its own.
    pub(super) fn abandoned(&mut self, process: u32, left: impl Iterator<Item = ConnId>) {
        let mut by_peer: BTreeMap<Vec<u8>, Vec<(u64, u64, ConnId)>> = BTreeMap::new();
        let connections = left.filter_map(|id| self.connections.get(id)).filter(|conn| conn.is_left());
        for conn in connections.filter(|conn| !conn.peer.is_empty()) {
            let made = conn.facts.made.filter(|made| made.process == process);
            if let Some((made, seen)) = made.zip(conn.seen) {
                by_peer.entry(conn.peer.clone()).or_default().push((made.time_ns, seen.end_ns, conn.id));
            }
        }
        for mut left in by_peer.into_values() {
            // One that several descriptors name comes several times.
            left.sort_unstable();
            left.dedup();
            let last_ns = left.last().map_or(0, |(made_ns, ..)| *made_ns);
            let abandoned: Vec<ConnId> =
                left.iter().filter(|(_, used_ns, _)| *used_ns < last_ns).map(|(.., id)| *id).collect();
            if abandoned.len() < ABANDONED {
                continue;
            }
            for id in &abandoned {
                if let Some(conn) = self.connections.get_mut(*id) {
                    conn.facts.abandoned = abandoned.len() as u64 - 1;
                }
            }
        }
    }
}
