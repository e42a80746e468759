//! The flags of `sockshim explore`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use super::View;
use super::texts::{EXPLORE_EXAMPLES, EXPLORE_EXIT_CODES, TEMPLATE};

/// Run a program again and again, each time with another call that fails, and tell what it cannot bear.
#[derive(Debug, Args)]
#[command(before_help = EXPLORE_EXAMPLES, after_help = EXPLORE_EXIT_CODES, help_template = TEMPLATE)]
#[command(override_usage = "sockshim explore [OPTIONS] [--] PROGRAM [ARGUMENTS]...")]
pub struct Explore {
    /// The program and its arguments. It should do the same each time, end by itself, and need no input.
    #[arg(required = true, trailing_var_arg = true, value_name = "PROGRAM")]
    pub command: Vec<OsString>,
    /// Let only these fail: connect,read or %connect and the like, as in a rule of --inject.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub functions: Vec<String>,
    /// Let them fail so, in place of what is usual for each: ECONNRESET,EINTR,short=1.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub errors: Vec<String>,
    /// Let a call that fails fail again whenever it is made again.
    #[arg(long)]
    pub persist: bool,
    /// A program that has not ended by then hangs, and is killed: 5s, 500ms.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub timeout: Duration,
    /// Try so many faults at most.
    #[arg(long, value_name = "N", value_parser = super::one_or_more)]
    pub max: Option<usize>,
    /// Run so many at a time. More than one only if they do not get into each other's way.
    #[arg(long, value_name = "N", default_value = "1", value_parser = super::one_or_more)]
    pub jobs: usize,
    /// Tell of what was survived as well.
    #[arg(long)]
    pub all: bool,
    /// How to show it.
    #[command(flatten)]
    pub view: View,
}

fn time(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => (digits, 1),
        (None, Some(digits)) => (digits, 1000),
        _ => (text, 1000),
    };
    let number = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    number
        .filter(|ms| (1..=3_600_000).contains(ms))
        .map(Duration::from_millis)
        .ok_or("a time, as in 500ms or 10s".into())
}
