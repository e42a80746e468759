//! `sockshim run` and `sockshim demo`.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::flags::Run;

/// Runs the program and tells its story; ends as it ends.
pub fn run(_flags: &Run, _embedded_shim: &[u8]) -> Result<ExitCode> {
    bail!("run is not built yet; preload the shim by hand: LD_PRELOAD=$(sockshim lib) PROGRAM")
}
