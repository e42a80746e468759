//! How far a long export has come, for whoever waits in front of a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::views::count;

/// Calls between two looks at the clock.
const EVERY_CALLS: u64 = 1 << 14;
/// What takes less needs no explanation.
const PATIENCE: Duration = Duration::from_secs(1);
const BETWEEN: Duration = Duration::from_millis(200);

/// One line that is written over and over.
pub struct Progress {
    is_told: bool,
    next: Instant,
    written: bool,
}

impl Progress {
    /// Tells nothing where nobody looks.
    pub fn new() -> Progress {
        Progress { is_told: io::stderr().is_terminal(), next: Instant::now() + PATIENCE, written: false }
    }

    /// So many calls have been written.
    pub fn tick(&mut self, calls: u64) {
        self.tell(calls, "written");
    }

    /// So many events have been looked at, and nothing has been written yet.
    pub fn look_ahead(&mut self, events: u64) {
        self.tell(events, "read ahead");
    }

    fn tell(&mut self, calls: u64, what: &str) {
        if !self.is_told || !calls.is_multiple_of(EVERY_CALLS) || Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + BETWEEN;
        self.written = true;
        let _ = write!(io::stderr(), "\r\x1b[Ksockshim: {} {what}", count(calls, "call"));
    }

    /// Takes the line away.
    pub fn done(&mut self) {
        if std::mem::take(&mut self.written) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Default for Progress {
    fn default() -> Progress {
        Progress::new()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.done();
    }
}
