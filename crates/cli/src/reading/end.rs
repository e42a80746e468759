//! How files end, and what there is to say about that.

use std::io;

use sockshim_reader::{Tail, Trace};

use super::{note, warn};
use crate::views::{count, safe};

/// Says on stderr what a trace lacks that was read to its end.
pub(super) fn tell(trace: &Trace, file: &str) -> io::Result<()> {
    if let Some((lost, _)) = trace.lost().filter(|(lost, _)| *lost > 0) {
        warn(format!(
            "{} lost while it was recorded",
            if lost == 1 { "1 call was".into() } else { format!("{lost} calls were") }
        ))?;
    }
    if trace.left_out() > 0 {
        note(format!("{} left out, as a filter of the program asked", count(trace.left_out(), "call")))?;
    }
    if trace.damaged_bytes() > 0 {
        warn(format!("{file}: {} are damaged and were passed over", count(trace.damaged_bytes(), "byte")))?;
    }
    match trace.tail() {
        Tail::Ended(_) | Tail::Region { .. } => Ok(()),
        Tail::Continued => match trace.next_file() {
            "" => note("the run goes on in a newer file".into()),
            name => note(format!("the run goes on in {}", safe(name.as_bytes()))),
        },
        _ if trace.goes_on() => note(format!("the run goes on: this is what {file} held when it was opened")),
        Tail::Open => warn(format!("{file} was not ended: sockshim is still writing it, or was killed")),
        Tail::Torn { offset, reason } => {
            warn(format!("{file} is cut short at byte {offset} ({reason}); all that is in front of it was shown"))
        }
    }
}
