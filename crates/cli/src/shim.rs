//! Finds libsockshim.so, or makes it: the tool carries a copy, so that one file installs all.
//!
//! `$SOCKSHIM_LIB` wins; then a copy beside the tool or in its `../lib`; then the carried copy,
//! extracted once into a directory that names its content. The path ends up in LD_PRELOAD, which
//! spaces and colons split and in which `$` expands (ld.so(8)), with no way to escape them. And a
//! traced program may change its user before it executes the next one: every user must be able to
//! read the file, and nobody else to replace it, for the loader runs its code.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::sys::statvfs::{FsFlags, statvfs};

use crate::tls_keys;

#[cfg(test)]
mod tests;

/// Names the shim to use, before any other.
pub const VARIABLE: &str = "SOCKSHIM_LIB";
/// The file's name, wherever it lies.
pub const FILE_NAME: &str = "libsockshim.so";
/// Its name where it is installed for programs alone, and not for compilers (SONAME).
const RUNTIME_NAME: &str = "libsockshim.so.0";

/// Where a copy may lie, seen from the directory of the tool. Cargo leaves it in `deps` alone when
/// it builds nothing but the binary.
const BESIDE: [&str; 5] = ["", "../lib", "../lib64", MULTIARCH, "deps"];
#[cfg(target_arch = "x86_64")]
const MULTIARCH: &str = "../lib/x86_64-linux-gnu";
#[cfg(target_arch = "aarch64")]
const MULTIARCH: &str = "../lib/aarch64-linux-gnu";

/// Directories of ours that somebody else occupies, before a root is given up.
const ATTEMPTS: u32 = 8;

/// The absolute path of the shim, fit for LD_PRELOAD. `embedded` is the copy that the tool carries.
pub fn locate(embedded: &[u8]) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
        return check_named(Path::new(&named));
    }
    let tool = std::env::current_exe().ok();
    if let Some(beside) = tool.as_deref().and_then(Path::parent).and_then(find_beside) {
        return Ok(beside);
    }
    extract(FILE_NAME, embedded, &roots())
}

/// The absolute path of the library that collects keys of TLS, likewise. There is no other than the carried one.
pub fn locate_keylog(embedded: &[u8]) -> Result<PathBuf> {
    extract(tls_keys::LIBRARY, embedded, &roots())
}

/// A path that the user chose is never replaced by another, only refused.
fn check_named(named: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(named).with_context(|| format!("{VARIABLE}={}", named.display()))?;
    if !fits_preload(&path) {
        bail!("{VARIABLE}={}: LD_PRELOAD takes no space, colon or $; copy it to a path without", path.display());
    }
    let mut magic = [0; 4];
    File::open(&path)
        .and_then(|mut file| file.read_exact(&mut magic))
        .with_context(|| format!("{VARIABLE}={}: name a {FILE_NAME} that can be read, or unset it", path.display()))?;
    if magic != *b"\x7fELF" {
        bail!("{VARIABLE}={}: not a shared library; name a {FILE_NAME}, or unset it", path.display());
    }
    Ok(path)
}

fn find_beside(directory: &Path) -> Option<PathBuf> {
    let mut places =
        BESIDE.iter().flat_map(|place| [FILE_NAME, RUNTIME_NAME].map(|name| directory.join(place).join(name)));
    let found = places.find(|path| path.is_file())?;
    // Without the dots, for the eyes of those who meet it in LD_PRELOAD.
    let has_dots = found.components().any(|part| part == Component::ParentDir);
    let found = if has_dots { fs::canonicalize(found).ok()? } else { found };
    fits_preload(&found).then_some(found)
}

/// Whether a file of this name is the shim: `libsockshim.so`, or that with a version behind it.
pub fn is_shim(file_name: &str) -> bool {
    file_name.strip_prefix(FILE_NAME).is_some_and(|version| version.is_empty() || version.starts_with('.'))
}

fn fits_preload(path: &Path) -> bool {
    !path.as_os_str().as_bytes().iter().any(|byte| b" :$".contains(byte))
}

/// Directories to extract into, best first. Every user can reach the first two; /var/tmp outlives a
/// reboot. The rest is for machines where neither can be written or executed from.
fn roots() -> Vec<PathBuf> {
    let cache = |variable: &str, below: &str| Some(PathBuf::from(std::env::var_os(variable)?).join(below));
    let others = [cache("TMPDIR", ""), cache("XDG_CACHE_HOME", ""), cache("HOME", ".cache")];
    let all = ["/var/tmp", "/tmp"].map(PathBuf::from).into_iter().chain(others.into_iter().flatten());
    all.filter(|root| root.is_absolute()).collect()
}

