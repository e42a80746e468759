//! `sockshim show`: the calls of a trace again, or its connections.

use std::io::{self, Write};

use anyhow::Result;

use crate::entry::Exit;
use crate::flags::Show;
use crate::out;
use crate::reading::{Opened, Run};
use crate::views::{Teller, live::Live, table};

/// Prints a trace.
pub fn show(flags: &Show) -> Result<Exit> {
    // The connections know how much has passed, and not what.
    let opened = Opened::open(&Run::only(&flags.files), !flags.connections)?;
    opened.tell()?;
    let mut out = out::stdout();
    let mut live = Live::new(opened.begin_ns(), out::colors(&io::stdout()));
    let reading = match flags.connections {
        true => opened.read_in_bounds(None)?,
        false => opened.read_in_bounds(Some(&mut |model, event| live.event(&mut out, model, event)))?,
    };
    if !flags.connections && reading.calls > 0 {
        writeln!(out)?;
    }
    table::print_each(&mut out, &reading.model, reading.calls, |each| reading.each(each))?;
    out.flush()?;
    drop(out);
    reading.tell()?;
    Ok(Exit::SUCCESS)
}
