//! What a person wants to know first: how many connections, to whom, the slowest, what failed, what leaked,
//! what was not seen, what was lost.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use anstyle::Style;
use sockshim_format::line::Duration;
use sockshim_format::op::Direction;
use sockshim_reader::Model;
use sockshim_reader::model::{Connection, LintKind, Role, Verdict};
use sockshim_reader::stitch::Offset;

use super::row::{Row, cut, wrapped};
use super::{Item, Scene, number, peer};
use crate::palette;
use crate::views::{count, thousands, unseen};

/// Peers, and numbers of connections, that are named before the rest is counted.
const MOST: usize = 4;
/// Peers that are told apart.
const MOST_PEERS: usize = 1 << 14;
/// Where the values begin.
const COLUMN: usize = 12;

/// What is told of all connections, gathered one by one: few numbers, however many there are.
#[derive(Default)]
pub struct Summary {
    /// Sockets, and of items by what they are.
    sockets: u64,
    kinds: BTreeMap<(u8, &'static str), u64>,
    /// Items by their peers, as many as are told apart, and how many others.
    peers: BTreeMap<String, u64>,
    other_peers: u64,
    slowest: Option<(u64, String)>,
    failed: BTreeMap<Verdict, (u64, Vec<String>)>,
    leaked: Numbers,
    open: Numbers,
    around: (u64, Vec<String>),
    /// TCP connections that talked, and those of which every byte was seen.
    talked: u64,
    whole: u64,
    habits: BTreeMap<LintKind, Numbers>,
}

/// How many connections, and the first of them.
#[derive(Default)]
struct Numbers {
    count: u64,
    first: Vec<usize>,
}

impl Numbers {
    fn add(&mut self, id: usize) {
        self.count += 1;
        let at = self.first.partition_point(|first| *first < id);
        self.first.insert(at, id);
        self.first.truncate(MOST);
    }

    /// `2: #4, #9`.
    fn words(&self) -> String {
        let mut named: Vec<String> = self.first.iter().map(|id| number(*id)).collect();
        let more = self.count.saturating_sub(named.len() as u64);
        if more > 0 {
            named.push(format!("{} more", thousands(more)));
        }
        match self.count {
            1 => named.join(", "),
            count => format!("{}: {}", thousands(count), named.join(", ")),
        }
    }
}

impl Summary {
    /// Of these items.
    pub fn of(scene: &Scene<'_>, items: &[Item<'_>]) -> Summary {
        let mut summary = Summary::default();
        items.iter().for_each(|item| summary.add(scene, item));
        summary
    }

    /// Adds a connection, or a pipe.
    pub fn add(&mut self, scene: &Scene<'_>, item: &Item<'_>) {
        *self.kinds.entry(kind(item)).or_default() += 1;
        if let Some(peer) = peer(item.near).filter(|_| !matches!(item.near.role, Role::Listener | Role::Passive)) {
            if self.peers.len() < MOST_PEERS || self.peers.contains_key(&peer) {
                *self.peers.entry(peer).or_default() += 1;
            } else {
                self.other_peers += 1;
            }
        }
        if item.near.role == Role::Active {
            let connect = item.near.phases.connect.map_or(0, |span| span.duration_ns());
            let took = connect.saturating_add(item.near.first_byte_ns.unwrap_or(0));
            if took > self.slowest.as_ref().map_or(0, |(most, _)| *most) {
                self.slowest = Some((took, slow(item.near)));
            }
        }
        item.ends().for_each(|end| self.add_end(scene, end));
    }

    fn add_end(&mut self, scene: &Scene<'_>, conn: &Connection) {
        let (model, id) = (scene.model, conn.id);
        self.sockets += 1;
        match model.verdict(conn) {
            verdict if verdict.is_failure() => {
                let (count, first) = self.failed.entry(verdict).or_default();
                *count += 1;
                if first.len() < MOST {
                    first.push(number(id));
                }
            }
            Verdict::Leaked => self.leaked.add(id),
            Verdict::Open => self.open.add(id),
            _ => {}
        }
        if let Some(words) = unseen::words(model, conn) {
            self.around.0 += 1;
            if self.around.1.len() < MOST {
                self.around.1.push(format!("{} {words}", number(id)));
            }
        }
        let tcp = matches!(conn.domain, libc::AF_INET | libc::AF_INET6) && conn.kind == libc::SOCK_STREAM;
        if tcp && conn.role != Role::Listener && conn.is_connected() {
            let nothing = |way| model.unseen(conn, way).is_some_and(|unseen| unseen.bytes == 0 && unseen.exact);
            self.talked += 1;
            self.whole += u64::from(nothing(Direction::Sent) && nothing(Direction::Received));
        }
        for lint in model.lints(conn, scene.zero_ns) {
            self.habits.entry(lint.kind).or_default().add(id);
        }
    }

