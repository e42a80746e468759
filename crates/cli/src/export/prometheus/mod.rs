//! Prometheus: what has been seen so far, as numbers with few labels. As a file of the end of a run, or from the tool while
//! the program runs ([`serve`]).
//!
//! No label has an address, a name or a pid: how many series there are does not depend on what the program does.

use std::collections::BTreeMap;
use std::io::{self, Write};

use sockshim_format::op::{Direction, Op};
use sockshim_format::record::FLAG_UNCLASSIFIED;
use sockshim_reader::model::{Connect, Connection, Ending, Role, Verdict};
use sockshim_reader::{CallInfo, Event, Model};

use super::{About, Ended, Exporter, Format, Known, keys};
pub use text::Flavor;
use text::{Histogram, Kind, Page};

pub mod serve;
mod text;

/// What the tool knows of this format.
pub const FORMAT: Format = Format {
    name: "prometheus",
    extension: "prom",
    about: "numbers of the whole run: node_exporter's textfile collector (run --metrics has them live)",
    example: "promtool check metrics < x.prom",
    is_binary: false,
    has_connections: false,
    looks_ahead: false,
    forgets: false,
    make: |_| Box::<Tally>::default(),
};

const ROLES: [Role; 6] = [Role::Active, Role::Passive, Role::Listener, Role::Pair, Role::Datagram, Role::Unknown];
const STATES: [&str; 6] = ["connecting", "connected", "listening", "idle", "closed", "leaked"];

/// Counts what the model does not.
#[derive(Default)]
pub struct Tally {
    start_ns: u64,
    /// By function and what became of them.
    calls: BTreeMap<(&'static str, &'static str), u64>,
    /// Connections that the model has forgotten.
    finished: Seen,
}

impl Exporter for Tally {
    fn begin(&mut self, about: &About<'_>, _: &mut dyn Write) -> io::Result<()> {
        self.start_ns = about.start_ns;
        Ok(())
    }

    fn event(&mut self, event: &Event, known: Known<'_>, _: &mut dyn Write) -> io::Result<()> {
        self.count(event, known.so_far);
        Ok(())
    }

    fn end(&mut self, ended: &Ended<'_>, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.tell(ended.model, ended.lost, 0, Flavor::Plain).as_bytes())
    }
}

impl Tally {
    /// Counts an event that the model has been fed with.
    fn count(&mut self, event: &Event, model: &Model) {
        let Event::Call(call) = event else { return };
        // Nothing has shown that it was about a socket.
        if call.commit().flags & FLAG_UNCLASSIFIED != 0 && model.of_call(call).is_none() {
            return;
        }
        *self.calls.entry((call.op().map_or("other", Op::name), result(call))).or_default() += 1;
    }

    /// Keeps what connections come to that have finished, and lets the model forget them.
    fn forget(&mut self, model: &mut Model) {
        for conn in model.finished().iter().filter_map(|id| model.connection(*id)) {
            self.finished.add(conn, model);
        }
        model.forget(|_| false);
    }

    /// All of it. `behind` is how many events were not counted.
    fn tell(&self, model: &Model, lost: u64, behind: u64, flavor: Flavor) -> String {
        let seen = self.finished.and_all(model);
        let mut page = Page::new(flavor);

        page.family("sockshim_build_info", Kind::Gauge, "What tells these numbers.")
            .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        page.family("sockshim_start_time_seconds", Kind::Gauge, "When the run began, since the epoch.")
            .seconds(&[], self.start_ns.into());

        let mut calls = page.family("sockshim_calls", Kind::Counter, "Calls that are over, by function and result.");
        for ((function, result), count) in &self.calls {
            calls.sample(&[("function", function), ("result", result)], *count);
        }
        let mut connections =
            page.family("sockshim_connections", Kind::Gauge, "Sockets seen so far, by role and state.");
        for (role, states) in ROLES.iter().zip(seen.states) {
            for (state, count) in STATES.iter().zip(states) {
                connections.sample(&[("role", role.name()), ("state", state)], count);
            }
        }
        let mut verdicts =
            page.family("sockshim_connections_by_verdict", Kind::Gauge, "Sockets seen so far, by how they end.");
        for (verdict, count) in Verdict::ALL.iter().zip(seen.verdicts) {
            verdicts.sample(&[("verdict", verdict.word())], count);
        }
        page.family("sockshim_connections_opened", Kind::Counter, "Sockets seen so far.").sample(&[], seen.opened);
        page.family("sockshim_connections_closed", Kind::Counter, "Sockets that are gone, closed or left behind.")
            .sample(&[], seen.closed);

        for (name, kind, help, bytes) in [
            ("sockshim_bytes", Kind::Counter, "Bytes that calls sent and received.", seen.bytes),
            ("sockshim_unseen_bytes", Kind::Gauge, "Bytes that passed around the calls, at least.", seen.unseen),
        ] {
            let mut both = page.family(name, kind, help);
            for (direction, bytes) in ["transmit", "receive"].iter().zip(bytes) {
                both.sample(&[("direction", direction)], bytes);
            }
        }
        let mut connect =
            page.family("sockshim_connect_seconds", Kind::Histogram, "How long clients took to connect, or to fail.");
        for (outcome, histogram) in ["connected", "failed"].iter().zip(&seen.connect) {
            connect.histogram(("outcome", outcome), histogram);
        }
        let help = "From connected to the first byte received.";
        let mut first_byte = page.family("sockshim_first_byte_seconds", Kind::Histogram, help);
        for (role, histogram) in [Role::Active, Role::Passive].iter().zip(&seen.first_byte) {
            first_byte.histogram(("role", role.name()), histogram);
        }
        page.family("sockshim_processes", Kind::Gauge, "Traced processes that run.").sample(&[], seen.processes);
        page.family("sockshim_lost_calls", Kind::Counter, "Calls that could not be recorded.").sample(&[], lost);
        page.family("sockshim_uncounted_events", Kind::Counter, "Events that came too fast to be counted here.")
            .sample(&[], behind);
        page.end()
    }
}

