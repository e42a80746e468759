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
/// Names that are remembered for that.
const MOST_THERE: usize = 1 << 12;

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
    /// What the files lack of the run, in words: an end, say.
    pub lacking: &'a dyn Fn() -> Vec<String>,
}

impl Scene<'_> {
    /// What does not hold; nothing, if all is as expected.
    pub fn wrong(&self, expected: &Expected) -> Vec<Wrong> {
        let mut judge = Judge::new(expected.clone(), usize::MAX);
        self.model.connections().for_each(|conn| judge.take(self, conn));
        judge.end(self);
        judge.wrong
    }

    /// What is wrong with a connection by itself, beyond its story.
    fn of_one(&self, expected: &Expectation, conn: &Connection) -> Option<String> {
        let model = self.model;
        match expected {
            Expectation::NoLeaks => {
                let open = !self.over && conn.ending == Ending::Open;
                match model.verdict(conn) {
                    Verdict::Leaked => Some(String::new()),
                    _ => open.then(|| "it is open; ".into()),
                }
            }
            Expectation::NoErrors => model.verdict(conn).is_failure().then(String::new),
            Expectation::NoLints => {
                let lints = model.lints(conn, self.zero_ns);
                let first = lints.first()?;
                Some(format!("{}: {}; ", first.kind.name(), first.fact))
            }
            Expectation::MaxPhase(phase, most_ns) => {
                let took_ns = span(conn, *phase)?.duration_ns();
                let slow = || format!("it took {} to {}; ", Duration(took_ns), phase.name());
                (took_ns > *most_ns).then(slow)
            }
            Expectation::MaxFirstByte(most_ns) => {
                let took_ns = conn.first_byte_ns.filter(|_| conn.role == Role::Active)?;
                (took_ns > *most_ns).then(|| format!("its first byte came after {}; ", Duration(took_ns)))
            }
            Expectation::AllSeen => (self.unseen)(conn).map(|words| format!("{words}; ")),
            _ => None,
        }
    }

    fn story(&self, conn: &Connection, wrong: &str) -> Wrong {
        Wrong { text: story(self.model, conn, self.zero_ns, wrong), connection: Some(conn.id + 1) }
    }

    /// What a connection of a client and a server is; with both its ends in the trace it is one, and the near end
    /// speaks for both, unless only the other one is meant.
    fn item<'a>(&'a self, conn: &'a Connection, meant: &dyn Fn(&Connection) -> bool) -> Option<Item<'a>> {
        let is_end = matches!(conn.role, Role::Active | Role::Passive) && conn.is_connected();
        let item = is_end.then(|| Item::of(self.model, conn))?;
        (item.near.id == conn.id || !meant(item.near)).then_some(item)
    }

    /// Whether the near end wrote first, closed first.
    fn was_first(&self, expected: &Expectation, end: &Connection) -> Option<bool> {
        match expected {
            Expectation::WritesFirst(_) => match (end.sent.first_ns, end.received.first_ns) {
                (None, None) => None,
                (Some(sent_ns), Some(received_ns)) => Some(sent_ns < received_ns),
                (sent, None) => Some(sent.is_some()),
                (None, Some(_)) => Some(false),
            },
            _ => match self.model.closed_first(end) {
                FirstToClose::Us | FirstToClose::UsReset => Some(true),
                FirstToClose::Peer | FirstToClose::Reset => Some(false),
                FirstToClose::Both | FirstToClose::Nobody | FirstToClose::Unknown => None,
            },
        }
    }
}

/// An expectation, and what was found against it so far. Connections are looked at one by one, as they finish.
pub struct Judge {
    /// What is expected.
    pub expected: Expected,
    /// The first things that do not hold.
    pub wrong: Vec<Wrong>,
    /// How many there are.
    pub count: u64,
    /// Connections that were looked at.
    pub looked_at: u64,
    most: usize,
    /// Connections of the kind that is counted.
    found: u64,
    /// What was connected to instead.
    there: Vec<String>,
    /// The first of them at the port that was asked for, if libc was not asked for its name.
    nameless: Option<String>,
}

impl Judge {
    /// Nothing was looked at yet. At most so many of what does not hold are kept, the others are counted.
    pub fn new(expected: Expected, most: usize) -> Judge {
        let (count, looked_at, found) = (0, 0, 0);
        Judge { expected, wrong: Vec::new(), count, looked_at, most, found, there: Vec::new(), nameless: None }
    }