    /// Prints it. `title` is what the trace is called.
    pub fn print(&self, out: &mut dyn Write, scene: &Scene<'_>, title: &str, calls: u64) -> io::Result<()> {
        heading(out, scene, title, calls)?;
        let mut line = |label: &str, style: Style, text: &str| {
            let mut first = Row::of(palette::FAINT, format!("  {label}"));
            first.to_column(COLUMN);
            wrapped(out, first, COLUMN, scene.width, style, text)
        };
        let plain = Style::new();
        line("sockets", plain, &self.kinds())?;
        if let Some(text) = self.peers(scene.width.saturating_sub(COLUMN)) {
            line("to whom", plain, &text)?;
        }
        if let Some((_, text)) = &self.slowest {
            line("slowest", plain, text)?;
        }
        let mut fine: Vec<String> = Vec::new();
        match self.failed.is_empty() {
            true if self.sockets == 0 => {}
            true => fine.push("nothing failed".into()),
            false => line("failed", palette::ERROR, &self.failures())?,
        }
        if self.leaked.count > 0 {
            line("leaked", palette::WARNING, &format!("{} never closed", self.leaked.words()))?;
        }
        if self.open.count > 0 {
            line("open", plain, &self.open.words())?;
        }
        if self.sockets > 0 && self.leaked.count == 0 && self.open.count == 0 {
            fine.push("all was closed".into());
        }
        let around = self.around(scene.model);
        match around.is_empty() {
            false => line("unseen", palette::WARNING, &around.join("; "))?,
            true => match (self.whole, self.talked) {
                (_, 0) | (0, _) => {}
                (whole, all) if whole == all => fine.push("every byte of TCP was seen".into()),
                (whole, all) => {
                    let all = count(all, "TCP connection");
                    fine.push(format!("every byte of {} of {all} was seen", thousands(whole)));
                }
            },
        }
        if let [first, rest @ ..] = scene.model.injected() {
            let more = if rest.is_empty() {
                String::new()
            } else {
                format!("; {} of other kinds", count(rest.len() as u64, "fault"))
            };
            line("injected", palette::WARNING, &format!("{}{more}", first.words()))?;
        }
        let (lost, earlier) = scene.lost;
        match lost {
            0 => fine.push("no call was lost".into()),
            lost => line("lost", palette::WARNING, &count(lost, "call"))?,
        }
        if earlier > 0 {
            line("earlier", plain, &format!("{} of the run, which are not in what was read", count(earlier, "call")))?;
        }
        if !self.habits.is_empty() {
            let habits = self.habits.iter().map(|(kind, ids)| format!("{} ({})", kind.name(), ids.words()));
            line("lints", palette::WARNING, &habits.collect::<Vec<String>>().join(", "))?;
        }
        if !fine.is_empty() {
            line("fine", palette::FAINT, &fine.join(", "))?;
        }
        Ok(())
    }

    /// `7: 3 pipes with both their ends, 1 listener`.
    fn kinds(&self) -> String {
        let words = self.kinds.iter().map(|((_, word), number)| match *word {
            "pipe" if *number == 1 => "1 pipe with both its ends".into(),
            "pipe" => format!("{} pipes with both their ends", thousands(*number)),
            "listener" => count(*number, word),
            _ => format!("{} {word}", thousands(*number)),
        });
        let words: Vec<String> = words.collect();
        match self.sockets {
            0 => "none".into(),
            total => format!("{}: {}", thousands(total), words.join(", ")),
        }
    }

    /// The peers, those of most connections first.
    fn peers(&self, columns: usize) -> Option<String> {
        let mut sorted: Vec<(&String, &u64)> = self.peers.iter().collect();
        sorted.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
        let named = sorted.iter().take(MOST).map(|(peer, number)| match number {
            1 => cut(peer, columns),
            _ => format!("{} ({})", cut(peer, columns.saturating_sub(8)), thousands(**number)),
        });
        let mut words: Vec<String> = named.collect();
        let more = (sorted.len() as u64).saturating_sub(MOST as u64);
        match self.other_peers {
            0 if more == 0 => {}
            0 => words.push(format!("{} more", thousands(more))),
            others => words.push(format!("{} more, and {} to others", thousands(more), thousands(others))),
        }
        (!words.is_empty()).then(|| words.join(", "))
    }

