//! What can be seen of traced processes from outside only: who has an io_uring, and which children
//! run a program that we are not in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sockshim_reader::Model;

/// How often to look, in the end; short programs are looked at sooner.
const EVERY: Duration = Duration::from_millis(200);
const FIRST: Duration = Duration::from_millis(25);
/// After so many looks at a process only each fifth looks for a ring, which is made early: all descriptors have to be
/// asked for it.
const OFTEN: u32 = 10;
/// A program has loaded us by then, if it does.
const PATIENCE: Duration = Duration::from_millis(500);
/// Descriptors and threads of a process that are looked at each time: a ring is made early.
const MOST: usize = 256;

/// Looks at traced processes now and then.
pub struct Watch {
    next: Instant,
    interval: Duration,
    /// How often processes were looked at, by number.
    looks: BTreeMap<u32, u32>,
    /// Processes, by number, that have an io_uring.
    io_uring: BTreeSet<u32>,
    /// Children of traced processes that run another program than their parent, and have not attached.
    strangers: BTreeMap<u32, Stranger>,
}

struct Stranger {
    path: PathBuf,
    since: Instant,
    stayed: bool,
}

impl Watch {
    /// Begins now.
    pub fn new(now: Instant) -> Watch {
        Watch {
            next: now + FIRST,
            interval: FIRST,
            looks: BTreeMap::new(),
            io_uring: BTreeSet::new(),
            strangers: BTreeMap::new(),
        }
    }

    /// Whether it is time to look again.
    pub fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// Looks at the processes that run: (number, pid).
    pub fn look(&mut self, alive: &[(u32, u32)], now: Instant) {
        self.interval = (self.interval * 2).min(EVERY);
        self.next = now + self.interval;
        let looks = |number| self.looks.get(number).map_or(1, |looks| looks.wrapping_add(1));
        self.looks = alive.iter().map(|(number, _)| (*number, looks(number))).collect();
        for (number, pid) in alive {
            let looks = self.looks.get(number).copied().unwrap_or_default();
            let rings = looks < OFTEN || looks.is_multiple_of(5);
            if rings && !self.io_uring.contains(number) && has_io_uring(*pid) {
                self.io_uring.insert(*number);
            }
            let own = fs::read_link(format!("/proc/{pid}/exe"));
            for child in children(*pid) {
                match fs::read_link(format!("/proc/{child}/exe")) {
                    // Between fork and exec it runs its parent's program.
                    Ok(path) if own.as_ref().is_ok_and(|own| *own != path) => self.met(child, path, now),
                    _ => {}
                }
            }
        }
        self.strangers.retain(|pid, _| !alive.iter().any(|(_, attached)| attached == pid));
    }

    fn met(&mut self, pid: u32, path: PathBuf, now: Instant) {
        match self.strangers.get_mut(&pid).filter(|known| known.path == path) {
            Some(known) => known.stayed |= now - known.since >= PATIENCE,
            None => _ = self.strangers.insert(pid, Stranger { path, since: now, stayed: false }),
        }
    }

    fn not_followed(&self) -> impl Iterator<Item = (u32, &Path)> {
        self.strangers.iter().filter(|(_, stranger)| stranger.stayed).map(|(pid, stranger)| (*pid, &*stranger.path))
    }

    /// What was seen, as notes for the trace.
    pub fn notes(&self) -> Vec<(&'static str, String)> {
        let rings = self.io_uring.iter().map(|number| ("io_uring", number.to_string()));
        rings
            .chain(self.not_followed().map(|(pid, path)| ("not_followed", format!("{pid} {}", path.display()))))
            .collect()
    }
}

/// Tells a model what notes say.
pub fn tell<'a>(model: &mut Model, notes: impl Iterator<Item = (&'a str, &'a str)>) {
    for (key, value) in notes {
        match (key, value.split_once(' ')) {
            ("io_uring", _) => value.parse().into_iter().for_each(|number| model.has_io_uring(number)),
            ("not_followed", Some((pid, path))) => {
                pid.parse().into_iter().for_each(|pid| model.seen_running(pid, path.as_bytes()));
            }
            _ => {}
        }
    }
}

fn has_io_uring(pid: u32) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let links = entries.flatten().take(MOST).map(|entry| fs::read_link(entry.path()));
    links.flatten().any(|link| link.as_os_str() == "anon_inode:[io_uring]")
}

/// The children of a process. None where the kernel does not list them (CONFIG_PROC_CHILDREN).
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = threads.flatten().take(MOST).map(|thread| fs::read_to_string(thread.path().join("children")));
    lists.flatten().flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{FromRawFd, OwnedFd};
    use std::process::{Command, Stdio};

    #[test]
    fn a_child_is_told_once_it_has_had_the_time_to_attach() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let (me, now) = (std::process::id(), Instant::now());
        let mut watch = Watch::new(now);
        assert!(!watch.is_due(now) && watch.is_due(now + FIRST));
        let told = |watch: &Watch| watch.not_followed().any(|(pid, path)| pid == child.id() && path.ends_with("cat"));
        watch.look(&[(1, me)], now);
        assert!(!told(&watch));
        watch.look(&[(1, me)], now + PATIENCE);
        assert!(told(&watch));
        watch.look(&[(1, me), (2, child.id())], now + PATIENCE);
        assert!(!told(&watch), "it attached");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_ring_is_seen() {
        let mut parameters = [0u8; 120];
        // SAFETY: the parameters are as long as the kernel's struct.
        let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, parameters.as_mut_ptr()) };
        if fd < 0 {
            return println!("SKIPPED: a_ring_is_seen: {}", std::io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us.
        let ring = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        let mut watch = Watch::new(Instant::now());
        watch.look(&[(7, std::process::id())], Instant::now());
        assert_eq!(watch.notes().first(), Some(&("io_uring", "7".to_owned())));
        drop(ring);
    }
}
