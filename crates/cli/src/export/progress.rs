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
    /// None where nobody looks.
    out: Option<Box<dyn Write>>,
    next: Instant,
    written: bool,
}

impl Progress {
    /// Tells nothing where nobody looks.
    pub fn new() -> Progress {
        let stderr = io::stderr();
        let out = stderr.is_terminal().then(|| Box::new(stderr) as Box<dyn Write>);
        Progress { out, next: Instant::now() + PATIENCE, written: false }
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
        let Some(out) = &mut self.out else { return };
        if !calls.is_multiple_of(EVERY_CALLS) || Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + BETWEEN;
        self.written = true;
        let _ = write!(out, "\r\x1b[Ksockshim: {} {what}", count(calls, "call"));
    }

    /// Takes the line away.
    pub fn done(&mut self) {
        if let Some(out) = &mut self.out
            && std::mem::take(&mut self.written)
        {
            let _ = write!(out, "\r\x1b[K");
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    #[derive(Clone, Default)]
    struct Screen(Rc<RefCell<Vec<u8>>>);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_written_over_and_taken_away_in_the_end() {
        let screen = Screen::default();
        let shown = || String::from_utf8(screen.0.borrow().clone()).unwrap();
        let mut progress = Progress { out: Some(Box::new(screen.clone())), next: Instant::now(), written: false };
        progress.look_ahead(EVERY_CALLS - 1);
        assert_eq!(shown(), "", "nobody asks for the time after each call");
        progress.look_ahead(EVERY_CALLS);
        assert_eq!(shown(), "\r\x1b[Ksockshim: 16,384 calls read ahead");
        progress.next = Instant::now();
        progress.tick(2 * EVERY_CALLS);
        assert!(shown().ends_with("\r\x1b[Ksockshim: 32,768 calls written"), "{}", shown());
        drop(progress);
        assert!(shown().ends_with("written\r\x1b[K"), "{}", shown());
    }
}
