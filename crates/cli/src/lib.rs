//! The tool `sockshim`, as a library: the binary adds nothing but the shim that it carries.
//!
//! - [`entry`]: from libc to the tool
//! - [`flags`]: the command line
//! - [`tls_keys`]: session keys of TLS, for whoever wants to read what was encrypted
//! - [`target`]: can this program be traced? Says why not before it runs
//! - [`shim`]: finds libsockshim.so, or extracts the copy that the tool carries
//! - [`spawn`]: runs the program as a shell would, forwards signals, ends as it ended
//! - [`run`], [`show`], [`report`](mod@report), [`snapshot`]: the verbs; [`reading`]: what those two read that tell
//! - [`check`](mod@check): is a trace as expected?
//! - [`diff`](mod@diff): how two runs differ
//! - `top`, with the feature `tui`: connections and blocked threads while a run goes on
//! - [`export`]: a trace in the formats of other tools
//! - [`doctor`]: what will not be seen of a program, what was not of a run
//! - [`watch`]: what only shows from outside: io_urings, children that we are not in
//! - [`wait`]: sleeping until the program has ended, or somebody asks
//! - [`door`]: where a program that may not open the live region gets at it
//! - [`verify`]: compares a run with what the kernel was asked
//! - [`room`]: where the live region lies, and how large it may be
//! - [`inject`]: faults on demand
//! - [`html`]: a report as a page for browsers
//! - `math`, `unwind`: what would be looked for in libm and libgcc
//! - [`manual`]: the manual's pages
//! - [`demo`]: a program worth tracing, for a machine that has none
//! - [`explain`]: the story in plain sentences, in English and in Chinese
//! - [`views`]: calls as lines, connections as a table; [`palette`]: the colors of the phases
//!
//! Nothing here names the crate of the shim: whatever links it interposes its own `close`.

use std::ffi::OsString;
use std::io::{self, Write};

use anyhow::{Context, Result};
use clap::CommandFactory;

pub mod check;
pub mod demo;
pub mod diff;
pub mod doctor;
pub mod door;
pub mod entry;
pub mod explain;
pub mod export;
pub mod flags;
pub mod html;
pub mod inject;
pub mod manual;
mod math;
pub mod out;
pub mod palette;
pub mod reading;
pub mod report;
pub mod room;
pub mod run;
pub mod shim;
pub mod show;
pub mod snapshot;
pub mod spawn;
pub mod target;
pub mod tls_keys;
#[cfg(feature = "tui")]
pub mod top;
mod unwind;
pub mod verify;
pub mod views;
pub mod wait;
pub mod watch;

use entry::Exit;
use flags::{Demo, Faults, Flags, Run, Verb};
use target::Refusal;

/// The libraries that the binary carries.
pub struct Embedded {
    /// The bytes of libsockshim.so.
    pub shim: &'static [u8],
    /// Those of the library that collects keys.
    pub keylog: &'static [u8],
}

/// Exit status: the tool itself failed, and the program's own status is unknown or was never
/// there. As for `env`, `timeout` and `nohup`.
pub const FAILED: u8 = 125;

/// What the tool does, told by `arguments`, of which the first is its own name. Ends the process where these ask
/// for help, or are wrong.
pub fn main(arguments: Vec<OsString>, embedded: &Embedded) -> Exit {
    let done = match Verb::of(arguments) {
        // Not by way of the others, which together become one function with a large stack.
        Verb::Run(flags) => traced(&flags, embedded),
        verb => dispatch(verb, embedded),
    };
    done.unwrap_or_else(|error| failed(&error))
}

