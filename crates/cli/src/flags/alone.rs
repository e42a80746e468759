//! From arguments to what they ask for: `run` is parsed by itself.

use std::ffi::OsString;
use std::mem::ManuallyDrop;

use clap::{Args, FromArgMatches, Parser};

use super::texts::STYLES;
use super::{Flags, Run, Verb};

impl Verb {
    /// What the arguments ask for, of which the first is the tool's name. Ends the process where they ask for help, or
    /// are wrong.
    pub fn of(arguments: Vec<OsString>) -> Verb {
        match arguments.split_first() {
            Some((_, rest)) if rest.first().is_some_and(|verb| verb == "run") => {
                Verb::Run(Run::parse_alone(rest).unwrap_or_else(|error| error.exit()))
            }
            _ => Flags::parse_from(arguments).verb,
        }
    }
}

impl Run {
    /// Parses `run` and what follows it, without a word about the other verbs: to make their list is a third of what the
    /// parser takes, and a program waits for it.
    pub(super) fn parse_alone(arguments: &[OsString]) -> Result<Run, clap::Error> {
        let command = clap::Command::new("run").bin_name("sockshim run").display_name("sockshim-run").styles(STYLES);
        // To take it to pieces would be time for nothing too.
        let mut command = ManuallyDrop::new(Run::augment_args(command));
        let mut matches = command.try_get_matches_from_mut(arguments)?;
        Run::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
    }
}
