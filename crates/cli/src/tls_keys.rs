//! `run --tls-keys`: gathers the session keys of the run's TLS connections, as lines of the format that
//! SSLKEYLOGFILE has (NSS key log), for the trace.
//!
//! They come by two ways. Programs with OpenSSL get a library preloaded (`crates/keylog`), which leaves lines in a
//! mapped file. All others are asked as everybody asks them: GnuTLS, NSS, Chromium and curl by SSLKEYLOGFILE, node by
//! NODE_OPTIONS. Both files are their owner's alone, and are removed when the run ends.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::fcntl::{FallocateFlags, fallocate};
use sockshim_format::keys::*;
use sockshim_reader::TraceWriter;

use crate::room;
use crate::spawn::Variable;

/// The file's name, wherever it is extracted to.
pub const LIBRARY: &str = "libsockshim_keylog.so";

const LOG: &str = "SSLKEYLOGFILE";
const NODE: &str = "NODE_OPTIONS";
const NODE_FLAG: &str = "--tls-keylog";

/// Lines that are remembered, because the same ones often come by both ways.
const MOST_REMEMBERED: usize = 4096;
/// What is read of a log at once.
const MOST_READ: usize = 1 << 20;

/// Where keys come from during a run.
pub struct TlsKeys {
    ring: File,
    ring_path: PathBuf,
    /// Where room was looked for when the ring was last read.
    next: u32,
    logs: Vec<Log>,
    /// The log that is ours to remove.
    log_path: PathBuf,
    told: HashSet<String>,
    variables: Vec<Variable>,
}

/// A key log that programs append to.
struct Log {
    file: File,
    offset: u64,
    /// A line whose end is not there yet.
    rest: Vec<u8>,
    is_ours: bool,
}

impl TlsKeys {
    /// Makes both files beside the live region.
    pub fn begin(region: &Path) -> Result<TlsKeys> {
        let (ring_path, log_path) = (region.with_extension("keys"), region.with_extension("keylog"));
        let make = |path: &Path| {
            let made = OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(path);
            made.with_context(|| format!("cannot make {}, where TLS keys are collected", path.display()))
        };
        // Not `append`: what is written at an offset would go to the end.
        let ring = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&ring_path);
        // Written whole: a mapped page that the disk has no room for is SIGBUS in the program.
        let mut bytes = KEYS_MAGIC.to_le_bytes().to_vec();
        bytes.resize(KEYS_BYTES, 0);
        let ring = ring.and_then(|ring| ring.write_all_at(&bytes, 0).map(|()| ring));
        let ring = ring.with_context(|| format!("cannot make {}, where TLS keys wait", ring_path.display()));
        let made = ring.and_then(|ring| Ok((ring, make(&log_path)?)));
        let (ring, log) = made.inspect_err(|_| room::remove(&ring_path))?;
        let mut logs = vec![Log { file: log, offset: 0, rest: Vec::new(), is_ours: true }];
        let mut variables: Vec<Variable> = vec![(VARIABLE.into(), ring_path.clone().into())];
        // Somebody who collects keys already goes on with it; what comes in from now on is ours too.
        match std::env::var_os(LOG).filter(|path| !path.is_empty()) {
            None => variables.push((LOG.into(), log_path.clone().into())),
            Some(path) => logs.extend(Log::of_others(Path::new(&path))),
        }
        variables.extend(node_options(std::env::var_os(NODE).as_deref(), &log_path));
        Ok(TlsKeys { ring, ring_path, next: 0, logs, log_path, told: HashSet::new(), variables })
    }

    /// What leads programs to them.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// Puts what is new into the trace.
    pub fn keep(&mut self, all: bool, trace: &mut TraceWriter) -> io::Result<()> {
        let lines = self.gather(all)?;
        if lines.is_empty() { Ok(()) } else { trace.keys(&lines) }
    }

    /// The lines that are new. `all` looks everywhere; otherwise only where there may be something.
    fn gather(&mut self, all: bool) -> io::Result<String> {
        let mut lines = String::new();
        let mut found = Vec::new();
        self.of_ring(all, &mut found)?;
        for log in &mut self.logs {
            log.read(&mut found)?;
        }
        for line in found {
            let Some(line) = std::str::from_utf8(&line).ok().filter(|line| is_key(line)) else { continue };
            if self.told.len() >= MOST_REMEMBERED {
                self.told.clear();
            }
            if self.told.insert(line.to_owned()) {
                lines.push_str(line);
                lines.push('\n');
            }
        }
        Ok(lines)
    }

    fn of_ring(&mut self, all: bool, found: &mut Vec<Vec<u8>>) -> io::Result<()> {
        let mut next = [0; 4];
        self.ring.read_exact_at(&mut next, NEXT_OFFSET as u64)?;
        let next = u32::from_le_bytes(next);
        if next == self.next && !all {
            return Ok(());
        }
        self.next = next;
        let mut slots = vec![0; SLOTS * SLOT_BYTES];
        self.ring.read_exact_at(&mut slots, SLOTS_OFFSET as u64)?;
        for (place, slot) in slots.chunks_exact(SLOT_BYTES).enumerate() {
            let (head, line) = slot.split_at(LINE_OFFSET);
            if head.get(..4) != Some(&SLOT_THERE.to_le_bytes()) {
                continue;
            }
            let len = head.get(4..8).and_then(|len| len.try_into().ok()).map_or(0, u32::from_le_bytes) as usize;
            found.push(line.get(..len).unwrap_or_default().to_vec());
            // The key shall not lie there longer than needed, and the slot is free last.
            let at = (SLOTS_OFFSET + place * SLOT_BYTES) as u64;
            self.ring.write_all_at(&[0; SLOT_BYTES - 4], at + 4)?;
            self.ring.write_all_at(&SLOT_FREE.to_le_bytes(), at)?;
        }
        Ok(())
    }

    /// Lines that found no room.
    pub fn lost(&self) -> u32 {
        let mut lost = [0; 4];
        // A file that cannot be read any more has said so before.
        let _ = self.ring.read_exact_at(&mut lost, LOST_OFFSET as u64);
        u32::from_le_bytes(lost)
    }
}

