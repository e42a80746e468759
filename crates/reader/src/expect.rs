//! Whether it all is as expected, for `sockshim check` and for tests that ask in process. What does not hold is told in
//! plain words, with the connection that it does not hold for.

use crate::model::words::{count, thousands};
use crate::model::{Connect, Connection, Ending, FirstToClose, Model, Role, Span, Verdict};
use crate::tell::{Item, story};
use sockshim_format::address::{Address, Ip};
use sockshim_format::line::Duration;
use sockshim_format::op::Phase;
use std::fmt;

mod parse;
#[cfg(test)]
mod tests;
pub use parse::{expectation, lines, nanoseconds, one};

/// Names that are listed where one is missing; the others are counted.
const MOST: usize = 10;

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that connected.
    Client,
    /// The one that was accepted.
    Server,
}

impl Side {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Side::Client => "client",
            Side::Server => "server",
        }
    }
}

/// Something that is expected. What each means is told in the help of `sockshim check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// `no-leaks`
    NoLeaks,
    /// `no-errors`
    NoErrors,
    /// `no-lints`
    NoLints,
    /// `max-connect 50ms`, and so for each phase.
    MaxPhase(Phase, u64),
    /// `max-first-byte 50ms`
    MaxFirstByte(u64),
    /// `connects-to localhost:8080`, `connects-to localhost:8080 x3`
    ConnectsTo(String, Option<u64>),
    /// `writes-first client`
    WritesFirst(Side),
    /// `closes-first server`
    ClosesFirst(Side),
    /// `connections 3`
    Connections(u64),
    /// `all-seen`
    AllSeen,
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expectation::NoLeaks => f.write_str("no-leaks"),
            Expectation::NoErrors => f.write_str("no-errors"),
            Expectation::NoLints => f.write_str("no-lints"),
            Expectation::MaxPhase(phase, ns) => write!(f, "max-{} {}", phase.name(), Duration(*ns)),
            Expectation::MaxFirstByte(ns) => write!(f, "max-first-byte {}", Duration(*ns)),
            Expectation::ConnectsTo(target, None) => write!(f, "connects-to {target}"),
            Expectation::ConnectsTo(target, Some(times)) => write!(f, "connects-to {target} x{times}"),
            Expectation::WritesFirst(side) => write!(f, "writes-first {}", side.word()),
            Expectation::ClosesFirst(side) => write!(f, "closes-first {}", side.word()),
            Expectation::Connections(number) => write!(f, "connections {number}"),
            Expectation::AllSeen => f.write_str("all-seen"),
        }
    }
}

/// An expectation, and of which connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// What is expected.
    pub what: Expectation,
    /// Only of those whose server this is, by name or by address: `no-leaks to localhost:8080`.
    pub to: Option<String>,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what.fmt(f)?;
        self.to.iter().try_for_each(|to| write!(f, " to {to}"))
    }
}

/// Something that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// In words.
    pub text: String,
    /// The connection that it is about, by its number from 1.
    pub connection: Option<usize>,
}

impl From<String> for Wrong {
    fn from(text: String) -> Wrong {
        Wrong { text, connection: None }
    }
}

/// What expectations are compared with.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// What happened.
    pub model: &'a Model,
    /// The zero of times.
    pub zero_ns: u64,
    /// The connections that are meant.
    pub meant: &'a dyn Fn(&Connection) -> bool,
    /// Whether nothing more will happen. If not, what is open by now has leaked.
    pub over: bool,
    /// What passed around sockshim on a connection, in words.
    pub unseen: &'a dyn Fn(&Connection) -> Option<String>,
    /// Programs that were not followed, in words.
    pub not_followed: &'a dyn Fn() -> Vec<String>,
}