fn extract(file_name: &str, embedded: &[u8], roots: &[PathBuf]) -> Result<PathBuf> {
    if embedded.is_empty() {
        bail!("this tool carries no {file_name}; name a {FILE_NAME} in {VARIABLE}, or put one beside it");
    }
    let mut refusals = Vec::new();
    for root in roots {
        match extract_below(file_name, embedded, root) {
            Ok(path) => return Ok(path),
            Err(error) => refusals.push(format!("{} ({error})", root.display())),
        }
    }
    let refusals = refusals.join(", ");
    bail!("no place for {file_name}: {refusals}; put {FILE_NAME} where programs may run, and name it in {VARIABLE}")
}

fn extract_below(file_name: &str, embedded: &[u8], root: &Path) -> io::Result<PathBuf> {
    if !fits_preload(root) {
        return Err(io::Error::other("its name splits LD_PRELOAD"));
    }
    if statvfs(root)?.flags().contains(FsFlags::ST_NOEXEC) {
        return Err(io::Error::other("mounted noexec"));
    }
    let us = nix::unistd::geteuid();
    let metadata = fs::metadata(root)?;
    let sticky = metadata.mode() & libc::S_ISVTX != 0;
    let owner = metadata.uid();
    if (!sticky && !only_owner_writes(&metadata)) || (owner != 0 && owner != us.as_raw()) {
        return Err(io::Error::other("others may rename what is in it"));
    }
    // Tells versions apart. Against forgery there is the comparison in `is_good_copy`.
    let (version, bytes, sum) = (env!("CARGO_PKG_VERSION"), embedded.len(), crc32fast::hash(embedded));
    let name = format!("sockshim-{us}-{version}-{bytes:x}-{sum:08x}");
    for attempt in 0..ATTEMPTS {
        let suffix = if attempt == 0 { String::new() } else { format!("-{attempt}") };
        let directory = root.join(format!("{name}{suffix}"));
        if !is_ours(&directory)? {
            continue;
        }
        let path = directory.join(file_name);
        if !is_good_copy(&path, embedded) {
            write_copy(&path, embedded)?;
        }
        return Ok(path);
    }
    Err(io::Error::other("others occupy our names in it"))
}

/// Makes the directory, or looks whether the one that is there can be trusted. Whoever owns it
/// could put another library in, and whoever owns the link could point it elsewhere.
fn is_ours(directory: &Path) -> io::Result<bool> {
    match DirBuilder::new().mode(0o755).create(directory) {
        // The umask may have taken away what other users need.
        Ok(()) => fs::set_permissions(directory, Permissions::from_mode(0o755))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let metadata = fs::symlink_metadata(directory)?;
    let ours = metadata.uid() == nix::unistd::geteuid().as_raw();
    Ok(metadata.is_dir() && ours && only_owner_writes(&metadata) && metadata.mode() & 0o055 == 0o055)
}

fn only_owner_writes(metadata: &fs::Metadata) -> bool {
    metadata.mode() & 0o022 == 0
}

/// The content is compared whole: a copy cut short by a full disk has the right name too.
fn is_good_copy(path: &Path, embedded: &[u8]) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| {
        metadata.is_file()
            && metadata.uid() == nix::unistd::geteuid().as_raw()
            && only_owner_writes(&metadata)
            && metadata.mode() & 0o044 == 0o044
            && metadata.len() == embedded.len() as u64
    }) && File::open(path).is_ok_and(|file| holds(file, embedded))
}

/// Whether the file holds these bytes. Piece by piece: memory for a whole copy would take longer to have than
/// the bytes to compare.
#[inline(never)] // its frame touches a page for each 4 KiB of the piece, and most runs have no need of it
fn holds(mut file: File, bytes: &[u8]) -> bool {
    let mut piece = [0; 32 << 10];
    bytes.chunks(piece.len()).all(|expected| {
        let read = piece.get_mut(..expected.len());
        read.is_some_and(|read| file.read_exact(read).is_ok() && read == expected)
    })
}

/// A rename, because the file at `path` may be mapped into programs that are running: writing into
/// it would change their code.
fn write_copy(path: &Path, embedded: &[u8]) -> io::Result<()> {
    let mut temporary = OsString::from(path);
    temporary.push(OsStr::new(&format!(".{}", std::process::id())));
    let written = write_new(Path::new(&temporary), embedded).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Left behind by a killed tool that had our process id.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(path)?;
    file.write_all(bytes)?;
    file.set_permissions(Permissions::from_mode(0o755))
}
