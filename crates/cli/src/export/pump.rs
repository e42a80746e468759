//! Writes to whoever may read slowly, without waiting for them: a thread does that. Who drains the live region must not
//! wait, or the program would find no room in it.

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Bytes that are collected before they are handed to the thread.
const BUFFER_BYTES: usize = 1 << 16;
/// Bytes that may wait to be read.
const MOST_WAITING: usize = 64 << 20;

/// Where bytes go, sooner or later.
pub struct Pump {
    buffer: Vec<u8>,
    sender: Sender<Vec<u8>>,
    thread: JoinHandle<()>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    waiting: AtomicUsize,
    /// What went wrong first.
    error: Mutex<Option<io::Error>>,
}

impl Pump {
    /// Writes to a file from now on.
    pub fn new(mut file: File) -> Pump {
        let (sender, receiver) = channel::<Vec<u8>>();
        let shared = Arc::<Shared>::default();
        let theirs = shared.clone();
        let thread = thread::spawn(move || {
            for bytes in receiver {
                let written = file.write_all(&bytes);
                theirs.waiting.fetch_sub(bytes.len(), Relaxed);
                if let Err(error) = written {
                    *theirs.error.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(error);
                    return;
                }
            }
        });
        Pump { buffer: Vec::new(), sender, thread, shared }
    }

    /// Waits until all is written, or until somebody has waited enough.
    pub fn end(mut self, enough: impl Fn() -> bool) -> io::Result<()> {
        self.flush()?;
        drop(self.sender);
        while !self.thread.is_finished() {
            if enough() {
                return Err(io::Error::other("whoever reads it did not read to its end"));
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.shared.failed()
    }
}

impl Shared {
    fn failed(&self) -> io::Result<()> {
        let error = self.error.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        error.map_or(Ok(()), Err)
    }
}

impl Write for Pump {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.shared.failed()?;
        let bytes = std::mem::take(&mut self.buffer);
        if bytes.is_empty() {
            return Ok(());
        }
        let waiting = self.shared.waiting.fetch_add(bytes.len(), Relaxed);
        if waiting > MOST_WAITING {
            return Err(io::Error::other("whoever reads it is too slow: 64 MiB were waiting"));
        }
        // A thread that is gone has said why.
        self.sender.send(bytes).or_else(|_| self.shared.failed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::OwnedFd;

    fn pipe() -> (File, File) {
        let (reader, writer) = std::io::pipe().unwrap();
        (File::from(OwnedFd::from(reader)), File::from(OwnedFd::from(writer)))
    }

    #[test]
    fn who_reads_late_gets_all_of_it() {
        let (mut reader, writer) = pipe();
        let mut pump = Pump::new(writer);
        // More than a pipe holds.
        for number in 0..100_000u32 {
            pump.write_all(&number.to_le_bytes()).unwrap();
        }
        let reading = thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            all
        });
        pump.end(|| false).unwrap();
        let all = reading.join().unwrap();
        assert!(all.chunks_exact(4).enumerate().all(|(i, four)| four == (i as u32).to_le_bytes()));
        assert_eq!(all.len(), 400_000);
    }

    #[test]
    fn who_never_reads_is_given_up() {
        let (_reader, writer) = pipe();
        let mut pump = Pump::new(writer);
        let piece = vec![7; 1 << 20];
        let error = (0..100).find_map(|_| pump.write_all(&piece).err()).unwrap();
        assert!(error.to_string().contains("too slow"), "{error}");
        assert!(pump.end(|| true).is_err());
    }

    #[test]
    fn who_has_gone_is_told() {
        let (reader, writer) = pipe();
        drop(reader);
        let mut pump = Pump::new(writer);
        pump.write_all(b"hello").unwrap();
        assert_eq!(pump.end(|| false).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
