//! The flags of `sockshim check`: what is expected of a trace.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{TEMPLATE, View};

pub(super) const CHECK_EXAMPLES: &str = "\
Examples:
  sockshim check --no-leaks --no-errors web.sst        nothing stayed open, nothing failed
  sockshim check --connects-to localhost:8080 --max-connect 50ms --closes-first server web.sst
  sockshim check --expect web.expect web.sst           the same from a file: a flag a line, without dashes
";

const CHECK_EXIT_CODES: &str = "\
Exit codes:
    0    all is as expected
    1    something is not; it is told on stdout, with the connection
    2    the command line or a file of expectations is wrong, or nothing is expected
  125    sockshim itself failed, or the trace cannot be read
";

/// `sockshim check`.
#[derive(Debug, Args)]
#[command(before_help = CHECK_EXAMPLES, after_help = CHECK_EXIT_CODES, help_template = TEMPLATE)]
pub struct Check {
    /// The trace; all files of it together, in any order, if it was kept in several (--rotate).
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// What is expected, besides, in this file: a flag on each line, without the dashes. `#` begins a comment.
    #[arg(long, value_name = "FILE")]
    pub expect: Vec<PathBuf>,
    /// What is expected.
    #[command(flatten)]
    pub expectations: Expectations,
    /// How to show it.
    #[command(flatten)]
    pub view: View,
}

/// What is expected of a trace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Expecting")]
pub struct Expectations {
    /// Every socket was closed by the program.
    #[arg(long)]
    pub no_leaks: bool,
    /// Nothing was refused or reset, timed out, or failed to connect or to bind.
    #[arg(long)]
    pub no_errors: bool,
    /// `report` sees no bad habit.
    #[arg(long)]
    pub no_lints: bool,
    /// No connect took longer: 50ms, 1.5s.
    #[arg(long, value_name = "TIME", value_parser = nanoseconds)]
    pub max_connect: Option<u64>,
    /// Each client had the first byte of its answer within this time after it was connected.
    #[arg(long, value_name = "TIME", value_parser = nanoseconds)]
    pub max_first_byte: Option<u64>,
    /// Something was connected there, by name or by address. May be given several times.
    #[arg(long, value_name = "HOST:PORT")]
    pub connects_to: Vec<String>,
    /// Of each connection of a client and a server, this end closed first.
    #[arg(long, value_name = "END")]
    pub closes_first: Option<Side>,
    /// So many connections of a client and a server were made. One with both its ends in the trace is one.
    #[arg(long, value_name = "NUMBER")]
    pub connections: Option<u64>,
    /// Nothing passed around sockshim, as far as the kernel's counters tell, and no call was lost.
    #[arg(long)]
    pub all_seen: bool,
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
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

/// A span of time, in nanoseconds: `50ms`, `1.5s`.
pub(super) fn nanoseconds(text: &str) -> Result<u64, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_have_a_unit() {
        let spans = ["200us", "50ms", "1.5s", "7ns"].map(|text| nanoseconds(text).unwrap());
        assert_eq!(spans, [200_000, 50_000_000, 1_500_000_000, 7]);
        for wrong in ["", "50", "ms", "-1s", "1e3s", "1..2s", "1m", "inf"] {
            assert!(nanoseconds(wrong).is_err(), "{wrong:?}");
        }
    }
}