impl Scene<'_> {
    /// What does not hold; nothing, if all is as expected.
    pub fn wrong(&self, expected: &Expected) -> Vec<Wrong> {
        match &expected.to {
            None => self.of_all(&expected.what),
            Some(to) => {
                let meant = |conn: &Connection| (self.meant)(conn) && serves(conn, to);
                Scene { meant: &meant, ..*self }.of_all(&expected.what)
            }
        }
    }

    fn of_all(&self, expected: &Expectation) -> Vec<Wrong> {
        let model = self.model;
        match expected {
            Expectation::NoLeaks => self.of(&|conn| {
                let open = !self.over && conn.ending == Ending::Open;
                match model.verdict(conn) {
                    Verdict::Leaked => Some(String::new()),
                    _ => open.then(|| "it is open; ".into()),
                }
            }),
            Expectation::NoErrors => self.of(&|conn| model.verdict(conn).is_failure().then(String::new)),
            Expectation::NoLints => self.of(&|conn| {
                let lints = model.lints(conn, self.zero_ns);
                let first = lints.first()?;
                Some(format!("{}: {}; ", first.kind.name(), first.fact))
            }),
            Expectation::MaxPhase(phase, most_ns) => self.of(&|conn| {
                let took_ns = span(conn, *phase)?.duration_ns();
                let slow = || format!("it took {} to {}; ", Duration(took_ns), phase.name());
                (took_ns > *most_ns).then(slow)
            }),
            Expectation::MaxFirstByte(most_ns) => self.of(&|conn| {
                let took_ns = conn.first_byte_ns.filter(|_| conn.role == Role::Active)?;
                (took_ns > *most_ns).then(|| format!("its first byte came after {}; ", Duration(took_ns)))
            }),
            Expectation::ConnectsTo(target, times) => self.connects_to(target, *times),
            Expectation::WritesFirst(side) => {
                self.sides(*side, "wrote first; ", &|end| match (end.sent.first_ns, end.received.first_ns) {
                    (None, None) => None,
                    (Some(sent_ns), Some(received_ns)) => Some(sent_ns < received_ns),
                    (sent, None) => Some(sent.is_some()),
                    (None, Some(_)) => Some(false),
                })
            }
            Expectation::ClosesFirst(side) => self.sides(*side, "", &|end| match model.closed_first(end) {
                FirstToClose::Us | FirstToClose::UsReset => Some(true),
                FirstToClose::Peer | FirstToClose::Reset => Some(false),
                FirstToClose::Both | FirstToClose::Nobody | FirstToClose::Unknown => None,
            }),
            Expectation::Connections(wanted) => {
                let there = self.items().count() as u64;
                let wrong = (there != *wanted).then(|| format!("there were {}", thousands(there)).into());
                wrong.into_iter().collect()
            }
            Expectation::AllSeen => {
                let mut wrong = self.of(&|conn| (self.unseen)(conn).map(|words| format!("{words}; ")));
                if model.lost() > 0 {
                    wrong.push(format!("{} were lost while it was recorded", count(model.lost(), "call")).into());
                }
                wrong.extend((self.not_followed)().into_iter().map(|who| format!("not followed: {who}").into()));
                wrong
            }
        }
    }

    fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.model.connections().filter(|conn| (self.meant)(conn))
    }

    /// Each connection for which something does not hold, and what that is, beyond its story.
    fn of(&self, wrong: &dyn Fn(&Connection) -> Option<String>) -> Vec<Wrong> {
        self.connections().filter_map(|conn| Some(self.story(conn, &wrong(conn)?))).collect()
    }

    fn story(&self, conn: &Connection, wrong: &str) -> Wrong {
        Wrong { text: story(self.model, conn, self.zero_ns, wrong), connection: Some(conn.id + 1) }
    }

    /// Connections of a client and a server; with both its ends in the trace it is one.
    fn items(&self) -> impl Iterator<Item = Item<'_>> {
        let ends = self.connections().filter(|conn| matches!(conn.role, Role::Active | Role::Passive));
        let items = ends.filter(|conn| conn.is_connected()).map(|conn| (conn, Item::of(self.model, conn)));
        // The near end speaks for both, unless only the other one is meant.
        let speaks = |(conn, item): &(&Connection, Item<'_>)| item.near.id == conn.id || !(self.meant)(item.near);
        items.filter(speaks).map(|(_, item)| item)
    }

    /// Items for which `ours` does not say of `side` that it was the first. `did` is what, if their sentence is not about it.
    fn sides(&self, side: Side, did: &str, ours: &dyn Fn(&Connection) -> Option<bool>) -> Vec<Wrong> {
        let wrong = self.items().filter_map(|item| {
            let first = item.ends().find_map(|end| {
                let client = end.role == Role::Active;
                ours(end).map(|us| if us == client { Side::Client } else { Side::Server })
            });
            let who = first.map_or("neither", Side::word);
            let wrong = if did.is_empty() { String::new() } else { format!("{who} {did}") };
            (first != Some(side)).then(|| self.story(item.near, &wrong))
        });
        wrong.collect()
    }

    fn connects_to(&self, target: &str, times: Option<u64>) -> Vec<Wrong> {
        let (mut there, mut found) = (Vec::new(), 0);
        for conn in self.connections().filter(|conn| matches!(conn.role, Role::Active | Role::Datagram)) {
            let done = conn.is_connected() || conn.role == Role::Datagram;
            let names = names(conn);
            found += u64::from(done && names.iter().any(|name| name == target));
            there.extend(names.into_iter().take(1).filter(|name| done && !there.contains(name)).collect::<Vec<_>>());
        }
        match times {
            None if found > 0 => return Vec::new(),
            Some(times) if found == times => return Vec::new(),
            Some(_) if found > 0 => return vec![format!("it was, {}", count(found, "time")).into()],
            _ => {}
        }
        let more = there.len().saturating_sub(MOST);
        there.truncate(MOST);
        let mut list = there.join(", ");
        if more > 0 {
            list += &format!(", and {} more", thousands(more as u64));
        }
        vec![if list.is_empty() {
            "nothing was connected to".to_owned().into()
        } else {
            format!("it was not; connected to were {list}").into()
        }]
    }
}

