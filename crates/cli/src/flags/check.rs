//! The flags of `sockshim check`: what is expected of a trace.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use sockshim_format::op::Phase;
use sockshim_reader::expect::{self, Expectation, Expected, nanoseconds};

use super::{TEMPLATE, View};

const CHECK_EXAMPLES: &str = "\
Examples:
  sockshim check --no-leaks --no-errors web.sst   nothing left open, or failed
  sockshim check --connects-to localhost:8080 --max-connect 50ms web.sst
      something was connected there, and nothing was slow to connect
  sockshim check --closes-first server --to localhost:8080 web.sst
      of the connections to this server, the server closed each first
  sockshim check --expect web.expect web.sst      from a file, a flag a line
";

const CHECK_EXIT_CODES: &str = "\
Exit codes:
    0    all is as expected
    1    something is not; it is told on stdout, with the connection
    2    the command line or a file of expectations is wrong,
         or nothing is expected
  125    sockshim itself failed, or the trace cannot be read
";

/// Say whether a trace is as expected: for tests, by the exit status.
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
    /// No resolution of a name took longer.
    #[arg(long, value_name = "TIME", value_parser = nanoseconds)]
    pub max_resolve: Option<u64>,
    /// No making of a socket took longer.
    #[arg(long, value_name = "TIME", value_parser = nanoseconds)]
    pub max_create: Option<u64>,
    /// From the first byte to the last it took no longer, for each socket.
    #[arg(long, value_name = "TIME", value_parser = nanoseconds)]
    pub max_communicate: Option<u64>,
    /// From the first shutdown or close to the last it took no longer.
    #[arg(long, value_name = "TIME", value_parser = nanoseconds)]
    pub max_disconnect: Option<u64>,
    /// Something was connected there, by name or by address; with ` x3` behind it, three times exactly. May be given
    /// several times.
    #[arg(long, value_name = "HOST:PORT", value_parser = target)]
    pub connects_to: Vec<Expectation>,
    /// Of each connection of a client and a server, this end sent the first byte.
    #[arg(long, value_name = "client|server", hide_possible_values = true)]
    pub writes_first: Option<Side>,
    /// Of each connection of a client and a server, this end closed first.
    #[arg(long, value_name = "client|server", hide_possible_values = true)]
    pub closes_first: Option<Side>,
    /// So many connections of a client and a server were made. One with both its ends in the trace is one.
    #[arg(long, value_name = "NUMBER")]
    pub connections: Option<u64>,
    /// All this only of connections to this server, by name or by address.
    #[arg(long, value_name = "HOST:PORT")]
    pub to: Option<String>,
    /// Nothing passed around sockshim, as far as the kernel's counters tell, no call was lost, and the trace was ended
    /// in order.
    #[arg(long)]
    pub all_seen: bool,
}

impl Expectations {
    /// Each of them, as the reader of traces takes it.
    pub fn all(&self) -> Vec<Expected> {
        let phase = |phase, bound: Option<u64>| bound.map(|ns| Expectation::MaxPhase(phase, ns));
        let mut all: Vec<Expectation> = [
            self.no_leaks.then_some(Expectation::NoLeaks),
            self.no_errors.then_some(Expectation::NoErrors),
            self.no_lints.then_some(Expectation::NoLints),
            phase(Phase::Resolve, self.max_resolve),
            phase(Phase::Create, self.max_create),
            phase(Phase::Connect, self.max_connect),
            self.max_first_byte.map(Expectation::MaxFirstByte),
            phase(Phase::Communicate, self.max_communicate),
            phase(Phase::Disconnect, self.max_disconnect),
        ]
        .into_iter()
        .flatten()
        .collect();
        all.extend(self.connects_to.iter().cloned());
        let last = [
            self.writes_first.map(|side| Expectation::WritesFirst(side.into())),
            self.closes_first.map(|side| Expectation::ClosesFirst(side.into())),
            self.connections.map(Expectation::Connections),
            self.all_seen.then_some(Expectation::AllSeen),
        ];
        all.extend(last.into_iter().flatten());
        all.into_iter().map(|what| Expected { what, to: self.to.clone() }).collect()
    }
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Side {
    /// The one that connected.
    Client,
    /// The one that was accepted.
    Server,
}

impl From<Side> for expect::Side {
    fn from(side: Side) -> expect::Side {
        match side {
            Side::Client => expect::Side::Client,
            Side::Server => expect::Side::Server,
        }
    }
}

/// `localhost:8080`, `localhost:8080 x3`.
fn target(text: &str) -> Result<Expectation, String> {
    expect::expectation(&format!("connects-to {text}"))
}