impl Drop for TlsKeys {
    fn drop(&mut self) {
        room::remove(&self.ring_path);
        room::remove(&self.log_path);
    }
}

impl Log {
    /// A log that is there already, from its end on. None if it cannot be read.
    fn of_others(path: &Path) -> Option<Log> {
        let there = std::fs::metadata(path).ok();
        // Of a pipe or a device not even the opening is harmless.
        if there.as_ref().is_some_and(|meta| !meta.is_file()) {
            return None;
        }
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path).ok()?;
        Some(Log { file, offset: there.map_or(0, |meta| meta.len()), rest: Vec::new(), is_ours: false })
    }

    fn read(&mut self, found: &mut Vec<Vec<u8>>) -> io::Result<()> {
        let len = self.file.metadata()?.len();
        while self.offset < len {
            let mut bytes = vec![0; usize::try_from(len - self.offset).unwrap_or(MOST_READ).min(MOST_READ)];
            let read = self.file.read_at(&mut bytes, self.offset)?;
            if read == 0 {
                break;
            }
            bytes.truncate(read);
            self.offset += read as u64;
            self.rest.append(&mut bytes);
            while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.drain(..=end).collect::<Vec<u8>>();
                found.push(line.trim_ascii_end().to_vec());
            }
            // Not a line of a key log, whatever it is.
            if self.rest.len() > MOST_READ {
                self.rest.clear();
            }
            if self.is_ours {
                // Programs go on at the end; what was read gives its memory back. Where that is not
                // possible it stays until the run ends.
                let punch = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
                let _ = fallocate(&self.file, punch, 0, self.offset as i64);
            }
        }
        Ok(())
    }
}

/// Whether a line is one of a key log: a label, and two numbers in hexadecimal.
fn is_key(line: &str) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    let is_hex = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_label = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    matches!(words[..], [label, random, secret] if is_label(label) && is_hex(random) && is_hex(secret))
}

/// What node needs, which knows no SSLKEYLOGFILE; nothing where somebody has said it already.
fn node_options(theirs: Option<&OsStr>, log: &Path) -> Option<Variable> {
    let mut options = theirs.unwrap_or_default().to_owned();
    if options.to_string_lossy().contains(NODE_FLAG) {
        return None;
    }
    if !options.is_empty() {
        options.push(" ");
    }
    options.push(format!("{NODE_FLAG}=\""));
    options.push(log);
    options.push("\"");
    Some((NODE.into(), options))
}

/// What is preloaded: the shim, and behind it the library that collects keys.
pub fn preloaded(shim: &Path, library: &Path) -> PathBuf {
    let mut list = OsString::from(shim);
    list.push(":");
    list.push(library);
    PathBuf::from(list)
}

#[cfg(test)]
mod tests;