/// The phase of a connection, where it took time of the program's own choice.
fn span(conn: &Connection, phase: Phase) -> Option<Span> {
    match phase {
        Phase::Resolve => conn.phases.resolve,
        Phase::Create => conn.phases.create,
        Phase::Connect => {
            let active = !matches!(conn.role, Role::Passive | Role::Listener | Role::Datagram);
            conn.phases.connect.filter(|_| active && conn.connect != Connect::None)
        }
        Phase::Communicate => conn.phases.communicate,
        Phase::Disconnect => conn.phases.disconnect,
        _ => None,
    }
}

/// `localhost:8080`, `127.0.0.1:8080`, or a path: what the peer can be called.
fn names(connection: &Connection) -> Vec<String> {
    let Some(address) = connection.peer_address() else { return Vec::new() };
    let Some((ip, port)) = ip_and_port(address) else { return vec![address.to_string()] };
    let name = connection.peer_name.as_ref().map(|name| format!("{}:{port}", String::from_utf8_lossy(name)));
    name.into_iter().chain([address.to_string(), format!("{ip}:{port}")]).collect()
}

/// Whether the server of a connection is called so: its peer, or of a server's own sockets it itself.
fn serves(connection: &Connection, name: &str) -> bool {
    match connection.role {
        Role::Passive | Role::Listener => connection.local_address().is_some_and(|address| {
            let short = ip_and_port(address).map(|(ip, port)| format!("{ip}:{port}"));
            address.to_string() == name || short.is_some_and(|short| short == name)
        }),
        _ => names(connection).iter().any(|known| known == name),
    }
}

fn ip_and_port(address: Address<'_>) -> Option<(String, u16)> {
    Some((Ip(address.ip()?).to_string(), address.port()?))
}
