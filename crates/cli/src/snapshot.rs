//! `sockshim snapshot`: what a run has written so far, while it goes on, as one file.

use std::io::Write;

use anyhow::{Context, Result, bail};
use sockshim_reader::trace::{NoCopy, snapshot as copy};

use crate::entry::Exit;
use crate::export::output::Output;
use crate::flags::Snapshot;
use crate::views::bytes;

/// Copies a trace. The copy is there as a whole or not at all.
pub fn snapshot(flags: &Snapshot) -> Result<Exit> {
    let (from, to) = (&flags.file, &flags.output);
    let is_source = |to| from.canonicalize().is_ok_and(|from| from == to);
    if to.canonicalize().is_ok_and(is_source) {
        bail!("{} is the trace itself: name another file for the copy", to.display());
    }
    let mut out = Output::open(to, true)?;
    let name = out.name().to_owned();
    let copied = copy(from, &mut out).or_else(|error| match error {
        NoCopy::Read(error) => Err(error.into()),
        NoCopy::Write(error) => Err(error).with_context(|| format!("cannot write {name}")),
    })?;
    out.finish().with_context(|| format!("cannot write {name}"))?;
    writeln!(anstream::stderr(), "sockshim: {} in {name}", bytes(copied))?;
    Ok(Exit::SUCCESS)
}
