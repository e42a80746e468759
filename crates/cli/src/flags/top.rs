//! The flags of `sockshim top`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::{TEMPLATE, View};

const TOP_EXAMPLES: &str = "\
Examples:
  sockshim top web.sst                            while run -o web.sst goes on
  sockshim top -- curl http://localhost:8080/     runs curl, shows what it does
  sockshim top --log out.txt -o web.sst -- nginx
      and keeps its output, and the trace
  sockshim top --once web.sst                     one screen as text
";

const TOP_EXIT_CODES: &str = "\
Keys:
  q quits, ? tells the others: sort, filter, pause, the calls of a connection

Exit codes:
    0    done; a program that top ran is ended with SIGTERM, if it still runs
    2    the command line is wrong, or there is no terminal to draw on
  125    sockshim itself failed, or the trace cannot be read
  126    the program was found, but cannot be run or cannot be traced
  127    the program, its interpreter or its loader was not found
";

/// Show the connections of a run, and what its threads are blocked in, while it goes on.
#[derive(Debug, Args)]
#[command(before_help = TOP_EXAMPLES, after_help = TOP_EXIT_CODES, help_template = TEMPLATE)]
#[command(override_usage = "sockshim top [OPTIONS] TRACE\n       sockshim top [OPTIONS] -- PROGRAM [ARGUMENTS]...")]
pub struct Top {
    /// The trace, which `run -o` may still be writing.
    #[arg(value_name = "TRACE", required_unless_present = "command")]
    pub trace: Option<PathBuf>,
    /// Run this program, and show it. It reads nothing (/dev/null). What it writes does not disturb the screen: the
    /// last 64 KiB of it are printed when top ends, and --log keeps all of it.
    #[arg(last = true, value_name = "PROGRAM", conflicts_with_all = ["trace", "once"])]
    pub command: Vec<OsString>,
    /// Print one screen as text, and end: for scripts. Of a run that goes on after a second, for the rates.
    #[arg(long)]
    pub once: bool,
    /// Keep the trace of the program in this file; without it the trace is temporary, and the newest 256 MiB of it.
    #[arg(short, long, value_name = "FILE", requires = "command")]
    pub output: Option<PathBuf>,
    /// Where the program's standard output and standard error go.
    #[arg(long, value_name = "FILE", requires = "command")]
    pub log: Option<PathBuf>,
    /// How to show it.
    #[command(flatten)]
    pub view: View,
}
