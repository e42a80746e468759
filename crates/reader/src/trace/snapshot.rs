//! A copy of what a run has written so far, as one file that can be kept.

use super::Trace;
use super::output::header;
use super::part::Part;
use crate::error::{Error, ErrorKind};
use sockshim_format::trace::*;
use std::fs::OpenOptions;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Copies the trace at `path`, of a flight recorder all its files, to `to`, which must not exist, readable by its
/// owner alone. If the run goes on, the copy says so and where. Returns the bytes of the copy. An `Err` names the
/// file that could not be read or written; then `to` may be there and is not whole.
pub fn snapshot(path: &Path, to: &Path) -> Result<u64, Error> {
    let goes_on = Trace::open(path)?.goes_on();
    let Some(newest) = Part::open(path)? else { return Err(Error::new(path, 0, ErrorKind::NoTrace)) };
    let mut parts = newest.with_earlier(path);
    let failed = |e| Error::new(to, 0, ErrorKind::Io(e));
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(failed)?;
    let mut continued = None;
    for (number, part) in parts.iter_mut().enumerate() {
        let first = number == 0;
        if first {
            part.blocks.copy(0, part.blocks.start(), &mut out).map_err(failed)?;
        }
        loop {
            let from = part.blocks.offset();
            let Some((block, payload)) = part.blocks.next(|_| false)? else { break };
            match block.kind {
                // What is carried over is known from the files before.
                BLOCK_CARRIED if !first => {}
                BLOCK_CONTINUED => continued = Some((block, payload)),
                // What is damaged in front of it goes with it.
                _ => part.blocks.copy(from, part.blocks.offset(), &mut out).map_err(failed)?,
            }
        }
    }
    if goes_on || continued.as_ref().is_some_and(|(_, name)| !name.is_empty()) {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let (ticks, name) = match &continued {
            Some((block, next)) if !next.is_empty() => (block.complete_ticks, next.as_slice()),
            _ => (0, name),
        };
        let bytes = name.len() as u32;
        let crc32 = crc32fast::hash(name);
        let head = Block { stored_bytes: bytes, raw_bytes: bytes, crc32, ..header(BLOCK_CONTINUED, ticks) };
        let mut block = [&head.to_bytes()[..], name].concat();
        block.resize(block.len().next_multiple_of(8), 0);
        out.write_all(&block).map_err(failed)?;
    }
    bytes(&mut out).map_err(failed)
}

fn bytes(file: &mut std::fs::File) -> io::Result<u64> {
    file.seek(SeekFrom::End(0))
}
