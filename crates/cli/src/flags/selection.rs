//! Which connections `report` tells of, and in which order.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use sockshim_reader::model::Verdict;

/// Which connections, and in which order. Each condition may be given several times: one of its values has to
/// be met, and all conditions.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Choosing")]
pub struct Selection {
    /// Tell of so many only.
    #[arg(long, value_name = "N", value_parser = super::one_or_more, conflicts_with = "connection")]
    pub top: Option<usize>,
    /// The earliest first (start), or those that took longest, in all or to connect or until the first byte, or have
    /// most: duration, connect, first-byte, bytes, calls.
    #[arg(long, value_name = "KEY", default_value = "start", conflicts_with = "connection")]
    #[arg(hide_possible_values = true)]
    pub sort: Order,
    /// Of programs with this name, or this pid.
    #[arg(long, value_name = "NAME|PID", conflicts_with = "connection")]
    pub process: Vec<String>,
    /// To a peer whose address this name was resolved to.
    #[arg(long, value_name = "NAME", conflicts_with = "connection")]
    pub name: Vec<String>,
    /// With this IP address, or path, at either end.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "connection")]
    pub address: Vec<String>,
    /// With this port at either end.
    #[arg(long, value_name = "PORT", conflicts_with = "connection")]
    pub port: Vec<u16>,
    /// That came so far before they were closed: create (no more than that), connect (or refused, or a listener,
    /// without a byte), or communicate (bytes passed).
    #[arg(long, value_name = "PHASE", hide_possible_values = true, conflicts_with = "connection")]
    pub phase: Vec<Reached>,
    /// That ended so.
    #[arg(long, value_name = "HOW", value_parser = verdicts(), conflicts_with = "connection")]
    pub verdict: Vec<Verdict>,
}

/// What a report is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// When it began.
    #[default]
    Start,
    /// From first to last sight.
    Duration,
    /// How long connecting took.
    Connect,
    /// From connected to the first byte received.
    FirstByte,
    /// Bytes in both directions.
    Bytes,
    /// Calls.
    Calls,
}

/// How far a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reached {
    /// It was created.
    Create,
    /// It was connected, or was to be.
    Connect,
    /// Bytes passed.
    Communicate,
}

impl Reached {
    /// The word for it on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Reached::Create => "create",
            Reached::Connect => "connect",
            Reached::Communicate => "communicate",
        }
    }
}

/// The words for how a connection ended.
fn verdicts() -> impl TypedValueParser<Value = Verdict> {
    let words = Verdict::ALL.map(Verdict::word);
    let of_word = |word: String| Verdict::ALL.into_iter().find(|verdict| verdict.word() == word);
    PossibleValuesParser::new(words).try_map(move |word| of_word(word).ok_or("no such verdict"))
}
