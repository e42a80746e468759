//! Where the live region lies, and how large it may be.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;
use sockshim_reader::{Region, RegionOptions};

/// Makes the live region: of the size that was asked for, or smaller, if a limit on our files or our memory
/// (`ulimit -f`, `ulimit -v`) does not let us have that much.
pub fn make_region(options: &RegionOptions) -> Result<(Region, PathBuf)> {
    const LEAST_BYTES: u64 = 1 << 20;
    let mut options = options.clone();
    // The program maps it too, under the same limit, and needs the room for itself: an eighth is ours.
    let memory = getrlimit(Resource::RLIMIT_AS).map_or(u64::MAX, |(soft, _)| soft);
    options.bytes = options.bytes.min((memory / 8).max(LEAST_BYTES) & !0xfff);
    loop {
        let error = match make_region_of(&options) {
            Err(error) if options.bytes / 2 >= LEAST_BYTES => error,
            made_or_not => return made_or_not,
        };
        let number = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        if !matches!(number, Some(libc::EFBIG | libc::ENOMEM)) {
            return Err(error);
        }
        options.bytes /= 2;
    }
}

/// Makes it where writing costs no disk, or where there is room at all.
fn make_region_of(options: &RegionOptions) -> Result<(Region, PathBuf)> {
    let name = format!(
        "sockshim-{}-{:08x}.region",
        std::process::id(),
        std::time::UNIX_EPOCH.elapsed().map_or(0, |d| d.subsec_nanos())
    );
    let mut first_error = None;
    for folder in [Path::new("/dev/shm").to_owned(), std::env::temp_dir()] {
        remove_stale(&folder);
        // Absolute, because the program may start elsewhere than we do.
        let path = std::path::absolute(folder.join(&name)).unwrap_or_else(|_| folder.join(&name));
        match has_room(&folder).and_then(|()| Region::create(&path, options)) {
            Ok(region) => return Ok((region, path)),
            Err(error) => {
                let text = format!("cannot make the live region {}", path.display());
                first_error.get_or_insert(anyhow::Error::new(error).context(text));
            }
        }
    }
    let error = first_error.unwrap_or_else(|| anyhow::anyhow!("there is no folder for the live region"));
    Err(error.context("make room in /dev/shm, or set TMPDIR to a folder that has some"))
}

/// Whether a folder has room for the chunks of some threads. A region begins with less, and takes what it needs as it is used: in a
/// folder that is nearly full it would find too late that there is none.
fn has_room(folder: &Path) -> io::Result<()> {
    const LEAST_BYTES: u64 = 256 << 10;
    let Ok(disk) = statvfs(folder) else { return Ok(()) };
    // A tmpfs without a limit says that it has no blocks at all.
    let full = disk.blocks() != 0 && disk.blocks_free() * disk.fragment_size() < LEAST_BYTES;
    if full { Err(io::Error::from_raw_os_error(libc::ENOSPC)) } else { Ok(()) }
}

/// Removes regions, and what belongs to them, that a killed tool left behind a day ago or longer. Until then `show` may need them.
fn remove_stale(folder: &Path) {
    // The region, its door, and what `run --tls-keys` makes beside them.
    const KINDS: [&str; 4] = ["region", "region.door", "keys", "keylog"];
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let file = entry.file_name();
        let parts = file.to_str().and_then(|file| file.strip_prefix("sockshim-")?.split_once('.'));
        let Some((name, kind)) = parts.filter(|(_, kind)| KINDS.contains(kind)) else { continue };
        // A door leads to a region, and nowhere without it. A tool that ends takes the region away first.
        if kind == "region.door" && !entry.path().with_extension("").exists() {
            remove(&entry.path());
            continue;
        }
        let Some(pid) = name.split('-').next().and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|time| time.elapsed().ok());
        let old = age.is_some_and(|age| age > Duration::from_secs(24 * 60 * 60));
        if old && !Path::new("/proc").join(pid.to_string()).exists() {
            remove(&entry.path());
        }
    }
}

/// Removes a file of ours. If that fails there is nothing better to do than to leave it.
pub fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_go_with_their_regions() {
        let folder = std::env::temp_dir().join(format!("sockshim-room-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let files =
            ["sockshim-1-aa.region", "sockshim-1-aa.region.door", "sockshim-1-bb.region.door", "other.region.door"];
        files.iter().for_each(|file| std::fs::write(folder.join(file), "").unwrap());
        remove_stale(&folder);
        let there: Vec<_> = files.iter().filter(|file| folder.join(file).exists()).collect();
        assert_eq!(there, [&files[0], &files[1], &files[3]]);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
