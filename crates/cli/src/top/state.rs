//! What top knows, and what of it is shown: the same for the screen and for `--once`.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};

use sockshim_format::address::Address;
use sockshim_format::op::Phase;
use sockshim_reader::model::{ConnId, Connect, Connection, Ending, Role};
use sockshim_reader::{CallInfo, Event, Model};

use super::blocked::Blocked;
use crate::views::report::who;
use crate::views::safe;

/// The last calls of a connection that are kept, and of how many connections: those that were used last.
const MOST_CALLS: usize = 200;
const MOST_CONNECTIONS: usize = 256;
/// Rates are those of at least so long.
const RATE_NS: u64 = 900_000_000;

/// What the connections are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Bytes a second, both ways.
    #[default]
    Rate,
    /// Bytes in all.
    Bytes,
    /// The newest first.
    Time,
    /// The program, and the peer.
    Name,
}

impl Sort {
    pub const fn word(self) -> &'static str {
        match self {
            Sort::Rate => "rate",
            Sort::Bytes => "bytes",
            Sort::Time => "time",
            Sort::Name => "name",
        }
    }
}

/// Which view fills the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Page {
    #[default]
    Connections,
    /// The calls of one of them.
    Calls(ConnId),
    Help,
}

/// Bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    pub sent: u64,
    pub received: u64,
}

impl Rate {
    pub fn sum(self) -> u64 {
        self.sent.saturating_add(self.received)
    }
}

/// Everything.
#[derive(Default)]
pub struct State {
    pub model: Model,
    pub blocked: Blocked,
    /// What is traced.
    pub title: String,
    /// How the run stands, in words.
    pub stands: String,
    /// What is told in the last line, if anything is.
    pub message: String,
    /// The zero of times, and the present.
    pub zero_ns: u64,
    pub now_ns: u64,
    pub calls: u64,
    /// Calls a second.
    pub call_rate: u64,
    pub sort: Sort,
    /// What the connections shown have in their text.
    pub filter: String,
    /// Keys go into the filter.
    pub typing: bool,
    pub paused: bool,
    pub page: Page,
    /// The connection that is marked, and where it stood.
    pub selected: Option<ConnId>,
    pub place: usize,
    /// Lines from the end of the calls that are shown.
    pub scrolled: usize,
    last: HashMap<ConnId, VecDeque<CallInfo>>,
    /// Totals when rates were last told, and when that was.
    totals: HashMap<ConnId, (u64, u64)>,
    rates: HashMap<ConnId, Rate>,
    sampled: (u64, u64),
}

impl State {
    pub fn new(title: String, zero_ns: u64) -> State {
        State { title, zero_ns, ..State::default() }
    }

    /// Takes in an event.
    pub fn event(&mut self, event: &Event) {
        self.model.feed(event);
        self.blocked.event(event);
        let Event::Call(call) = event else { return };
        self.calls += 1;
        let Some(id) = self.model.of_call(call).map(|connection| connection.id) else { return };
        if !self.last.contains_key(&id) && self.last.len() >= MOST_CONNECTIONS {
            let ended = |calls: &VecDeque<CallInfo>| calls.back().map_or(0, |call| call.end_ns);
            let oldest = self.last.iter().min_by_key(|(_, calls)| ended(calls)).map(|(id, _)| *id);
            oldest.and_then(|oldest| self.last.remove(&oldest));
        }
        let calls = self.last.entry(id).or_default();
        if calls.len() >= MOST_CALLS {
            calls.pop_front();
        }
        calls.push_back(call.clone());
    }

    /// Takes note of the time, and tells rates anew when it is time for that.
    pub fn tick(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
        self.blocked.forget(&self.model);
        let (then_ns, calls) = self.sampled;
        let past_ns = now_ns.saturating_sub(then_ns);
        if past_ns < RATE_NS {
            return;
        }
        let first = then_ns == 0;
        let rate = |now: u64, then: u64| {
            let a_second = u128::from(now.saturating_sub(then)) * 1_000_000_000 / u128::from(past_ns);
            if first { 0 } else { u64::try_from(a_second).unwrap_or(u64::MAX) }
        };
        let mut totals = HashMap::new();
        self.rates.clear();
        for connection in self.model.connections() {
            let now = (connection.sent.bytes, connection.received.bytes);
            let then = self.totals.get(&connection.id).copied().unwrap_or_default();
            let one = Rate { sent: rate(now.0, then.0), received: rate(now.1, then.1) };
            if one.sum() > 0 {
                self.rates.insert(connection.id, one);
            }
            // What is over gives no rate any more.
            if connection.ending == Ending::Open {
                totals.insert(connection.id, now);
            } else if one.sum() > 0 || self.totals.contains_key(&connection.id) {
                self.rates.remove(&connection.id);
            }
        }
        self.totals = totals;
        self.call_rate = rate(self.calls, calls);
        self.sampled = (now_ns, self.calls);
    }

