//! The command line: every verb and flag, its help, and its checks.
//!
//! A struct per verb; what several verbs share is a struct of its own, so that a flag means the
//! same everywhere. The texts are the manual: what is wrong here is wrong for everybody.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, ColorChoice, Parser, Subcommand};
use sockshim_format::region::{DEFAULT_REGION_BYTES, region_parts};
use sockshim_reader::Limit;

use crate::explain::lang::Lang;
use crate::export;

mod alone;
mod check;
mod diff;
mod explore;
mod selection;
#[cfg(test)]
mod tests;
mod texts;
#[cfg(feature = "tui")]
mod top;

pub use check::Check;
pub use diff::Diff;
pub use explore::Explore;
pub use selection::{Order, Reached, Selection};
use texts::*;
#[cfg(feature = "tui")]
pub use top::Top;

/// What is this program doing with its sockets? Every call, every phase, every connection.
#[derive(Debug, Parser)]
#[command(name = "sockshim", bin_name = "sockshim", version)]
#[command(help_template = TEMPLATE, styles = STYLES)]
#[command(before_help = EXAMPLES, after_help = EXIT_CODES)]
pub struct Flags {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What the tool can do. Each is looked at when it is asked for: there are a hundred flags in all.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Verb {
    /// Run a program and tell the story of its sockets.
    Run(Run),
    /// Show the calls of a trace again.
    Show(Show),
    /// Show the connections of a run, and what its threads are blocked in, while it goes on.
    #[cfg(feature = "tui")]
    Top(Top),
    /// Copy what a run has written so far, while it goes on.
    Snapshot(Snapshot),
    /// Tell the story of every connection of a trace: a summary, then one by one.
    Report(Report),
    /// Run a program again and again, each time with another call that fails, and tell what it cannot bear.
    Explore(Explore),
    /// Say whether a trace is as expected: for tests, by the exit status.
    Check(Check),
    /// Tell how the behaviour changed between two runs, with diff's exit status.
    Diff(Diff),
    /// Write a trace in the format of another tool.
    Export(Export),
    /// Tell what of a program will be seen, or what of a run was not, and why.
    Doctor(Doctor),
    /// Trace a small client and server of our own.
    Demo(Demo),
    /// Print the path of libsockshim.so, for LD_PRELOAD or for a linker.
    #[command(before_help = LIB_EXAMPLES, help_template = TEMPLATE)]
    Lib,
    /// Print a completion script for a shell.
    #[command(before_help = COMPLETIONS_EXAMPLES, help_template = TEMPLATE)]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Write the pages of the manual into a folder, as `make install` does.
    #[command(hide = true)]
    Man {
        /// The folder, made if it is not there.
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
    /// The program that `demo` traces.
    #[command(name = crate::demo::VERB, hide = true)]
    DemoProgram,
}

/// Run a program and tell the story of its sockets.
#[derive(Debug, Args)]
#[command(before_help = RUN_EXAMPLES, after_help = RUN_EXIT_CODES, help_template = TEMPLATE)]
#[command(override_usage = "sockshim run [OPTIONS] [--] PROGRAM [ARGUMENTS]...")]
pub struct Run {
    /// The program and its arguments. From the program's name on, flags are its own.
    #[arg(required = true, trailing_var_arg = true, value_name = "PROGRAM")]
    pub command: Vec<OsString>,
    /// Compare what was recorded with what the kernel was asked, by running the program under
    /// strace. Tells each call that is missing or different, and what passed around the shim. Slow,
    /// so the times are not those of the program alone.
    // It asks for the whole trace, in one file.
    #[arg(long, conflicts_with_all = ["keep", "rotate", "rules", "plans"])]
    pub verify: bool,
    /// What to make go wrong.
    #[command(flatten)]
    pub faults: Faults,
    /// How to record.
    #[command(flatten)]
    pub recording: Recording,
    /// In which words.
    #[command(flatten)]
    pub telling: Telling,
    /// How to show it.
    #[command(flatten)]
    pub view: View,
}

/// Show the calls of a trace again.
#[derive(Debug, Args)]
#[command(before_help = SHOW_EXAMPLES, after_help = EXIT_CODES_OF_READERS, help_template = TEMPLATE)]
pub struct Show {
    /// The trace; all files of it together, in any order, if it was kept in several (--rotate).
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Show one line per connection instead of one per call.
    #[arg(long)]
    pub connections: bool,
    /// How to show it.
    #[command(flatten)]
    pub view: View,
}

/// Copy what a run has written so far, while it goes on.
#[derive(Debug, Args)]
#[command(before_help = SNAPSHOT_EXAMPLES, after_help = EXIT_CODES_OF_READERS, help_template = TEMPLATE)]
pub struct Snapshot {
    /// The trace that `run -o` is writing: of a flight recorder (--keep) FILE, for all that it has kept.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the copy goes.
    #[arg(short, long, value_name = "COPY")]
    pub output: PathBuf,
}

/// Tell the story of every connection of a trace: a summary, then one by one.
#[derive(Debug, Args)]
#[command(before_help = REPORT_EXAMPLES, after_help = REPORT_EXIT_CODES, help_template = TEMPLATE)]
pub struct Report {
    /// The trace; all files of it together, in any order, if it was kept in several (--rotate). Traces of several
    /// runs, on other machines too, are told together: pipes between them have both ends, and how far the
    /// clocks are apart is found out by what passed.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Draw the calls of this connection as a sequence: of the two ends of a pipe, both.
    #[arg(long, value_name = "NUMBER")]
    pub connection: Option<usize>,
    /// Draw all calls, however many there are.
    #[arg(long, requires = "connection")]
    pub all: bool,
    /// Write the report as a page for browsers: one file, that needs no network. `-` is stdout.
    #[arg(long, value_name = "FILE", conflicts_with = "connection")]
    pub html: Option<PathBuf>,
    /// Which connections.
    #[command(flatten)]
    pub selection: Selection,
    /// In which words.
    #[command(flatten)]
    pub telling: Telling,
    /// How to show it.
    #[command(flatten)]
    pub view: View,
}

/// Write a trace in the format of another tool.
#[derive(Debug, Args)]
#[command(before_help = EXPORT_EXAMPLES, after_help = EXPORT_EXIT_CODES, help_template = TEMPLATE)]
pub struct Export {
    /// The trace; all files of it together, in any order, if it was kept in several (--rotate).
    #[arg(required_unless_present = "list", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The format. Without it, the one that the name after -o ends with.
    #[arg(short, long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(export::listed::known()))]
    pub format: Option<String>,
    /// Where to: a file, which is there as a whole or not at all, or - for standard output. For parquet also a folder,
    /// which gets host=HOST/date=DAY/part-RUN.parquet.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// Send it (otlp) to a collector: http://localhost:4318, to which /v1/traces is added if no path is there.
    #[arg(long, value_name = "URL", value_parser = export::otlp::send::endpoint, conflicts_with = "output")]
    pub endpoint: Option<String>,
    /// How long to try again when the collector does not answer, or has no time.
    #[arg(long = "give-up-after", value_name = "TIME", value_parser = sockshim_reader::expect::nanoseconds, requires = "endpoint")]
    #[arg(default_value = "60s")]
    pub patience_ns: u64,
    /// One row per connection instead of one per call (jsonl, csv, parquet).
    #[arg(long)]
    pub connections: bool,
    /// With what was kept of the bytes (parquet): without, no byte that a program sent is in it.
    #[arg(long)]
    pub payload: bool,
    /// Tell the formats, who reads them and how.
    #[arg(long)]
    pub list: bool,
    /// How to show it.
    #[command(flatten)]
    pub view: View,
}

/// Tell what of a program will be seen, or what of a run was not, and why.
#[derive(Debug, Args)]
#[command(before_help = DOCTOR_EXAMPLES, after_help = DOCTOR_EXIT_CODES, help_template = TEMPLATE)]
pub struct Doctor {
    /// A program, found as a shell would, or a trace that `run -o` has kept: the file itself says
    /// which. A program is only looked at, not run.
    #[arg(value_name = "PROGRAM|TRACE")]
    pub subject: OsString,
    /// How to show it.
    #[command(flatten)]
    pub view: View,
}

/// Trace a small client and server of our own.
#[derive(Debug, Args)]
#[command(before_help = DEMO_EXAMPLES, after_help = EXIT_CODES_OF_READERS, help_template = TEMPLATE)]
pub struct Demo {
    /// How to record.
    #[command(flatten)]
    pub recording: Recording,
    /// In which words.
    #[command(flatten)]
    pub telling: Telling,
    /// How to show it.
    #[command(flatten)]
    pub view: View,
}

/// What to make go wrong.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Faults")]
pub struct Faults {
    /// Make calls fail, wait, fall short or go elsewhere: strace's syntax, and more (docs/INJECT.md). Several rules
    /// may be given. Each fault is in the trace, and told as injected.
    #[arg(long = "inject", id = "rules", value_name = "RULE", value_parser = crate::inject::rules)]
    pub rules: Vec<String>,
    /// Take rules from a file: one or more a line, comments from # on.
    #[arg(long = "inject-file", id = "plans", value_name = "FILE", value_parser = crate::inject::file)]
    pub plans: Vec<String>,
}

/// How to record: shared by `run` and `demo`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Recording")]
pub struct Recording {
    /// Keep the trace in this file; without it the trace is temporary.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Keep the newest of the trace in so many bytes, as a flight recorder does: 256M, 4G. What was
    /// overwritten is counted. While the program runs FILE.1, FILE.2 and so on stand beside FILE,
    /// and `sockshim show FILE` reads all of them.
    #[arg(long, value_name = "SIZE", value_parser = trace_bytes, requires = "output", conflicts_with = "rotate")]
    pub keep: Option<u64>,
    /// Go on in FILE.1, FILE.2 and so on, whenever a file has this size. Each can be read alone,
    /// and all of them together.
    #[arg(long, value_name = "SIZE", value_parser = trace_bytes, requires = "output")]
    pub rotate: Option<u64>,
    /// Write each call as a line of JSON while the program runs: into a file, to standard output (-), or to a
    /// descriptor that the shell has opened (fd:3).
    #[arg(long, value_name = "FILE|-|fd:N")]
    pub jsonl: Option<OsString>,
    /// Serve numbers for Prometheus while the program runs, at http://ADDRESS/metrics: 127.0.0.1:9464, or :0 for
    /// a free port, which is told on stderr. An address that others can reach has to be given in full.
    #[arg(long, value_name = "ADDRESS", value_parser = export::prometheus::serve::address)]
    pub metrics: Option<std::net::SocketAddr>,
    /// Tell nothing while the program runs, but for what --explain asks for.
    #[arg(short, long)]
    pub quiet: bool,
    /// Collect the session keys of TLS connections in the trace, and keep all that is sent and received: Wireshark
    /// then shows what was encrypted (export pcapng), and so can everybody who gets hold of the file. Of OpenSSL,
    /// GnuTLS, NSS, Chromium and node; docs/TLS.md tells more.
    #[arg(long, requires = "output")]
    pub tls_keys: bool,
    /// How many bytes to keep of what each call sends or receives: 0 to 65535. With --tls-keys all of them.
    #[arg(long = "snaplen", value_name = "BYTES", default_value_t = 32)]
    #[arg(default_value_if("tls_keys", "true", "65535"))]
    pub snaplen_bytes: u16,
    /// Memory shared with the program, where calls wait to be written down: 64M, 1G. More of it
    /// rides out longer bursts.
    #[arg(long = "region-size", value_name = "SIZE", default_value = DEFAULT_REGION)]
    #[arg(value_parser = region_bytes)]
    pub region_bytes: u64,
    /// Do not ask the kernel about sockets as they open and close: spares one to three system calls each
    /// time. Retransmissions, what passed around the shim and the addresses that the kernel chose are then
    /// unknown, and a socket that another program is given counts as another one there.
    #[arg(long = "no-edges", action = clap::ArgAction::SetFalse)]
    pub edges: bool,
    /// Do not follow a program into one that it executes with an environment of its own making: what
    /// it left out of it, the shim's settings too, stays out.
    #[arg(long = "no-follow", action = clap::ArgAction::SetFalse)]
    pub follow: bool,
}

impl Recording {
    /// How large the trace may become.
    pub fn limit(&self) -> Option<Limit> {
        self.keep.map(Limit::Keep).or(self.rotate.map(Limit::Rotate))
    }
}

/// In which words: shared by `run`, `demo` and `report`.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Showing")]
pub struct Telling {
    /// Explain what happens in plain sentences, as a book would, for those who are learning.
    #[arg(long)]
    pub explain: bool,
    /// Explain in this language: en, or zh for 简体中文. Otherwise LC_ALL, LC_MESSAGES or LANG decides.
    #[arg(long, value_name = "LANGUAGE", requires = "explain", hide_possible_values = true)]
    pub lang: Option<Lang>,
}

/// How to show: shared by all verbs that tell a story.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Showing")]
pub struct View {
    /// Colors: auto obeys NO_COLOR, CLICOLOR and whether a terminal reads.
    #[arg(long, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
}

impl View {
    /// Settles the question for every stream of anstream's.
    pub fn apply(&self) {
        let choice = match self.color {
            ColorChoice::Auto => anstream::ColorChoice::Auto,
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
    }
}

const DEFAULT_REGION: &str = {
    assert!(DEFAULT_REGION_BYTES == 64 << 20);
    "64M"
};

/// How many of something: with none there is nothing to tell.
fn one_or_more(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "a number of 1 or more".into())
}

fn region_bytes(text: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    match region_parts(bytes) {
        Some(_) => Ok(bytes),
        None => Err("the shared memory has between 16K and 4G".into()),
    }
}

fn trace_bytes(text: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    if bytes >= Limit::LEAST { Ok(bytes) } else { Err("a trace needs 1M at least".into()) }
}

/// A number of bytes, or of K, M or G of them (powers of 1024).
fn size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 20),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    // `parse` alone would take "+1".
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok()).flatten();
    let number = number.ok_or("a number of bytes, as in 500000, 64K, 64M or 1G")?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".into())
}
