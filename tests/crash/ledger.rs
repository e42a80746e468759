//! The account that the victim keeps of its own calls, in a file that outlives it: `victim.c`.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

const ROWS: usize = 1024;

/// What one thread has done. All zeros until it begins.
#[repr(C)]
pub struct Row {
    pub pid: AtomicU32,
    pub tid: AtomicU32,
    /// Transfers begun, stored before the call.
    pub begun: AtomicU64,
    /// Transfers returned, stored after it.
    pub returned: AtomicU64,
    /// 1: its only one is a recv that nobody answers.
    pub waits: AtomicU32,
    reserved: [u32; 9],
}

#[repr(C)]
struct Shared {
    rows: AtomicU32,
    pid: AtomicU32,
    children: [AtomicU32; 14],
    row: [Row; ROWS],
}

/// The mapped file.
pub struct Ledger {
    path: PathBuf,
    shared: &'static Shared,
}

impl Ledger {
    /// Makes an empty one.
    pub fn new(path: PathBuf) -> Ledger {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        file.set_len(size_of::<Shared>() as u64).unwrap();
        let (protection, fd) = (libc::PROT_READ | libc::PROT_WRITE, file.as_raw_fd());
        // SAFETY: a new mapping of a file that is as long as it, which `drop` alone ends.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), size_of::<Shared>(), protection, libc::MAP_SHARED, fd, 0) };
        assert_ne!(at, libc::MAP_FAILED);
        // SAFETY: mapped just now, aligned to a page; every bit pattern is a `Shared`, and all of it is atomic.
        Ledger { path, shared: unsafe { &*at.cast() } }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The rows that are taken.
    pub fn rows(&self) -> &[Row] {
        &self.shared.row[..(self.shared.rows.load(SeqCst) as usize).min(ROWS)]
    }

    /// Transfers that have returned so far, of all threads.
    pub fn returned(&self) -> u64 {
        self.rows().iter().map(|row| row.returned.load(SeqCst)).sum()
    }

    /// The victim; 0 before it has come to `main`.
    pub fn pid(&self) -> u32 {
        self.shared.pid.load(SeqCst)
    }

    /// Its children that stay. As long as it lives nobody else has their numbers, for it does not wait for
    /// them.
    pub fn children(&self) -> Vec<u32> {
        self.shared.children.iter().map(|pid| pid.load(SeqCst)).filter(|pid| *pid != 0).collect()
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // SAFETY: `rows` lends no longer than we live.
        unsafe { libc::munmap(std::ptr::from_ref(self.shared).cast_mut().cast(), size_of::<Shared>()) };
        std::fs::remove_file(&self.path).unwrap();
    }
}
