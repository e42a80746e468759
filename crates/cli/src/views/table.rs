//! One line per connection: process, ends, how long each phase took, what passed, who hung up.

use std::collections::BTreeSet;
use std::io::{self, Write};

use sockshim_format::errno::errno_name;
use sockshim_format::line::{Duration, Named};
use sockshim_format::op::Op;
use sockshim_reader::Model;
use sockshim_reader::model::{Connect, Connection, Ending, FirstToClose, Role, Span, Traffic};

use super::{bytes, count, live, safe, thousands, unseen};
use crate::palette;

const HEADINGS: [&str; 12] = [
    "PROCESS",
    "LOCAL",
    "PEER",
    "RESOLVE",
    "CREATE",
    "CONNECT",
    "TALK",
    "CLOSE",
    "1ST BYTE",
    "SENT",
    "RECEIVED",
    "HOW IT ENDED",
];
/// Columns of numbers, which end at the same place.
const RIGHT: std::ops::Range<usize> = 3..11;

/// One connection, a text per column.
struct Row {
    cells: [String; 12],
    style: anstyle::Style,
}

/// Prints the connections of `model`, and one line that sums them up.
pub fn print(out: &mut dyn Write, model: &Model, calls: u64) -> io::Result<()> {
    print_each(out, model, calls, |each| model.connections().try_for_each(|connection| each(model, connection)))
}

/// Prints the connections that `all` hands over, twice: the first time for the widths of the columns.
pub fn print_each<E: From<io::Error>>(
    out: &mut dyn Write,
    model: &Model,
    calls: u64,
    all: impl Fn(&mut dyn FnMut(&Model, &Connection) -> io::Result<()>) -> Result<(), E>,
) -> Result<(), E> {
    let (mut widths, mut filled, mut rows) = (HEADINGS.map(str::len), [false; HEADINGS.len()], 0);
    all(&mut |model, connection| {
        for ((width, filled), cell) in widths.iter_mut().zip(&mut filled).zip(&row(model, connection).cells) {
            *width = (*width).max(cell.chars().count());
            *filled |= !cell.is_empty();
        }
        rows += 1;
        Ok(())
    })?;
    // A column that nobody filled is left out: most programs resolve no name, many connect to none.
    let used = |column: usize| filled.get(column) == Some(&true);
    if rows > 0 {
        let style = palette::STRONG;
        write!(out, "{style}")?;
        line(out, &HEADINGS.map(String::from), &widths, &used)?;
        write!(out, "{style:#}")?;
    }
    all(&mut |model, connection| {
        let row = row(model, connection);
        let style = row.style;
        write!(out, "{style}")?;
        line(out, &row.cells, &widths, &used)?;
        write!(out, "{style:#}")
    })?;
    let processes = model.processes().filter_map(|(_, p)| (p.pid != 0).then_some(p.pid)).collect::<BTreeSet<_>>();
    let faint = palette::FAINT;
    let there = model.connections_in_all() as u64;
    let listed = if rows == there { String::new() } else { format!(" ({} listed)", thousands(rows)) };
    Ok(writeln!(
        out,
        "{faint}{}{listed}, {}, {}.{faint:#}",
        count(there, "socket"),
        count(calls, "call"),
        match processes.len() {
            1 => "1 process".into(),
            n => format!("{n} processes"),
        }
    )?)
}

fn line(
    out: &mut dyn Write,
    cells: &[String; 12],
    widths: &[usize; 12],
    used: &dyn Fn(usize) -> bool,
) -> io::Result<()> {
    let last = cells.len() - 1;
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if column == last {
            writeln!(out, "{cell}")?;
        } else if RIGHT.contains(&column) && used(column) {
            write!(out, "{cell:>width$}  ")?;
        } else if used(column) {
            write!(out, "{cell:<width$}  ")?;
        }
    }
    Ok(())
}

