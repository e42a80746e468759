//! The flags of `sockshim diff`: which two traces, and what counts as a difference.

use std::path::PathBuf;

use clap::Args;

use super::{TEMPLATE, View};

const DIFF_EXAMPLES: &str = "\
Examples:
  sockshim diff before.sst after.sst              what it does otherwise now
  sockshim diff --no-times before.sst after.sst   for tests: times do not count
  sockshim diff --threshold 2x before.sst after.sst
      twice as slow is a difference, too
";

const DIFF_EXIT_CODES: &str = "\
Exit codes:
    0    both behave the same
    1    they do not; what differs is told on stdout
    2    trouble: the command line is wrong, or a trace cannot be read
";

/// Tell how the behaviour changed between two runs, with diff's exit status.
#[derive(Debug, Args)]
#[command(before_help = DIFF_EXAMPLES, after_help = DIFF_EXIT_CODES, help_template = TEMPLATE)]
pub struct Diff {
    /// The trace of the first run.
    #[arg(value_name = "A")]
    pub before: PathBuf,
    /// The trace of the second run. Connections are compared in the order in which they were made, those of
    /// programs with the same name to the same peer, or from the same listener. Pids, descriptors, times of day and
    /// ports from 32768 on, which the system chooses, make no difference.
    #[arg(value_name = "B")]
    pub after: PathBuf,
    /// By how much a duration, or a number of calls, has to change to make a difference: 2x, 1.5x. Less than 20 ms,
    /// or 10 calls, make none.
    #[arg(long, value_name = "RATIO", default_value = "3x", value_parser = ratio)]
    pub threshold: f64,
    /// Compare no durations.
    #[arg(long)]
    pub no_times: bool,
    /// Tell whether they differ, and how many connections do; not how.
    #[arg(long)]
    pub brief: bool,
    /// How to show it.
    #[command(flatten)]
    pub view: View,
}

/// `2x`, `1.5x`, or the number alone.
fn ratio(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix(['x', 'X']).unwrap_or(text);
    // Digits and points only: no sign, no exponent, no infinity.
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let ratio = plain.then(|| number.parse::<f64>().ok()).flatten();
    ratio.filter(|ratio| *ratio >= 1.0).ok_or_else(|| "a ratio of 1 or more, as in 2x or 1.5x".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_one_at_least() {
        assert_eq!(["2x", "1.5X", "3", "1"].map(|text| ratio(text).unwrap()), [2.0, 1.5, 3.0, 1.0]);
        for wrong in ["", "x", "0.5x", "-2x", "1e3", "inf", "2y", "nan"] {
            assert!(ratio(wrong).is_err(), "{wrong:?}");
        }
    }
}
