//! A trace file that is being written: its beginning, and blocks, each in one write.

use super::checksum::crc32;
use super::pack::Packed;
use crate::sys::have_alone;
use sockshim_format::record::SCHEMA;
use sockshim_format::trace::*;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// One file.
pub(super) struct Output {
    pub path: PathBuf,
    file: File,
    /// Whether it is a regular file, which others could change; not a pipe.
    pub regular: bool,
    /// Whether it was not there before us.
    created: bool,
    /// Bytes of the file that are whole blocks.
    pub good: u64,
    /// The block that is written, for the memory.
    block: Vec<u8>,
}

impl Output {
    /// Creates the file, or writes over one that is there, readable by its owner alone. `meta` is `key value` lines.
    pub fn begin(path: &Path, head: &FileHeader, meta: &str) -> io::Result<Output> {
        let (file, created) = open(path)?;
        let there = file.metadata()?;
        let regular = there.is_file();
        if regular && !have_alone(&file) {
            return Err(io::Error::other("another run writes to it"));
        }
        let mut output = Output { path: path.to_owned(), file, regular, created, good: 0, block: Vec::new() };
        let begun = output.write_beginning(there.len(), head, meta);
        if begun.is_err() {
            output.take_back();
        }
        begun.map(|()| output)
    }

    fn write_beginning(&mut self, bytes_there: u64, head: &FileHeader, meta: &str) -> io::Result<()> {
        let mut text = format!("{meta}\n{}", SCHEMA.concat());
        while !text.len().is_multiple_of(8) {
            text.push('\n');
        }
        let head = FileHeader { meta_bytes: text.len() as u32, ..*head };
        if self.regular {
            // One that was there already may have been readable by others. If it is not ours to change,
            // it is not ours to say who reads it.
            let _ = self.file.set_permissions(std::fs::Permissions::from_mode(0o600));
            // Nothing of an earlier trace may be taken for ours, its header no more than its blocks. One byte stays until
            // it is written over: a file that was made empty is sent to the disk by ext4 when it is closed, which costs
            // a short run more than the writing.
            if bytes_there > 1 {
                self.file.set_len(1)?;
            }
        }
        let beginning = [&head.to_bytes()[..], text.as_bytes()].concat();
        self.file.write_all(&beginning)?;
        self.good = beginning.len() as u64;
        Ok(())
    }

    /// Nothing is to be told: removes the file, if it was not there before. Else it is left empty.
    pub fn take_back(&self) {
        if self.created {
            let _ = std::fs::remove_file(&self.path);
        } else if self.regular {
            let _ = self.file.set_len(0);
        }
    }

    /// Whether somebody has removed it.
    pub fn is_removed(&self) -> io::Result<bool> {
        Ok(self.regular && self.file.metadata()?.nlink() == 0)
    }

    /// Writes a block as it is.
    pub fn plain(&mut self, header: Block, payload: &[u8]) -> io::Result<()> {
        self.stored(Block { codec: CODEC_RAW, raw_bytes: payload.len() as u32, ..header }, payload)
    }

    /// Writes a block of records: packed, if it is shorter so.
    pub fn records(&mut self, header: Block, packed: &Packed) -> io::Result<()> {
        let bytes = packed.bytes();
        if bytes.len() >= packed.payload_bytes
            && let Some(payload) = packed.unpack()
        {
            return self.plain(header, &payload);
        }
        self.stored(Block { codec: CODEC_PACKED, raw_bytes: packed.payload_bytes as u32, ..header }, bytes)
    }

    /// Completes the header, puts it in front of the payload, and writes both at once.
    fn stored(&mut self, header: Block, payload: &[u8]) -> io::Result<()> {
        let header = Block { stored_bytes: payload.len() as u32, crc32: crc32(payload), ..header };
        let mut block = std::mem::take(&mut self.block);
        block.clear();
        block.extend_from_slice(&header.to_bytes());
        block.extend_from_slice(payload);
        block.resize(block.len().next_multiple_of(8), 0);
        let written = self.write(&block);
        self.block = block;
        written
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // What is written behind the end of a file that was cut short could not be read.
        if self.regular && self.file.metadata()?.len() != self.good {
            return Err(io::Error::other("somebody else changed its file"));
        }
        let written = self.file.write_all(bytes);
        match written {
            Ok(()) => self.good += bytes.len() as u64,
            // Part of the block may be there. Into a pipe nothing can be taken back, and both calls
            // fail; the reader then meets a torn block and goes on behind it.
            Err(_) => {
                let _ = self.file.set_len(self.good);
                let _ = self.file.seek(SeekFrom::Start(self.good));
            }
        }
        written
    }
}

/// The file, and whether it is a new one.
fn open(path: &Path) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    match options.create_new(true).open(path) {
        // As it is for now: somebody else may be writing to it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok((options.create_new(false).create(true).truncate(false).open(path)?, false))
        }
        file => Ok((file?, true)),
    }
}

/// The header of a block that is no records.
pub(super) fn header(kind: u16, complete_ticks: u64) -> Block {
    Block {
        magic: BLOCK_MAGIC,
        kind,
        codec: CODEC_RAW,
        stored_bytes: 0,
        raw_bytes: 0,
        crc32: 0,
        calls: 0,
        min_ticks: 0,
        max_ticks: 0,
        complete_ticks,
    }
}

/// `key value` lines.
pub(super) fn lines(pairs: &[(&str, &str)]) -> String {
    let line = |(key, value): &(&str, &str)| {
        let value = value.replace('\\', "\\\\").replace('\n', "\\n");
        format!("{key} {value}\n")
    };
    pairs.iter().map(line).collect()
}