fn row(model: &Model, connection: &Connection) -> Row {
    let time = |span: Option<Span>| span.map_or(String::new(), |s| Duration(s.duration_ns()).to_string());
    let traffic = |t: &Traffic| match t.calls {
        0 => String::new(),
        calls => format!("{} in {calls}", bytes(t.bytes)),
    };
    let who = connection.holders.first();
    let process = who.map_or(String::new(), |h| format!("{}[{}]:{}", live::name(model, h.process), h.pid, h.fd));
    let phases = &connection.phases;
    let (ended, style) = ending(model, connection);
    Row {
        cells: [
            process,
            connection.local_address().map_or(String::new(), |a| a.to_string()),
            peer(model, connection),
            time(phases.resolve),
            time(phases.create),
            time(phases.connect),
            time(phases.communicate),
            time(phases.disconnect),
            connection.first_byte_ns.map_or(String::new(), |ns| Duration(ns).to_string()),
            traffic(&connection.sent),
            traffic(&connection.received),
            ended,
        ],
        style,
    }
}

/// The peer, by the name that was resolved to it, its address, and its service.
fn peer(model: &Model, connection: &Connection) -> String {
    if connection.role == Role::Listener {
        return format!("(listener: {} accepted)", connection.accepted);
    }
    if let Some(address) = connection.peer_address() {
        let address = match address.unix_path() {
            Some([]) => return pair(model, connection),
            _ => Named(address).to_string(),
        };
        return match &connection.peer_name {
            Some(name) if !address.starts_with(&*safe(name)) => format!("{} {address}", safe(name)),
            _ => address,
        };
    }
    match connection.datagram_peers.as_slice() {
        [] => pair(model, connection),
        [only] => Named(sockshim_format::address::Address(&only.address)).to_string(),
        [first, rest @ ..] => {
            format!("{} and {} more", Named(sockshim_format::address::Address(&first.address)), rest.len())
        }
    }
}

/// The other end of an unnamed pair, if it is here too.
fn pair(model: &Model, connection: &Connection) -> String {
    let other = connection.other_end.and_then(|id| model.connection(id));
    other.and_then(|c| c.holders.first()).map_or(String::new(), |h| format!("(pair with {}:{})", h.pid, h.fd))
}

/// How it ended, in words, and the color that this deserves.
pub fn ending(model: &Model, connection: &Connection) -> (String, anstyle::Style) {
    let mut words = Vec::new();
    let mut alarming = false;
    if let Connect::Failed(errno) = connection.connect {
        words.push(
            match i32::from(errno) {
                libc::ECONNREFUSED => "refused",
                libc::ETIMEDOUT => "timed out",
                libc::ENOENT => "nobody there",
                _ => errno_name(errno),
            }
            .to_owned(),
        );
        alarming = true;
    }
    let first = model.closed_first(connection);
    if connection.is_connected() && first != FirstToClose::Nobody {
        alarming |= first == FirstToClose::Reset;
        words.push(first.words().to_owned());
        if let Some(unread) = connection.evidence.unread_bytes.filter(|n| *n > 0) {
            words.push(format!("{} never read", bytes(unread.into())));
        }
    }
    if let Some((Op::Bind, (errno, _))) = connection.errors.iter().find(|(op, _)| **op == Op::Bind) {
        words.push(format!("bind failed: {}", errno_name(*errno)));
        alarming = true;
    }
    match connection.ending {
        Ending::Open => words.push("still open".into()),
        Ending::Leaked(_) => words.push("open until the process ended".into()),
        Ending::Closed(_) if words.is_empty() => words.push("closed".into()),
        Ending::Closed(_) => {}
    }
    if !connection.injected.is_empty() {
        words.push("faults injected".into());
    }
    let unseen = unseen::words(model, connection);
    let style = match &unseen {
        _ if alarming => palette::ERROR,
        Some(_) => palette::WARNING,
        None => anstyle::Style::new(),
    };
    words.extend(unseen);
    (words.join(", "), style)
}