    /// `1 refused (#7), 2 reset (#4, #5)`.
    fn failures(&self) -> String {
        let words = self.failed.iter().map(|(verdict, (count, first))| {
            let more = if *count > first.len() as u64 { ", …" } else { "" };
            format!("{} {} ({}{more})", thousands(*count), verdict.word().replace('-', " "), first.join(", "))
        });
        words.collect::<Vec<String>>().join(", ")
    }

    /// What passed around us, and who was not followed.
    fn around(&self, model: &Model) -> Vec<String> {
        let (count, mut words) = (self.around.0, self.around.1.clone());
        let more = count.saturating_sub(words.len() as u64);
        if more > 0 {
            words.push(format!("{} more connections", thousands(more)));
        }
        match model.not_followed() {
            [] => {}
            [only] => words.push(format!("{} was not followed", unseen::program(only))),
            many => words.push(format!("{} programs were not followed", thousands(many.len() as u64))),
        }
        words
    }
}

/// Prints by how much the clock of another run is ahead of the first run's.
pub fn clock(out: &mut dyn Write, scene: &Scene<'_>, first: &str, name: &str, clock: Option<Offset>) -> io::Result<()> {
    let words = match clock {
        None => format!("no pipe between {name} and {first}: their times are told as they are"),
        Some(Offset { ns, within_ns, pipes }) => {
            let ahead = match ns {
                0 => format!("{name} and {first} agree"),
                1.. => format!("{name} is {} ahead of {first}", difference(ns)),
                _ => format!("{name} is {} behind {first}", difference(ns)),
            };
            let within = match within_ns {
                Some(within) => format!("to within {}", Duration(within)),
                None => "but bytes went in one direction only, so it may be any more".into(),
            };
            format!("{ahead}, {within} ({})", count(pipes as u64, "pipe"))
        }
    };
    let mut row = Row::of(palette::FAINT, "  clocks");
    row.to_column(COLUMN);
    wrapped(out, row, COLUMN, scene.width, Style::new(), &words)
}

/// To the microsecond, however much it is: that is what `to within` is about.
fn difference(ns: i64) -> String {
    match ns.unsigned_abs() {
        ns @ 1_000_000_000.. => format!("{}.{:06} s", ns / 1_000_000_000, ns / 1000 % 1_000_000),
        ns => Duration(ns).to_string(),
    }
}

fn heading(out: &mut dyn Write, scene: &Scene<'_>, title: &str, calls: u64) -> io::Result<()> {
    let model = scene.model;
    let pids: BTreeSet<u32> = model.processes().filter_map(|(_, p)| (p.pid != 0).then_some(p.pid)).collect();
    let processes =
        if pids.len() == 1 { "1 process".into() } else { format!("{} processes", thousands(pids.len() as u64)) };
    let took = model.span().map_or(0, |span| span.end_ns.saturating_sub(scene.zero_ns));
    let rest = format!("  {} of {processes} in {}", count(calls, "call"), Duration(took));
    let title = cut(title, scene.width.saturating_sub(rest.chars().count()));
    Row::of(palette::STRONG, title).with(palette::FAINT, rest).print(out)
}

/// What an item is, and its place in the list.
fn kind(item: &Item<'_>) -> (u8, &'static str) {
    match (item.far, item.near.role) {
        (Some(_), _) => (0, "pipe"),
        (_, Role::Active) => (1, "outgoing"),
        (_, Role::Passive) => (2, "accepted"),
        (_, Role::Listener) => (3, "listener"),
        (_, Role::Datagram) => (4, "for datagrams"),
        (_, Role::Pair) => (5, "of a pair"),
        (_, Role::Unknown) => (6, "not connected"),
    }
}

/// How long it took to connect and answer.
fn slow(conn: &Connection) -> String {
    let connect = Duration(conn.phases.connect.map_or(0, |span| span.duration_ns()));
    let to = peer(conn).map_or(String::new(), |peer| format!(" to {peer}"));
    match conn.first_byte_ns {
        Some(first) => format!("{}{to}: connected in {connect}, first byte {} later", number(conn.id), Duration(first)),
        None => format!("{}{to}: {connect} connecting", number(conn.id)),
    }
}
