//! Sleeping until something happens.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// A descriptor that becomes readable when the process ends (pidfd_open(2), Linux 5.3).
pub fn pidfd(pid: u32) -> Option<OwnedFd> {
    // SAFETY: a system call that takes two numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
    // SAFETY: the kernel has just made this descriptor for us.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Sleeps until one of the descriptors is readable, at most `time`, and says which are.
pub fn wait_readable(fds: [Option<BorrowedFd<'_>>; 2], time: Duration) -> [bool; 2] {
    let entry = |fd: Option<BorrowedFd<'_>>| libc::pollfd {
        // The kernel passes over a negative number (poll(2)).
        fd: fd.map_or(-1, |fd| fd.as_raw_fd()),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut entries = fds.map(entry);
    // SAFETY: so many entries. An early return, for a signal, tells of nothing.
    unsafe {
        libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, time.as_nanos().div_ceil(1_000_000) as i32)
    };
    entries.map(|entry| entry.revents != 0)
}

/// Whether a terminal has input within `time`. Once it has hung up that is an error: it would be readable for ever.
pub fn has_input(terminal: BorrowedFd<'_>, time: Duration) -> io::Result<bool> {
    let mut entry = libc::pollfd { fd: terminal.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry. An early return, for a signal, tells of nothing.
    let ready = unsafe { libc::poll(&mut entry, 1, time.as_millis() as i32) };
    if ready > 0 && entry.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0 {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
    }
    Ok(ready > 0)
}
