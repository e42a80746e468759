//! What became of a program with a fault, compared with the run without.

use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;

use super::program::Run;

/// What became of it, the worst first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A signal killed it, which none did before.
    Crashed(String),
    /// It did not end, and kept the processor busy.
    Spins,
    /// It did not end.
    Hangs,
    /// It left so many sockets more open than before.
    Leaked(usize, Box<Outcome>),
    /// It ended as if nothing had been, but its output is another.
    OtherOutput,
    /// It ended with this status, which is another, and said this last.
    Ended(i32, String),
    /// As before.
    Same,
    /// The call was not made this time.
    NotReached,
}

impl Outcome {
    /// Judges a run by the first one.
    pub fn of(run: &Run, first: &Run) -> Outcome {
        let (status, before) = (run.ending.status, first.ending.status);
        if !run.timed_out && !run.calls.iter().any(|call| call.injected) {
            return Outcome::NotReached;
        }
        if run.timed_out {
            return if run.busy > run.timeout / SPINNING { Outcome::Spins } else { Outcome::Hangs };
        }
        if let Some(signal) = status.signal().filter(|_| before.signal() != status.signal()) {
            let name =
                Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |signal| signal.to_string());
            return Outcome::Crashed(name);
        }
        let ended = if status != before {
            Outcome::Ended(status.code().unwrap_or(-1), run.said.clone())
        } else if run.ending.output != first.ending.output {
            Outcome::OtherOutput
        } else {
            Outcome::Same
        };
        match run.left_open.saturating_sub(first.left_open) {
            0 => ended,
            more => Outcome::Leaked(more, Box::new(ended)),
        }
    }

    /// Whether it is a mistake of the program whatever it was meant to do.
    pub fn is_bad(&self) -> bool {
        matches!(self, Outcome::Crashed(_) | Outcome::Spins | Outcome::Hangs | Outcome::Leaked(..))
    }

    /// In words.
    pub fn words(&self) -> String {
        match self {
            Outcome::Crashed(signal) => format!("CRASH {signal}"),
            Outcome::Spins => "HANG, busy".into(),
            Outcome::Hangs => "HANG".into(),
            Outcome::Leaked(count, ended) => {
                let sockets = if *count == 1 { "socket" } else { "sockets" };
                format!("LEAK {count} {sockets}; {}", ended.words())
            }
            Outcome::OtherOutput => "same status, OTHER OUTPUT".into(),
            Outcome::Ended(status, said) if said.is_empty() => format!("exit {status}, silently"),
            Outcome::Ended(status, said) => format!("exit {status}: {said}"),
            Outcome::Same => "same".into(),
            Outcome::NotReached => "not reached".into(),
        }
    }
}

/// Who has had a tenth of the time on a processor, which others may have wanted too, was not waiting.
const SPINNING: u32 = 10;