#[inline(never)]
fn dispatch(verb: Verb, embedded: &Embedded) -> Result<Exit> {
    match verb {
        Verb::Run(flags) => traced(&flags, embedded),
        Verb::Show(flags) => {
            flags.view.apply();
            show::show(&flags)
        }
        #[cfg(feature = "tui")]
        Verb::Top(flags) => {
            flags.view.apply();
            top::top(&flags)
        }
        Verb::Snapshot(flags) => snapshot::snapshot(&flags),
        Verb::Report(flags) => {
            flags.view.apply();
            report::report(&flags)
        }
        Verb::Explore(flags) => {
            flags.view.apply();
            inject::explore::explore(&flags, embedded.shim)
        }
        Verb::Check(flags) => {
            flags.view.apply();
            check::check(&flags)
        }
        Verb::Diff(flags) => {
            flags.view.apply();
            diff::diff(&flags)
        }
        Verb::Export(flags) => {
            flags.view.apply();
            export::export(&flags)
        }
        Verb::Doctor(flags) => {
            flags.view.apply();
            doctor::doctor(&flags)
        }
        Verb::Demo(flags) => traced(&demo_as_run(flags)?, embedded),
        Verb::Lib => print_shim(embedded),
        Verb::Completions { shell } => print_completions(shell),
        Verb::Man { folder } => manual::write(&folder).map(|()| Exit::SUCCESS),
        Verb::DemoProgram => demo::program().map(|()| Exit::SUCCESS),
    }
}

fn traced(flags: &Run, embedded: &Embedded) -> Result<Exit> {
    flags.view.apply();
    run::run(flags, embedded)
}

/// The demo is a program like any other; it only happens to be in this file.
fn demo_as_run(flags: Demo) -> Result<Run> {
    let tool = std::env::current_exe().context("cannot find the file of this tool, which the demo runs")?;
    let command = vec![OsString::from(tool), demo::VERB.into()];
    Ok(Run {
        recording: flags.recording,
        view: flags.view,
        command,
        telling: flags.telling,
        verify: false,
        faults: Faults::default(),
    })
}

fn print_shim(embedded: &Embedded) -> Result<Exit> {
    writeln!(io::stdout(), "{}", shim::locate(embedded.shim)?.display())?;
    Ok(Exit::SUCCESS)
}

fn print_completions(shell: clap_complete::Shell) -> Result<Exit> {
    io::stdout().write_all(&completions(shell))?;
    Ok(Exit::SUCCESS)
}

/// In memory, because the generator panics where a write fails. It knows no hidden verbs, so they
/// are left out beforehand.
fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let all = Flags::command();
    let visible = all.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned();
    let mut tool = clap::Command::new("sockshim").version(env!("CARGO_PKG_VERSION")).subcommands(visible);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut tool, "sockshim", &mut script);
    script
}

/// One line on stderr, and the exit status that goes with the error.
fn failed(error: &anyhow::Error) -> Exit {
    if is_broken_pipe(error) {
        // `sockshim show FILE | head` has done what it was asked to do.
        return Exit::SUCCESS;
    }
    let style = palette::ERROR;
    // With stderr gone too, the exit status is all that is left to say.
    let _ = writeln!(anstream::stderr(), "{style}sockshim:{style:#} {error:#}");
    Exit::from(error.downcast_ref::<Refusal>().map_or(FAILED, Refusal::exit_code))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_exit_code() {
        let code = |error: anyhow::Error| failed(&error);
        let expected = Exit::from;
        let refusal = || target::inspect("no-such-program-1b2c".as_ref()).unwrap_err();
        assert_eq!(code(refusal().into()), expected(127));
        assert_eq!(code(anyhow::Error::new(refusal()).context("while looking")), expected(127));
        assert_eq!(code(anyhow::anyhow!("whatever")), expected(FAILED));
        let pipe = anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe)).context("cannot write");
        assert_eq!(code(pipe), expected(0));
    }

    #[test]
    fn completions_exist_for_every_shell() {
        for shell in <clap_complete::Shell as clap::ValueEnum>::value_variants() {
            let script = String::from_utf8(completions(*shell)).unwrap();
            assert!(script.contains("snaplen") && !script.contains(demo::VERB), "{shell}");
        }
    }
}
