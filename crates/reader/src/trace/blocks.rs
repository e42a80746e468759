//! The blocks of a trace file, one after the other, past whatever is damaged.

use super::checksum::crc32;
use super::lz4::MOST_PACKED;
use super::pack::unpack;
use super::{MAX_BLOCK_BYTES, Tail};
use crate::error::{Error, ErrorKind};
use sockshim_format::trace::*;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Reads blocks from a file whose length was taken when it was opened.
pub(super) struct Blocks {
    file: File,
    path: PathBuf,
    bytes: u64,
    start: u64,
    offset: u64,
    /// Where the file stopped making sense, and how; until a good block follows.
    bad: Option<(u64, &'static str)>,
    /// Bytes of candidates that may still be checked while looking for a good block. Without a
    /// bound, a file full of block headers that each claim the rest of it would take ages.
    budget: u64,
    end: Option<End>,
    /// The last block said that the run goes on in another file.
    continued: Option<String>,
    /// Bytes between good blocks that are none.
    pub damaged: u64,
    /// What is used again from block to block: room for what is unpacked, and payload that was given and is back.
    planes: Vec<u8>,
    pub spare: Vec<u8>,
}

impl Blocks {
    pub fn new(file: File, path: PathBuf, bytes: u64, start: u64) -> Blocks {
        let budget = bytes.saturating_mul(4).saturating_add(1 << 20);
        Blocks {
            file,
            path,
            bytes,
            start,
            offset: start,
            bad: None,
            budget,
            end: None,
            continued: None,
            damaged: 0,
            planes: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Begins again at the first block.
    pub fn rewind(&mut self) {
        let budget = self.bytes.saturating_mul(4).saturating_add(1 << 20);
        (self.offset, self.bad, self.budget, self.end, self.damaged) = (self.start, None, budget, None, 0);
        self.continued = None;
    }

    /// Takes note of what has been written since the file was opened. What ended in the middle of a block then is
    /// looked at again: the writer may have been at it.
    pub fn grow(&mut self) -> Result<(), Error> {
        let meta = self.file.metadata().map_err(|e| Error::new(&self.path, 0, ErrorKind::Io(e)))?;
        if meta.len() > self.bytes {
            self.bytes = meta.len();
            if let Some((offset, _)) = self.bad.take() {
                self.offset = offset;
            }
            self.budget = self.bytes.saturating_mul(4).saturating_add(1 << 20);
        }
        Ok(())
    }

    /// Gives back the room that is used again from block to block.
    pub fn let_go(&mut self) {
        (self.planes, self.spare) = (Vec::new(), Vec::new());
    }

    /// Where the file lies, as it was named when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How the file ends, as far as it has been read.
    pub fn tail(&self) -> Tail {
        match (self.bad, self.end) {
            (Some((offset, reason)), _) => Tail::Torn { offset, reason },
            (None, Some(end)) => Tail::Ended(end),
            (None, None) if self.continued.is_some() => Tail::Continued,
            (None, None) => Tail::Open,
        }
    }

    /// The name of the file in which the run goes on, if it is told.
    pub fn next_file(&self) -> Option<&str> {
        self.continued.as_deref()
    }

    /// Bytes behind the last good block.
    pub fn torn_bytes(&self) -> u64 {
        self.bad.map_or(0, |(offset, _)| self.bytes - offset)
    }

    /// Where the first block begins.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Where the next block is looked for.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Hands on a range of the file as it is.
    pub fn copy<E: From<Error>>(
        &self,
        from: u64,
        to: u64,
        put: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut buffer = vec![0; 65536];
        let mut at = from;
        while at < to {
            let there = (to - at).min(buffer.len() as u64) as usize;
            let Some(part) = buffer.get_mut(..there) else { break };
            self.read(at, part)?;
            put(part)?;
            at += there as u64;
        }
        Ok(())
    }

    /// The next good block. Its payload is read, and its checksum compared, if `wanted` says so of
    /// its kind; clock points and ends are always read.
    pub fn next(&mut self, wanted: fn(u16) -> bool) -> Result<Option<(Block, Vec<u8>)>, Error> {
        while self.offset < self.bytes {
            match self.block_at(self.offset, wanted)? {
                Ok((block, payload)) => {
                    if let Some((bad, _)) = self.bad.take() {
                        self.damaged += self.offset - bad;
                    }
                    if block.kind == BLOCK_END {
                        self.end = End::read(&payload);
                    }
                    let name = || String::from_utf8_lossy(&payload).into_owned();
                    self.continued = (block.kind == BLOCK_CONTINUED).then(name);
                    self.offset = block_end(self.offset, &block).min(self.bytes);
                    return Ok(Some((block, payload)));
                }
                Err((reason, next)) => {
                    self.bad.get_or_insert((self.offset, reason));
                    self.offset = match next {
                        Some(next) => next,
                        None => self.find_magic(self.offset + 8)?,
                    };
                }
            }
        }
        Ok(None)
    }

    /// The block at `offset`, or why there is none and, if that is known, where the next one begins.
    #[allow(clippy::type_complexity)]
    fn block_at(
        &mut self,
        offset: u64,
        wanted: fn(u16) -> bool,
    ) -> Result<Result<(Block, Vec<u8>), (&'static str, Option<u64>)>, Error> {
        let Some(block) = self.header_at(offset)? else {
            return Ok(Err(if self.bytes - offset < Block::SIZE as u64 {
                ("it ends within the header of a block", Some(self.bytes))
            } else {
                ("there is no block", None)
            }));
        };
        let stored = u64::from(block.stored_bytes);
        if self.bytes - offset - (Block::SIZE as u64) < stored {
            return Ok(Err(("it ends within a block", None)));
        }
        let raw = u64::from(block.raw_bytes);
        let known = match block.codec {
            CODEC_RAW => raw == stored,
            // Nothing that claims more than LZ4 can make of it gets the room for it.
            CODEC_PLANES => is_records(block.kind) && stored < raw && raw <= stored * MOST_PACKED as u64,
            CODEC_PACKED => is_records(block.kind) && stored < raw,
            _ => false,
        };
        if !known || raw > MAX_BLOCK_BYTES as u64 {
            return Ok(Err(("the header of a block makes no sense", None)));
        }
        if !matches!(block.kind, BLOCK_CLOCK | BLOCK_END | BLOCK_CONTINUED) && !wanted(block.kind) {
            return Ok(Ok((block, Vec::new())));
        }
        if self.bad.is_some() {
            if self.budget < stored {
                return Ok(Err(("too much of it is damaged", Some(self.bytes))));
            }
            self.budget -= stored;
        }
        let mut payload = vec![0; block.stored_bytes as usize];
        self.read(offset + Block::SIZE as u64, &mut payload)?;
        let good = crc32(&payload) == block.crc32;
        if good && block.codec != CODEC_RAW {
            // The checksum holds, so the length does.
            let next = Some(block_end(offset, &block).min(self.bytes));
            let mut out = std::mem::take(&mut self.spare);
            let unpacked = unpack(block.codec, &payload, block.raw_bytes as usize, &mut self.planes, &mut out);
            return Ok(unpacked.map(|()| (block, out)).ok_or(("a block cannot be unpacked", next)));
        }
        if good {
            return Ok(Ok((block, payload)));
        }
        // When a block stands right behind it, or the file ends there, the length is good and only
        // the payload is not: nothing inside it is then taken for a block.
        let end = block_end(offset, &block);
        let whole = end >= self.bytes || self.header_at(end)?.is_some();
        Ok(Err(("the checksum of a block is wrong", whole.then_some(end.min(self.bytes)))))
    }

    fn header_at(&self, offset: u64) -> Result<Option<Block>, Error> {
        if self.bytes.saturating_sub(offset) < Block::SIZE as u64 {
            return Ok(None);
        }
        let mut head = [0; Block::SIZE];
        self.read(offset, &mut head)?;
        Ok(Block::read(&head).filter(|block| block.magic == BLOCK_MAGIC))
    }

    /// The next place, at a multiple of 8, that begins like a block; else the end of the file.
    fn find_magic(&self, from: u64) -> Result<u64, Error> {
        let mut buffer = vec![0; 65536.min(self.bytes) as usize];
        let mut offset = from.next_multiple_of(8);
        while offset < self.bytes {
            let there = (self.bytes - offset).min(buffer.len() as u64) as usize;
            let Some(part) = buffer.get_mut(..there) else { break };
            self.read(offset, part)?;
            let found = part.chunks(8).position(|word| word.starts_with(&BLOCK_MAGIC.to_le_bytes()));
            if let Some(found) = found {
                return Ok(offset + found as u64 * 8);
            }
            offset += (there as u64).next_multiple_of(8);
        }
        Ok(self.bytes)
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        self.file.read_exact_at(buffer, offset).map_err(|e| Error::new(&self.path, offset, ErrorKind::Io(e)))
    }
}

/// Whether a block of this kind holds records.
pub(super) fn is_records(kind: u16) -> bool {
    matches!(kind, BLOCK_RECORDS | BLOCK_CARRIED)
}

fn block_end(offset: u64, block: &Block) -> u64 {
    offset + (Block::SIZE as u64 + u64::from(block.stored_bytes)).next_multiple_of(8)
}
