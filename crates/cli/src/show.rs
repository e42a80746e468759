//! `sockshim show`.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::flags::Show;

/// Tells the story of a trace.
pub fn show(_flags: &Show) -> Result<ExitCode> {
    bail!("show is not built yet")
}