    pub fn rate(&self, id: ConnId) -> Rate {
        self.rates.get(&id).copied().unwrap_or_default()
    }

    /// The last calls of a connection.
    pub fn last_calls(&self, id: ConnId) -> impl Iterator<Item = &CallInfo> {
        self.last.get(&id).into_iter().flatten()
    }

    /// Connections whose calls are remembered.
    #[cfg(test)]
    pub fn remembered(&self) -> usize {
        self.last.len()
    }

    /// The connections that are shown, in order.
    pub fn shown(&self) -> Vec<&Connection> {
        let filter = self.filter.to_lowercase();
        let mut shown: Vec<&Connection> =
            self.model.connections().filter(|connection| self.matches(connection, &filter)).collect();
        let bytes = |connection: &Connection| connection.sent.bytes.saturating_add(connection.received.bytes);
        let open = |connection: &Connection| connection.ending == Ending::Open;
        let began = |connection: &Connection| connection.seen.map_or(0, |span| span.start_ns);
        match self.sort {
            Sort::Rate => shown.sort_by_cached_key(|c| Reverse((self.rate(c.id).sum(), open(c), bytes(c)))),
            Sort::Bytes => shown.sort_by_cached_key(|c| Reverse(bytes(c))),
            Sort::Time => shown.sort_by_cached_key(|c| Reverse(began(c))),
            Sort::Name => shown.sort_by_cached_key(|c| (c.program().to_owned(), other(c))),
        }
        shown
    }

    fn matches(&self, connection: &Connection, filter: &str) -> bool {
        if filter.is_empty() {
            return true;
        }
        let text = format!(
            "{} {} {} #{}",
            who(&self.model, connection),
            other(connection),
            stands(&self.model, connection).0,
            connection.id + 1
        );
        text.to_lowercase().contains(filter)
    }

    /// Moves the mark by so many lines.
    pub fn move_by(&mut self, lines: isize) {
        let shown: Vec<ConnId> = self.shown().iter().map(|connection| connection.id).collect();
        let at = self.position(&shown);
        let to = at.saturating_add_signed(lines).min(shown.len().saturating_sub(1));
        (self.place, self.selected) = (to, shown.get(to).copied());
    }

    /// Where the mark stands: at its connection, or where that was.
    pub fn position(&self, shown: &[ConnId]) -> usize {
        let at = self.selected.and_then(|id| shown.iter().position(|other| *other == id));
        at.unwrap_or(self.place).min(shown.len().saturating_sub(1))
    }
}

/// Who is at the other end, by its name if it was resolved; of a listener where it listens. Shorter than in a report:
/// a line has little room.
pub fn other(connection: &Connection) -> String {
    let place = |address: Address<'_>| match (address.unix_path(), &connection.peer_name, address.port()) {
        (Some([]), ..) => None,
        (_, Some(name), Some(port)) if connection.role != Role::Listener => {
            Some(format!("{}:{port}", safe(name.strip_suffix(b"\0").unwrap_or(name))))
        }
        _ => Some(address.to_string()),
    };
    let local = connection.local_address();
    if connection.role == Role::Listener {
        return local.and_then(place).map_or("listener".into(), |local| format!("on {local}"));
    }
    let datagram = || connection.datagram_peers.first().map(|peer| Address(&peer.address));
    let peer = connection.peer_address().or_else(datagram).and_then(place);
    peer.or_else(|| Some(format!("at {}", place(local?)?))).unwrap_or_else(|| connection.role.name().to_owned())
}

/// The phase that a connection is in, or how it ended; and which of the phases gives it its color, if it is open.
pub fn stands(model: &Model, connection: &Connection) -> (&'static str, Option<Phase>) {
    if connection.ending != Ending::Open {
        return (model.verdict(connection).word(), None);
    }
    let phase = match connection {
        _ if connection.role == Role::Listener => return ("listening", Some(Phase::Connect)),
        _ if matches!(connection.connect, Connect::Failed(_)) => return (model.verdict(connection).word(), None),
        _ if connection.connect == Connect::Pending => return ("connecting", Some(Phase::Connect)),
        _ if connection.phases.disconnect.is_some() => Phase::Disconnect,
        _ if connection.phases.communicate.is_some() => Phase::Communicate,
        _ if connection.is_connected() => return ("connected", Some(Phase::Connect)),
        _ => Phase::Create,
    };
    (phase.name(), Some(phase))
}