    fn add(&mut self, wrong: Wrong) {
        self.count += 1;
        if self.wrong.len() < self.most {
            self.wrong.push(wrong);
        }
    }

    /// Looks at a connection.
    pub fn take(&mut self, scene: &Scene<'_>, conn: &Connection) {
        let to = self.expected.to.as_deref();
        let meant = |conn: &Connection| (scene.meant)(conn) && to.is_none_or(|to| serves(conn, to));
        if !meant(conn) {
            return;
        }
        self.looked_at += 1;
        let wrong = match &self.expected.what {
            Expectation::ConnectsTo(target, _) => {
                let done = conn.is_connected() || conn.role == Role::Datagram;
                if done && matches!(conn.role, Role::Active | Role::Datagram) {
                    let names = names(conn);
                    self.found += u64::from(names.iter().any(|name| name == target));
                    if self.nameless.is_none() && conn.peer_name.is_none() && is_of_port(target, conn) {
                        self.nameless = names.first().cloned();
                    }
                    let first = names.into_iter().next().filter(|name| !self.there.contains(name));
                    self.there.extend(first.filter(|_| self.there.len() < MOST_THERE));
                }
                None
            }
            Expectation::Connections(_) => {
                self.found += u64::from(scene.item(conn, &meant).is_some());
                None
            }
            what @ (Expectation::WritesFirst(side) | Expectation::ClosesFirst(side)) => {
                scene.item(conn, &meant).and_then(|item| {
                    let first = item.ends().find_map(|end| {
                        let client = end.role == Role::Active;
                        scene.was_first(what, end).map(|us| if us == client { Side::Client } else { Side::Server })
                    });
                    let wrong = match what {
                        Expectation::WritesFirst(_) => format!("{} wrote first; ", first.map_or("neither", Side::word)),
                        // The story says who.
                        _ => String::new(),
                    };
                    (first != Some(*side)).then(|| scene.story(item.near, &wrong))
                })
            }
            what => scene.of_one(what, conn).map(|wrong| scene.story(conn, &wrong)),
        };
        wrong.into_iter().for_each(|wrong| self.add(wrong));
    }

    /// There are no more.
    pub fn end(&mut self, scene: &Scene<'_>) {
        let model = scene.model;
        let mut wrong: Vec<String> = Vec::new();
        match &self.expected.what {
            Expectation::ConnectsTo(target, times) => wrong.extend(self.not_connected(target, *times)),
            Expectation::Connections(wanted) if *wanted != self.found => {
                wrong.push(format!("there were {}", thousands(self.found)));
            }
            Expectation::AllSeen => {
                if model.lost() > 0 {
                    wrong.push(format!("{} were lost while it was recorded", count(model.lost(), "call")));
                }
                if model.left_out() > 0 {
                    wrong.push(format!(
                        "{} left out, as a filter of the program asked",
                        count(model.left_out(), "call")
                    ));
                }
                wrong.extend((scene.lacking)());
                wrong.extend((scene.not_followed)().into_iter().map(|who| format!("not followed: {who}")));
            }
            _ => {}
        }
        wrong.into_iter().for_each(|wrong| self.add(wrong.into()));
    }

    fn not_connected(&self, target: &str, times: Option<u64>) -> Option<String> {
        match times {
            None if self.found > 0 => return None,
            Some(times) if self.found == times => return None,
            Some(_) if self.found > 0 => return Some(format!("it was, {}", count(self.found, "time"))),
            _ => {}
        }
        let mut list = self.there.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = self.there.len().saturating_sub(MOST);
        if more > 0 {
            list += &format!(", and {} more", thousands(more as u64));
        }
        let hint = self.nameless.as_ref().map_or(String::new(), |address| {
            let name = target.rsplit_once(':').map_or(target, |(name, _)| name);
            let why = if name == "localhost" { " (curl, for one, knows it without)" } else { "" };
            format!("; nobody asked libc for {name}{why}: if {address} is meant, expect connects-to {address}")
        });
        Some(match list.as_str() {
            "" => "nothing was connected to".to_owned(),
            list => format!("it was not; connected to were {list}{hint}"),
        })
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

/// Whether what is asked for is a name, and the peer has the port behind it.
fn is_of_port(target: &str, connection: &Connection) -> bool {
    let Some((host, port)) = target.rsplit_once(':') else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_name = !host.is_empty() && host.parse::<std::net::IpAddr>().is_err();
    let peer = connection.peer_address().and_then(ip_and_port);
    is_name && peer.is_some_and(|(_, peer)| port.parse() == Ok(peer))
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
