//! The file that a run is recorded into.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sockshim_format::region::Header;
use sockshim_reader::{Limit, TraceWriter};

/// A trace of no more bytes than it may have.
pub fn create(
    path: PathBuf,
    meta: &[(&str, &str)],
    region: &Header,
    limit: Option<Limit>,
) -> Result<(TraceWriter, PathBuf)> {
    let writer = begin(&path, meta, region, limit)
        .with_context(|| format!("cannot write the trace {}; name another file with -o", path.display()))?;
    Ok((writer, path))
}

fn begin(path: &Path, meta: &[(&str, &str)], region: &Header, limit: Option<Limit>) -> io::Result<TraceWriter> {
    if path == Path::new("-") || is_the_programs(path) {
        return Err(io::Error::other("what goes there is the program's own output"));
    }
    match limit {
        Some(limit) => {
            limit.may_begin(path)?;
            TraceWriter::create(path, meta, region)?.limited(limit)
        }
        None => TraceWriter::create(path, meta, region),
    }
}

/// Whether it is the file that standard output or standard error goes to: program and tool would write over each other.
fn is_the_programs(path: &Path) -> bool {
    let Some(file) = std::fs::metadata(path).ok().filter(|metadata| metadata.is_file()) else { return false };
    let goes_there = |to: BorrowedFd| {
        nix::sys::stat::fstat(to).is_ok_and(|its| (its.st_dev, its.st_ino) == (file.dev(), file.ino()))
    };
    goes_there(io::stdout().as_fd()) || goes_there(io::stderr().as_fd())
}
