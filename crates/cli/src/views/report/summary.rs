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
/// Where the values begin.
const COLUMN: usize = 12;

/// Prints it. `title` is what the trace is called.
pub fn print(out: &mut dyn Write, scene: &Scene<'_>, items: &[Item<'_>], title: &str, calls: u64) -> io::Result<()> {
    let model = scene.model;
    let all: Vec<&Connection> = items.iter().flat_map(Item::ends).collect();
    heading(out, scene, title, calls)?;
    let mut line = |label: &str, style: Style, text: &str| {
        let mut first = Row::of(palette::FAINT, format!("  {label}"));
        first.to_column(COLUMN);
        wrapped(out, first, COLUMN, scene.width, style, text)
    };
    let plain = Style::new();
    line("sockets", plain, &kinds(items))?;
    if let Some(text) = peers(items, scene.width.saturating_sub(COLUMN)) {
        line("to whom", plain, &text)?;
    }
    if let Some(text) = slowest(items) {
        line("slowest", plain, &text)?;
    }
    let mut fine: Vec<String> = Vec::new();
    match ids(&all, |conn| model.verdict(conn).is_failure()) {
        failed if failed.is_empty() && all.is_empty() => {}
        failed if failed.is_empty() => fine.push("nothing failed".into()),
        _ => line("failed", palette::ERROR, &failures(model, &all))?,
    }
    match ids(&all, |conn| model.verdict(conn) == Verdict::Leaked) {
        leaked if leaked.is_empty() => {}
        leaked => line("leaked", palette::WARNING, &format!("{} never closed", numbers(&leaked)))?,
    }
    let open = ids(&all, |conn| model.verdict(conn) == Verdict::Open);
    if !open.is_empty() {
        line("open", plain, &numbers(&open))?;
    }
    if !all.is_empty() && all.iter().all(|conn| !matches!(model.verdict(conn), Verdict::Leaked | Verdict::Open)) {
        fine.push("all was closed".into());
    }
    let around = around(model, &all);
    match around.is_empty() {
        false => line("unseen", palette::WARNING, &around.join("; "))?,
        true => match seen_whole(model, &all) {
            (_, 0) | (0, _) => {}
            (whole, all) if whole == all => fine.push("every byte of TCP was seen".into()),
            (whole, all) => {
                fine.push(format!("every byte of {} of {} was seen", thousands(whole), count(all, "TCP connection")));
            }
        },
    }
    if let [first, rest @ ..] = model.injected() {
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
    let habits = habits(scene, &all);
    if !habits.is_empty() {
        line("lints", palette::WARNING, &habits)?;
    }
    if !fine.is_empty() {
        line("fine", palette::FAINT, &fine.join(", "))?;
    }
    Ok(())
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

/// `7: 3 pipes with both their ends, 1 listener`.
fn kinds(items: &[Item<'_>]) -> String {
    let mut kinds: BTreeMap<(u8, &str), u64> = BTreeMap::new();
    for item in items {
        let kind = match (item.far, item.near.role) {
            (Some(_), _) => (0, "pipe"),
            (_, Role::Active) => (1, "outgoing"),
            (_, Role::Passive) => (2, "accepted"),
            (_, Role::Listener) => (3, "listener"),
            (_, Role::Datagram) => (4, "for datagrams"),
            (_, Role::Pair) => (5, "of a pair"),
            (_, Role::Unknown) => (6, "not connected"),
        };
        *kinds.entry(kind).or_default() += 1;
    }
    let total: usize = items.iter().map(|item| item.ends().count()).sum();
    let words = kinds.into_iter().map(|((_, word), number)| match word {
        "pipe" if number == 1 => "1 pipe with both its ends".into(),
        "pipe" => format!("{} pipes with both their ends", thousands(number)),
        "listener" => count(number, word),
        _ => format!("{} {word}", thousands(number)),
    });
    let words: Vec<String> = words.collect();
    match total {
        0 => "none".into(),
        _ => format!("{}: {}", thousands(total as u64), words.join(", ")),
    }
}

/// The peers, those of most connections first.
fn peers(items: &[Item<'_>], columns: usize) -> Option<String> {
    let mut peers: BTreeMap<String, u64> = BTreeMap::new();
    for item in items.iter().filter(|item| !matches!(item.near.role, Role::Listener | Role::Passive)) {
        if let Some(peer) = peer(item.near) {
            *peers.entry(peer).or_default() += 1;
        }
    }
    let mut sorted: Vec<(&String, &u64)> = peers.iter().collect();
    sorted.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    let named = sorted.iter().take(MOST).map(|(peer, number)| match number {
        1 => cut(peer, columns),
        _ => format!("{} ({})", cut(peer, columns.saturating_sub(8)), thousands(**number)),
    });
    let mut words: Vec<String> = named.collect();
    if sorted.len() > MOST {
        words.push(format!("{} more", thousands((sorted.len() - MOST) as u64)));
    }
    (!words.is_empty()).then(|| words.join(", "))
}

/// The connection that took longest to connect and answer.
fn slowest(items: &[Item<'_>]) -> Option<String> {
    let mut slow: Option<(u64, &Connection)> = None;
    for item in items.iter().filter(|item| item.near.role == Role::Active) {
        let phases = &item.near.phases;
        let connect = phases.connect.map_or(0, |span| span.duration_ns());
        let took = connect.saturating_add(item.near.first_byte_ns.unwrap_or(0));
        if slow.is_none_or(|(most, _)| took > most) {
            slow = Some((took, item.near));
        }
    }
    let (_, conn) = slow.filter(|(took, _)| *took > 0)?;
    let connect = Duration(conn.phases.connect.map_or(0, |span| span.duration_ns()));
    let to = peer(conn).map_or(String::new(), |peer| format!(" to {peer}"));
    Some(match conn.first_byte_ns {
        Some(first) => format!("{}{to}: connected in {connect}, first byte {} later", number(conn.id), Duration(first)),
        None => format!("{}{to}: {connect} connecting", number(conn.id)),
    })
}

fn ids(all: &[&Connection], is_it: impl Fn(&Connection) -> bool) -> Vec<usize> {
    let mut ids: Vec<usize> = all.iter().filter(|conn| is_it(conn)).map(|conn| conn.id).collect();
    ids.sort_unstable();
    ids
}

/// `2: #4, #9`.
fn numbers(ids: &[usize]) -> String {
    let mut named: Vec<String> = ids.iter().take(MOST).map(|id| number(*id)).collect();
    if ids.len() > MOST {
        named.push(format!("{} more", thousands((ids.len() - MOST) as u64)));
    }
    match ids {
        [_] => named.join(", "),
        _ => format!("{}: {}", thousands(ids.len() as u64), named.join(", ")),
    }
}

/// `1 refused (#7), 2 reset (#4, #5)`.
fn failures(model: &Model, all: &[&Connection]) -> String {
    let mut by_verdict: BTreeMap<Verdict, Vec<String>> = BTreeMap::new();
    for conn in all {
        let verdict = model.verdict(conn);
        if verdict.is_failure() {
            by_verdict.entry(verdict).or_default().push(number(conn.id));
        }
    }
    let words = by_verdict.into_iter().map(|(verdict, mut ids)| {
        let number = thousands(ids.len() as u64);
        if ids.len() > MOST {
            ids.truncate(MOST);
            ids.push("…".into());
        }
        format!("{number} {} ({})", verdict.word().replace('-', " "), ids.join(", "))
    });
    words.collect::<Vec<String>>().join(", ")
}

/// What passed around us, and who was not followed.
fn around(model: &Model, all: &[&Connection]) -> Vec<String> {
    let told = all.iter().filter_map(|conn| {
        let words = unseen::words(model, conn)?;
        Some(format!("{} {words}", number(conn.id)))
    });
    let mut words: Vec<String> = told.collect();
    if words.len() > MOST {
        let more = thousands((words.len() - MOST) as u64);
        words.truncate(MOST);
        words.push(format!("{more} more connections"));
    }
    match model.not_followed() {
        [] => {}
        [only] => words.push(format!("{} was not followed", unseen::program(only))),
        many => words.push(format!("{} programs were not followed", thousands(many.len() as u64))),
    }
    words
}

/// Of how many TCP connections that talked the kernel counted what the calls carried, and how many there are.
fn seen_whole(model: &Model, all: &[&Connection]) -> (u64, u64) {
    let tcp =
        |conn: &&&Connection| matches!(conn.domain, libc::AF_INET | libc::AF_INET6) && conn.kind == libc::SOCK_STREAM;
    let talked = |conn: &&&Connection| conn.role != Role::Listener && conn.is_connected();
    let whole = |conn: &Connection| {
        let nothing = |way| model.unseen(conn, way).is_some_and(|unseen| unseen.bytes == 0 && unseen.exact);
        nothing(Direction::Sent) && nothing(Direction::Received)
    };
    let talking: Vec<_> = all.iter().filter(tcp).filter(talked).collect();
    (talking.iter().filter(|conn| whole(conn)).count() as u64, talking.len() as u64)
}

/// `one-byte reads (2: #3, #5), busy loop (#4)`.
fn habits(scene: &Scene<'_>, all: &[&Connection]) -> String {
    let mut by_kind: BTreeMap<LintKind, Vec<usize>> = BTreeMap::new();
    for conn in all {
        for lint in scene.model.lints(conn, scene.zero_ns) {
            by_kind.entry(lint.kind).or_default().push(conn.id);
        }
    }
    let words = by_kind.into_iter().map(|(kind, ids)| format!("{} ({})", kind.name(), numbers(&ids)));
    words.collect::<Vec<String>>().join(", ")
}