/// What the connections of a model come to.
#[derive(Clone, Default)]
struct Seen {
    /// By role and state.
    states: [[u64; STATES.len()]; ROLES.len()],
    verdicts: [u64; Verdict::ALL.len()],
    opened: u64,
    closed: u64,
    /// Sent, received.
    bytes: [u64; 2],
    unseen: [u64; 2],
    /// That were connected, that failed.
    connect: [Histogram; 2],
    /// Of clients, of servers.
    first_byte: [Histogram; 2],
    processes: u64,
}

impl Seen {
    fn and_all(&self, model: &Model) -> Seen {
        let mut seen = self.clone();
        for conn in model.connections() {
            seen.add(conn, model);
        }
        seen.processes =
            model.processes().filter(|(_, process)| !process.gone && process.info.is_some()).count() as u64;
        seen
    }

    fn add(&mut self, conn: &Connection, model: &Model) {
        let (role, state) = (ROLES.iter().position(|role| *role == conn.role), state(conn));
        let state_at = STATES.iter().position(|other| *other == state);
        if let Some(count) = role.zip(state_at).and_then(|(role, state)| self.states.get_mut(role)?.get_mut(state)) {
            *count += 1;
        }
        let verdict = model.verdict(conn);
        let counts = Verdict::ALL.iter().zip(&mut self.verdicts).find(|(other, _)| **other == verdict);
        counts.into_iter().for_each(|(_, count)| *count += 1);
        self.opened += 1;
        self.closed += u64::from(conn.ending != Ending::Open);
        let [sent, received] = &mut self.bytes;
        *sent = sent.saturating_add(conn.sent.bytes);
        *received = received.saturating_add(conn.received.bytes);
        for (direction, sum) in [Direction::Sent, Direction::Received].into_iter().zip(&mut self.unseen) {
            *sum = sum.saturating_add(model.unseen(conn, direction).map_or(0, |unseen| unseen.bytes));
        }
        let [connected, failed] = &mut self.connect;
        match (conn.role, conn.phases.connect, conn.connect) {
            (Role::Active, Some(span), Connect::Done) => connected.add(span.duration_ns()),
            (Role::Active, Some(span), Connect::Failed(_)) => failed.add(span.duration_ns()),
            _ => {}
        }
        let [clients, servers] = &mut self.first_byte;
        match (conn.role, conn.first_byte_ns) {
            (Role::Active, Some(ns)) => clients.add(ns),
            (Role::Passive, Some(ns)) => servers.add(ns),
            _ => {}
        }
    }
}

fn state(conn: &Connection) -> &'static str {
    match (conn.ending, conn.role, conn.connect) {
        (Ending::Closed(_), ..) => "closed",
        (Ending::Leaked(_), ..) => "leaked",
        (_, Role::Listener, _) => "listening",
        (_, _, Connect::Pending) => "connecting",
        _ if conn.is_connected() => "connected",
        _ => "idle",
    }
}

/// What became of a call, in one word of few.
fn result(call: &CallInfo) -> &'static str {
    let resolves = matches!(call.op().map(Op::base), Some(Op::Getaddrinfo | Op::Getnameinfo));
    match (call.call.errno, call.call.ret) {
        (0, ret) if resolves && ret != 0 => "unresolved",
        (0, _) => "ok",
        // What non-blocking programs live with.
        (errno, _) => keys::error_type(errno).unwrap_or("again"),
    }
}

#[cfg(test)]
mod tests;
