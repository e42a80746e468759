//! Where a traced program gets at the live region that it may not open, because it runs as another user by
//! now. The region is its owner's alone, so the tool hands out a descriptor of it, to the processes of this
//! run and to nobody else. A socket with a path, because one without is the network namespace's alone.

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{ControlMessage, MsgFlags, getsockopt, sendmsg};

/// Parents that are looked at before a process counts as a stranger.
const GENERATIONS: usize = 64;

/// The socket at which processes of the run ask. Removed when it is dropped.
pub struct Door {
    listener: UnixListener,
    path: PathBuf,
}

impl Door {
    /// What the shim adds to the path of the region.
    pub const SUFFIX: &str = ".door";

    /// Opens it beside the region.
    pub fn open(region: &Path) -> io::Result<Door> {
        let mut path = region.as_os_str().to_owned();
        path.push(Door::SUFFIX);
        let listener = UnixListener::bind(&path)?;
        let door = Door { listener, path: path.into() };
        door.listener.set_nonblocking(true)?;
        // Whoever may knock is not yet let in.
        fs::set_permissions(&door.path, Permissions::from_mode(0o666))?;
        Ok(door)
    }

    /// Somebody who waits for an answer.
    pub fn asker(&self) -> Option<Asker> {
        self.listener.accept().ok().map(|(stream, _)| Asker(stream))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // If that fails there is nothing better to do than to leave it.
        let _ = fs::remove_file(&self.path);
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// A process that asks for the region.
pub struct Asker(UnixStream);

impl Asker {
    /// Hands out the region if the process, or a parent of it, is one of `ours`. Whom it fails runs
    /// untraced.
    pub fn answer(self, region: BorrowedFd<'_>, ours: &HashSet<i32>) -> io::Result<()> {
        let mut pid = getsockopt(&self.0, PeerCredentials)?.pid();
        for _ in 0..GENERATIONS {
            if ours.contains(&pid) {
                let fds = [region.as_raw_fd()];
                let rights = [ControlMessage::ScmRights(&fds)];
                // One byte into an empty socket: nothing blocks here, whatever the asker does.
                sendmsg::<()>(self.0.as_raw_fd(), &[io::IoSlice::new(b"r")], &rights, MsgFlags::MSG_DONTWAIT, None)?;
                return Ok(());
            }
            match parent(pid) {
                Some(parent) if parent > 1 => pid = parent,
                _ => break,
            }
        }
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

/// The parent of a process, as proc(5) tells it behind the name, which may hold anything.
fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    std::str::from_utf8(stat.get(end + 1..)?).ok()?.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn asked(ours: &[i32]) -> usize {
        let region = std::env::temp_dir().join(format!("sockshim-door-{}-{}", std::process::id(), ours.len()));
        let door = Door::open(&region).unwrap();
        let mut stream = UnixStream::connect(&door.path).unwrap();
        let file = fs::File::open("/proc/self/exe").unwrap();
        let result = door.asker().unwrap().answer(file.as_fd(), &ours.iter().copied().collect());
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(result.is_ok(), !answer.is_empty());
        answer.len()
    }

    #[test]
    fn a_process_of_the_run_is_let_in_and_a_stranger_is_not() {
        let parent = parent(std::process::id() as i32).unwrap();
        assert_eq!(asked(&[std::process::id() as i32]), 1);
        assert_eq!(asked(&[parent, -1]), 1, "a child of the run's");
        assert_eq!(asked(&[]), 0);
    }
}
