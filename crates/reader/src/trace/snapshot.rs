//! A copy of what a run has written so far, as one file that can be kept.

use super::Trace;
use super::checksum::crc32;
use super::output::header;
use super::part::Part;
use crate::error::{Error, ErrorKind};
use sockshim_format::trace::*;
use std::io::{self, Write};
use std::path::Path;

/// Why there is no copy.
#[derive(Debug)]
pub enum NoCopy {
    /// The trace cannot be read.
    Read(Error),
    /// The copy cannot be written.
    Write(io::Error),
}

impl From<Error> for NoCopy {
    fn from(error: Error) -> NoCopy {
        NoCopy::Read(error)
    }
}

/// Copies the trace at `path`, of a flight recorder all its files. If the run goes on, the copy says so and where.
/// Returns the bytes of the copy.
pub fn snapshot(path: &Path, out: &mut impl Write) -> Result<u64, NoCopy> {
    let goes_on = Trace::open(path)?.goes_on();
    let Some(newest) = Part::open(path)? else { return Err(Error::new(path, 0, ErrorKind::NoTrace).into()) };
    let mut written = 0;
    let mut put = |bytes: &[u8]| {
        written += bytes.len() as u64;
        out.write_all(bytes).map_err(NoCopy::Write)
    };
    let mut continued = None;
    for (number, mut part) in newest.with_earlier(path).into_iter().enumerate() {
        let first = number == 0;
        if first {
            part.blocks.copy(0, part.blocks.start(), &mut put)?;
        }
        loop {
            let from = part.blocks.offset();
            let Some((block, payload)) = part.blocks.next(|_| false)? else { break };
            match block.kind {
                // What is carried over is known from the files before.
                BLOCK_CARRIED if !first => {}
                BLOCK_CONTINUED => continued = Some((block, payload)),
                // What is damaged in front of it goes with it.
                _ => part.blocks.copy(from, part.blocks.offset(), &mut put)?,
            }
        }
    }
    if goes_on || continued.as_ref().is_some_and(|(_, name)| !name.is_empty()) {
        let own = path.file_name().unwrap_or_default().as_encoded_bytes();
        let (ticks, name) = match &continued {
            Some((block, next)) if !next.is_empty() => (block.complete_ticks, next.as_slice()),
            _ => (0, own),
        };
        let bytes = name.len() as u32;
        let crc32 = crc32(name);
        let head = Block { stored_bytes: bytes, raw_bytes: bytes, crc32, ..header(BLOCK_CONTINUED, ticks) };
        let mut block = [&head.to_bytes()[..], name].concat();
        block.resize(block.len().next_multiple_of(8), 0);
        put(&block)?;
    }
    Ok(written)
}
