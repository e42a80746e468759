//! `sockshim check`: whether a trace is as expected, for tests and CI. What does not hold is told in plain words, with the
//! connection that it does not hold for.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory, FromArgMatches, Parser};
use sockshim_format::address::{Address, Ip};
use sockshim_format::line::Duration;
use sockshim_reader::Model;
use sockshim_reader::model::{Connect, Connection, FirstToClose, Role, Verdict};

use crate::flags::{Check, Expectations, Side};
use crate::palette;
use crate::reading::{Opened, Run, warn};
use crate::views::report::{Item, number, peer, who};
use crate::views::{count, thousands, unseen};

#[cfg(test)]
mod tests;

/// Exit status: an expectation is wrong in itself, or there is none.
const WRONG: u8 = 2;
/// Connections that are named for one expectation; the others are counted.
const MOST: usize = 10;
/// Peers that are told apart where one was expected that is not there.
const MOST_THERE: usize = 1000;

/// Compares a trace with what is expected of it.
pub fn check(flags: &Check) -> Result<ExitCode> {
    let mut all = vec![flags.expectations.clone()];
    for path in &flags.expect {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the expectations in {}", path.display()))?;
        match expectations(&text) {
            Ok(expected) => all.extend(expected),
            Err((line, wrong)) => {
                warn(format!("{}, line {line}: {wrong}", path.display()))?;
                return Ok(ExitCode::from(WRONG));
            }
        }
    }
    if all.iter().all(|expected| *expected == Expectations::default()) {
        warn("nothing is expected: say what, as in --no-leaks or --expect FILE (sockshim check --help)".into())?;
        return Ok(ExitCode::from(WRONG));
    }
    let reading = Opened::open(&Run::apart(&flags.files)?, false)?.read_in_bounds(|_, _| Ok(()))?;
    let mut results: Vec<Outcome> = all.iter().flat_map(|expected| outcomes(expected, reading.zero_ns)).collect();
    reading.each(|model, conn| {
        results.iter_mut().for_each(|outcome| outcome.take(model, conn, reading.zero_ns));
        Ok(())
    })?;
    results.iter_mut().for_each(|outcome| outcome.end(&reading.model));
    let mut out = io::BufWriter::new(anstream::stdout().lock());
    print(&mut out, &results)?;
    out.flush()?;
    drop(out);
    reading.tell()?;
    Ok(if results.iter().all(|outcome| outcome.wrongs == 0) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// An expectation, and where it does not hold.
struct Outcome {
    flag: String,
    test: Test,
    /// The first of them.
    wrong: Vec<String>,
    wrongs: u64,
}

/// Tells what is wrong with a connection, beyond its story.
type Wrong = dyn Fn(&Model, &Connection) -> Option<String>;

/// What is asked of the connections, one by one, and known of them so far.
enum Test {
    Each(Box<Wrong>),
    /// What was connected to instead.
    ConnectsTo {
        target: String,
        done: bool,
        there: Vec<String>,
    },
    ClosesFirst(Side),
    Connections {
        wanted: u64,
        there: u64,
    },
    AllSeen,
}

impl Outcome {
    fn new(flag: String, test: Test) -> Outcome {
        Outcome { flag, test, wrong: Vec::new(), wrongs: 0 }
    }

    fn add(&mut self, wrong: String) {
        self.wrongs += 1;
        if self.wrong.len() < MOST {
            self.wrong.push(wrong);
        }
    }

    /// Looks at a connection.
    fn take(&mut self, model: &Model, conn: &Connection, zero_ns: u64) {
        let wrong = match &mut self.test {
            Test::Each(test) => test(model, conn).map(|wrong| story(model, conn, zero_ns, &wrong)),
            Test::AllSeen => unseen::words(model, conn).map(|words| story(model, conn, zero_ns, &format!("{words}; "))),
            Test::ConnectsTo { target, done, there } => {
                connects_to(conn, target, done, there);
                None
            }
            Test::ClosesFirst(side) => {
                let item = item(model, conn).filter(|item| closed_first(model, item) != Some(*side));
                item.map(|item| story(model, item.near, zero_ns, ""))
            }
            Test::Connections { there, .. } => {
                *there += u64::from(item(model, conn).is_some());
                None
            }
        };
        wrong.into_iter().for_each(|wrong| self.add(wrong));
    }

    /// There are no more.
    fn end(&mut self, model: &Model) {
        let mut wrong = Vec::new();
        match &mut self.test {
            Test::ConnectsTo { done: false, there, .. } => wrong.push(connected_to(std::mem::take(there))),
            Test::Connections { wanted, there } if wanted != there => {
                wrong.push(format!("there were {}", thousands(*there)));
            }
            Test::AllSeen => {
                if model.lost() > 0 {
                    wrong.push(format!("{} were lost while it was recorded", count(model.lost(), "call")));
                }
                let missed = model.not_followed().iter();
                wrong.extend(missed.map(|launch| format!("not followed: {}", unseen::not_followed(launch))));
            }
            _ => {}
        }
        wrong.into_iter().for_each(|wrong| self.add(wrong));
    }
}

/// The lines of a file: a flag each, without the dashes. An error names the line.
fn expectations(text: &str) -> Result<Vec<Expectations>, (usize, String)> {
    #[derive(Parser)]
    #[command(no_binary_name = true, disable_help_flag = true)]
    struct Line {
        #[command(flatten)]
        expectations: Expectations,
    }
    let mut all = Vec::new();
    for (at, line) in text.lines().enumerate() {
        // A comment is a line of its own, or is set off by a blank: host names have no '#'.
        let line = line.split_once(" #").map_or(line, |(line, _)| line).trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (flag, value) = line.split_once([' ', '\t', '=']).map_or((line, None), |(flag, value)| (flag, Some(value)));
        let flag = format!("--{}", flag.trim_start_matches('-'));
        let arguments = [Some(flag.as_str()), value.map(str::trim)].into_iter().flatten();
        let matches = Line::command().try_get_matches_from(arguments);
        let parsed = matches.and_then(|matches| Line::from_arg_matches(&matches));
        let wrong = |error: clap::Error| {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            (at + 1, first.strip_prefix("error: ").unwrap_or(first).to_owned())
        };
        all.push(parsed.map_err(wrong)?.expectations);
    }
    Ok(all)
}

fn outcomes(expected: &Expectations, zero_ns: u64) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut add = |flag: String, test: Test| outcomes.push(Outcome::new(flag, test));
    if expected.no_leaks {
        let leaks = |model: &Model, conn: &Connection| (model.verdict(conn) == Verdict::Leaked).then(String::new);
        add("--no-leaks".into(), Test::Each(Box::new(leaks)));
    }
    if expected.no_errors {
        let fails = |model: &Model, conn: &Connection| model.verdict(conn).is_failure().then(String::new);
        add("--no-errors".into(), Test::Each(Box::new(fails)));
    }
    if expected.no_lints {
        let lints = move |model: &Model, conn: &Connection| {
            let lints = model.lints(conn, zero_ns);
            let first = lints.first()?;
            Some(format!("{}: {}; ", first.kind.name(), first.fact))
        };
        add("--no-lints".into(), Test::Each(Box::new(lints)));
    }
    if let Some(most_ns) = expected.max_connect {
        let slow = move |_: &Model, conn: &Connection| {
            let active = !matches!(conn.role, Role::Passive | Role::Listener | Role::Datagram);
            let connect = conn.phases.connect.filter(|_| active && conn.connect != Connect::None)?;
            let took_ns = connect.duration_ns();
            (took_ns > most_ns).then(|| format!("it took {} to connect; ", Duration(took_ns)))
        };
        add(format!("--max-connect {}", Duration(most_ns)), Test::Each(Box::new(slow)));
    }
    if let Some(most_ns) = expected.max_first_byte {
        let slow = move |_: &Model, conn: &Connection| {
            let took_ns = conn.first_byte_ns.filter(|_| conn.role == Role::Active)?;
            (took_ns > most_ns).then(|| format!("its first byte came after {}; ", Duration(took_ns)))
        };
        add(format!("--max-first-byte {}", Duration(most_ns)), Test::Each(Box::new(slow)));
    }
    for target in &expected.connects_to {
        let test = Test::ConnectsTo { target: target.clone(), done: false, there: Vec::new() };
        add(format!("--connects-to {target}"), test);
    }
    if let Some(side) = expected.closes_first {
        add(format!("--closes-first {}", side.word()), Test::ClosesFirst(side));
    }
    if let Some(wanted) = expected.connections {
        add(format!("--connections {wanted}"), Test::Connections { wanted, there: 0 });
    }
    if expected.all_seen {
        add("--all-seen".into(), Test::AllSeen);
    }
    outcomes
}

/// A connection of a client and a server; with both its ends in the trace it is one.
fn item<'a>(model: &'a Model, conn: &'a Connection) -> Option<Item<'a>> {
    let end = matches!(conn.role, Role::Active | Role::Passive) && conn.is_connected();
    Some(Item::of(model, conn)).filter(|item| end && item.near.id == conn.id)
}

/// Whether it is the target. What else was connected to is collected, as much of it as is told.
fn connects_to(conn: &Connection, target: &str, done: &mut bool, there: &mut Vec<String>) {
    let connected = conn.role == Role::Datagram || (conn.role == Role::Active && conn.is_connected());
    if !connected || *done {
        return;
    }
    let names = names(conn);
    *done = names.iter().any(|name| name == target);
    if there.len() < MOST_THERE {
        there.extend(names.into_iter().take(1).filter(|name| !there.contains(name)).collect::<Vec<_>>());
    }
}

fn connected_to(mut there: Vec<String>) -> String {
    let more = there.len().saturating_sub(MOST);
    there.truncate(MOST);
    let mut list = there.join(", ");
    if more > 0 {
        list += &format!(", and {} more", thousands(more as u64));
    }
    match list.is_empty() {
        true => "nothing was connected to".into(),
        false => format!("it was not; connected to were {list}"),
    }
}

/// `localhost:8080`, `127.0.0.1:8080`, or a path: what the peer can be called.
fn names(connection: &Connection) -> Vec<String> {
    let Some(address) = connection.peer_address() else { return Vec::new() };
    let Some((ip, port)) = ip_and_port(address) else { return vec![address.to_string()] };
    let name = connection.peer_name.as_ref().map(|name| format!("{}:{port}", String::from_utf8_lossy(name)));
    name.into_iter().chain([address.to_string(), format!("{ip}:{port}")]).collect()
}

fn ip_and_port(address: Address<'_>) -> Option<(String, u16)> {
    Some((Ip(address.ip()?).to_string(), address.port()?))
}

fn closed_first(model: &Model, item: &Item<'_>) -> Option<Side> {
    let mut firsts = item.ends().filter_map(|end| {
        let client = end.role == Role::Active;
        match model.closed_first(end) {
            FirstToClose::Us | FirstToClose::UsReset => Some(if client { Side::Client } else { Side::Server }),
            FirstToClose::Peer | FirstToClose::Reset => Some(if client { Side::Server } else { Side::Client }),
            FirstToClose::Both | FirstToClose::Nobody | FirstToClose::Unknown => None,
        }
    });
    firsts.next()
}

/// `#2 curl[26537]:5 ──▶ localhost 127.0.0.1:8080 http-alt: it took 60.0ms to connect; server closed first`.
fn story(model: &Model, connection: &Connection, zero_ns: u64, wrong: &str) -> String {
    let to = match (connection.role, peer(connection)) {
        (Role::Listener, _) | (_, None) => String::new(),
        (Role::Passive, Some(peer)) => format!(" ◀── {peer}"),
        (_, Some(peer)) => format!(" ──▶ {peer}"),
    };
    let sentence = model.sentence(connection, zero_ns);
    format!("{} {}{to}: {wrong}{sentence}", number(connection.id), who(model, connection))
}

fn print(out: &mut dyn Write, outcomes: &[Outcome]) -> io::Result<()> {
    for Outcome { flag, wrong, wrongs, .. } in outcomes {
        let (style, faint) = (palette::ERROR, palette::FAINT);
        if wrong.is_empty() {
            writeln!(out, "{faint}{flag} holds{faint:#}")?;
            continue;
        }
        writeln!(out, "{style}{flag} does not hold:{style:#}")?;
        wrong.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        let more = wrongs.saturating_sub(wrong.len() as u64);
        if more > 0 {
            writeln!(out, "  and {} more", thousands(more))?;
        }
    }
    let holds = outcomes.iter().filter(|outcome| outcome.wrong.is_empty()).count() as u64;
    match outcomes.len() as u64 {
        all if all == holds => {
            writeln!(out, "As expected: {}.", if all == 1 { "it holds".into() } else { format!("all {all} hold") })
        }
        all => writeln!(out, "Not as expected: {} of {all} hold.", holds),
    }
}
