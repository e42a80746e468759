//! `sockshim snapshot`: what a run has written so far, while it goes on, as one file.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use sockshim_reader::trace::snapshot as copy;

use crate::flags::Snapshot;
use crate::views::bytes;

/// Copies a trace. The copy is written beside its place, and put there when it is whole.
pub fn snapshot(flags: &Snapshot) -> Result<ExitCode> {
    let (from, to) = (&flags.file, &flags.output);
    let same = |to: std::path::PathBuf| from.canonicalize().is_ok_and(|from| from == to);
    if to.canonicalize().is_ok_and(same) {
        bail!("{} is the trace itself: name another file for the copy", to.display());
    }
    let mut beside = to.as_os_str().to_owned();
    beside.push(format!(".{}.partial", std::process::id()));
    let beside = std::path::PathBuf::from(beside);
    let copied = copy(from, &beside).map_err(anyhow::Error::from).and_then(|bytes| {
        std::fs::rename(&beside, to).with_context(|| format!("cannot write {}", to.display()))?;
        Ok(bytes)
    });
    let copied = copied.inspect_err(|_| _ = std::fs::remove_file(&beside))?;
    writeln!(anstream::stderr(), "sockshim: {} in {}", bytes(copied), to.display())?;
    Ok(ExitCode::SUCCESS)
}
