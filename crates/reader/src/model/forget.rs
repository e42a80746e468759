//! When a connection is finished: nothing that comes can change what is known of it.
//!
//! A day has millions of connections, and few at a time. So the model looks now and then which have finished, and
//! whoever has told of them may have them forgotten. One that has finished stays as it is, forgotten or not, and the
//! looks depend on the events alone: so the answer is the same for who forgets and who does not, live and afterwards.

use super::connection::{ConnId, Connection, Ending};
use super::ends::SLACK_NS;
use super::{HashSet, Model};

/// Connections that end from one look to the next, at least.
const PAUSE: usize = 1024;
/// How long a descriptor may be under way in a message (SCM_RIGHTS): a receiver outside the trace never tells.
const UNDER_WAY_NS: u64 = 60_000_000_000;

impl Model {
    /// The connections that have finished since [`Model::forget`] was called last, each with its other end.
    pub fn finished(&self) -> &[ConnId] {
        &self.finished
    }

    /// Forgets the connections that have finished, but for those that are to be kept.
    pub fn forget(&mut self, keep: impl Fn(ConnId) -> bool) {
        for id in self.finished.drain(..).filter(|id| !keep(*id)) {
            self.connections.remove(id);
        }
    }

    /// A model for reading the same events again: what only their end tells is known from the beginning. So all is
    /// known of a connection when it finishes.
    pub fn again(&self) -> Model {
        let rings = self.processes.iter().filter(|(_, process)| process.io_uring).map(|(number, _)| *number);
        Model {
            known_rings: Some(rings.collect()),
            launches: self.launches.clone(),
            lost: self.lost,
            left_out: self.left_out,
            forgot: self.forgot,
            ..Model::default()
        }
    }

    /// How many connections there have been, forgotten ones too.
    pub fn connections_in_all(&self) -> usize {
        self.connections.next()
    }

    /// The most connections that were kept at a time.
    pub fn most_connections(&self) -> usize {
        self.connections.most()
    }

    /// One more has ended, as far as it seems.
    pub(super) fn one_ended(&mut self) {
        self.ended += 1;
    }

    /// The connections that have not finished, in order.
    pub(super) fn unfinished(&self) -> Vec<ConnId> {
        let mut ids: Vec<ConnId> = self.by_socket.values().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Looks for what has finished, if enough have ended for that to be worth its time.
    #[inline]
    pub(super) fn look(&mut self) {
        if self.is_due() {
            self.look_now();
        }
    }

    /// Whether enough have ended for a look to be worth its time.
    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.ended >= PAUSE.max(self.by_socket.len() / 2)
    }

    fn look_now(&mut self) {
        self.ended = 0;
        self.known.forget();
        self.find_ends_until(self.last_ns.saturating_sub(SLACK_NS));
        self.find_who_was_in_the_way();
        // Why bytes passed around us shows when the program that was given it introduces itself, or does not.
        let given: HashSet<ConnId> = self.launches.iter().flat_map(|launch| &launch.inherits).copied().collect();
        let over = |id: ConnId| {
            !given.contains(&id) && self.connections.get(id).is_some_and(|conn| conn.is_over(self.last_ns))
        };
        let both = |id: &ConnId| {
            let other = self.connections.get(*id).and_then(|conn| conn.other_end);
            over(*id) && other.is_none_or(over)
        };
        let finished: Vec<ConnId> = self.unfinished().into_iter().filter(both).collect();
        for id in finished.iter().copied() {
            let Some(connection) = self.connections.get_mut(id) else { continue };
            connection.finished = true;
            self.by_socket.remove(&connection.socket);
            let holders: Vec<u32> = connection.holders.iter().map(|holder| holder.process).collect();
            for process in holders {
                if let Some(process) = self.processes.get_mut(&process) {
                    process.epoll.forget(id);
                }
            }
        }
        self.finished.extend(finished);
    }
}

impl Connection {
    /// Whether nothing names it, nothing is under way to it, and its other end would have been seen by now.
    fn is_over(&self, now_ns: u64) -> bool {
        let ended_ns = match self.ending {
            Ending::Open => return false,
            Ending::Closed(time_ns) | Ending::Leaked(time_ns) => time_ns,
        };
        let ago_ns = now_ns.saturating_sub(ended_ns.max(self.seen.map_or(0, |span| span.end_ns)));
        let named = self.active > 0 || self.inherited > 0 || self.awaited > 0 || self.numbers > 0;
        let arrived = self.under_way <= 0 || ago_ns > UNDER_WAY_NS;
        !named && arrived && self.in_progress.is_empty() && ago_ns > SLACK_NS
    }
}
