//! One file of a run, and those that belong to it.

use super::blocks::Blocks;
use super::series::numbered;
use crate::error::{Error, ErrorKind};
use crate::region::check_start;
use sockshim_format::region::REGION_MAGIC;
use sockshim_format::trace::*;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Earlier files of a flight recorder that are looked for: it has fewer.
const MOST_EARLIER: u64 = 64;

/// A file, opened for reading.
pub(super) struct Part {
    pub header: FileHeader,
    pub meta: Vec<(String, String)>,
    pub blocks: Blocks,
}

impl Part {
    /// Opens a trace; `None` if it is a region.
    pub fn open(path: &Path) -> Result<Option<Part>, Error> {
        let error = |offset: u64, kind| Error::new(path, offset, kind);
        let io = |e| error(0, ErrorKind::Io(e));
        // Of a pipe not even the opening is harmless: it may wait for ever.
        match std::fs::metadata(path) {
            Ok(meta) if !meta.is_file() && !meta.is_dir() => return Err(error(0, ErrorKind::NotRegular)),
            Err(e) if e.kind() == io::ErrorKind::NotFound && path.as_os_str() == "-" => {
                return Err(error(0, ErrorKind::NotRegular));
            }
            _ => {}
        }
        let file = File::open(path).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        let mut head = Vec::new();
        (&file).take(FileHeader::SIZE as u64).read_to_end(&mut head).map_err(io)?;
        if head.starts_with(&REGION_MAGIC.to_le_bytes()) {
            return Ok(None);
        }
        check_start(path, &head, TRACE_MAGIC, TRACE_VERSION)?;
        let short = |offset| error(offset, ErrorKind::ShortHeader);
        let header = FileHeader::read(&head).ok_or_else(|| short(bytes))?;
        let start = FileHeader::SIZE as u64 + u64::from(header.meta_bytes);
        if start > bytes {
            return Err(short(bytes));
        }
        let mut text = Vec::new();
        (&file).take(u64::from(header.meta_bytes)).read_to_end(&mut text).map_err(io)?;
        let blocks = Blocks::new(file, path.to_owned(), bytes, start.next_multiple_of(8));
        Ok(Some(Part { header, meta: meta_lines(&text), blocks }))
    }

    /// Opens several files of one run, and puts them in order.
    pub fn open_all(paths: &[impl AsRef<Path>]) -> Result<Vec<Part>, Error> {
        let mut parts = Vec::new();
        for path in paths.iter().map(AsRef::as_ref) {
            let part = Part::open(path)?.ok_or_else(|| Error::new(path, 0, ErrorKind::OtherRun))?;
            parts.push((part.number(), path, part));
        }
        parts.sort_by_key(|(number, ..)| *number);
        let id = parts.first().map(|(.., part)| part.header.id);
        let mut expected = None;
        for (number, path, part) in &parts {
            if Some(part.header.id) != id {
                return Err(Error::new(path, 0, ErrorKind::OtherRun));
            }
            if expected.is_some_and(|expected| expected != *number) {
                return Err(Error::new(path, 0, ErrorKind::OtherPart(*number)));
            }
            expected = number.checked_add(1);
        }
        Ok(parts.into_iter().map(|(.., part)| part).collect())
    }

    /// This one behind the earlier files that a flight recorder has not joined with it yet.
    pub fn with_earlier(self, path: &Path) -> Vec<Part> {
        let (number, id) = (self.number(), self.header.id);
        let keeps = self.meta("keep").is_some();
        let mut parts = vec![self];
        if keeps {
            // From the newest to the oldest: the recorder removes the oldest first, also while we look.
            for number in (number.saturating_sub(MOST_EARLIER).max(1)..number).rev() {
                let path = numbered(path, number);
                // Of a pipe or a device not even the opening is harmless.
                let is_file = std::fs::metadata(&path).is_ok_and(|meta| meta.is_file());
                let earlier = if is_file { Part::open(&path).ok().flatten() } else { None };
                parts.extend(earlier.filter(|part| part.header.id == id && part.number() == number));
            }
            parts.reverse();
        }
        parts
    }

    pub fn number(&self) -> u64 {
        self.meta("part").and_then(|part| part.parse().ok()).unwrap_or(1)
    }

    fn meta(&self, key: &str) -> Option<&str> {
        self.meta.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }
}

/// `key value` lines up to the first empty one; the schema stands behind that.
pub(super) fn meta_lines(text: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().take_while(|line| !line.is_empty());
    lines.filter_map(|line| line.split_once(' ')).map(|(key, value)| (key.to_owned(), unescape(value))).collect()
}

fn unescape(value: &str) -> String {
    let mut out = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next().map(|c| if c == 'n' { '\n' } else { c })),
            c => out.push(c),
        }
    }
    out
}
