//! Expectations as people write them: a flag of `sockshim check`, with or without its dashes.

use super::{Expectation, Expected, Side};
use sockshim_format::op::Phase;

/// The phases that have a bound.
const PHASES: [Phase; 5] = [Phase::Resolve, Phase::Create, Phase::Connect, Phase::Communicate, Phase::Disconnect];

/// The lines of a file: an expectation each. An error names the line.
pub fn lines(text: &str) -> Result<Vec<Expected>, (usize, String)> {
    let mut all = Vec::new();
    for (at, line) in text.lines().enumerate() {
        // A comment is a line of its own, or is set off by a blank: host names have no '#'.
        let line = line.split_once(" #").map_or(line, |(line, _)| line).trim();
        if !line.is_empty() && !line.starts_with('#') {
            all.push(one(line).map_err(|wrong| (at + 1, wrong))?);
        }
    }
    Ok(all)
}

/// One expectation: `max-connect 50ms`, `--closes-first=server`, `no-leaks to localhost:8080`.
pub fn one(text: &str) -> Result<Expected, String> {
    let text = text.trim();
    // What is connected to says it itself.
    let of = text.rsplit_once(" to ").filter(|_| !text.trim_start_matches('-').starts_with("connects-to"));
    let (what, to) = of.map_or((text, None), |(what, to)| (what.trim_end(), Some(to.trim().to_owned())));
    Ok(Expected { what: expectation(what)?, to })
}

/// What is expected, of whichever connections.
pub fn expectation(text: &str) -> Result<Expectation, String> {
    let (flag, value) = text.split_once([' ', '\t', '=']).map_or((text, ""), |(flag, value)| (flag, value.trim()));
    let flag = flag.trim_start_matches('-');
    let wrong = |why: String| format!("--{flag} {value}: {why}");
    let time = || nanoseconds(value).map_err(|why| wrong(format!("it takes {why}")));
    let plain = |expectation| match value {
        "" => Ok(expectation),
        _ => Err(wrong("it takes no value".into())),
    };
    let side = || match value {
        "client" => Ok(Side::Client),
        "server" => Ok(Side::Server),
        _ => Err(wrong("it takes client or server".into())),
    };
    if let Some(phase) = PHASES.iter().find(|phase| flag.strip_prefix("max-") == Some(phase.name())) {
        return Ok(Expectation::MaxPhase(*phase, time()?));
    }
    match flag {
        "no-leaks" => plain(Expectation::NoLeaks),
        "no-errors" => plain(Expectation::NoErrors),
        "no-lints" => plain(Expectation::NoLints),
        "all-seen" => plain(Expectation::AllSeen),
        "max-first-byte" => Ok(Expectation::MaxFirstByte(time()?)),
        "connects-to" if value.is_empty() => Err(wrong("it takes HOST:PORT".into())),
        "connects-to" => Ok(target(value)),
        "writes-first" => Ok(Expectation::WritesFirst(side()?)),
        "closes-first" => Ok(Expectation::ClosesFirst(side()?)),
        "connections" => Ok(Expectation::Connections(value.parse().map_err(|_| wrong("it takes a number".into()))?)),
        _ => Err(format!("there is no --{flag}: sockshim check --help has them all")),
    }
}

/// `localhost:8080`, `localhost:8080 x3`.
pub(super) fn target(value: &str) -> Expectation {
    let exactly = value.rsplit_once(" x").and_then(|(name, times)| Some((name, times.parse().ok()?)));
    match exactly {
        Some((name, times)) => Expectation::ConnectsTo(name.trim_end().to_owned(), Some(times)),
        None => Expectation::ConnectsTo(value.to_owned(), None),
    }
}

/// A span of time, in nanoseconds: `50ms`, `1.5s`.
pub fn nanoseconds(text: &str) -> Result<u64, String> {
    let wrong = || "a number and its unit, as in 200us, 50ms, 1.5s".to_owned();
    let end = text.find(|char: char| !char.is_ascii_digit() && char != '.').ok_or_else(wrong)?;
    let (number, unit) = text.split_at(end);
    let scale = match unit {
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return Err(wrong()),
    };
    // Digits and points only: no sign, no exponent, no infinity.
    Ok((number.parse::<f64>().map_err(|_| wrong())? * scale) as u64)
}
