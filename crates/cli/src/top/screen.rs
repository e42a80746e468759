//! The terminal: taken, drawn on, and given back as it was, however top ends.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::mem::ManuallyDrop;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};
use ratatui::DefaultTerminal;

use super::draw::draw;
use super::keys;
use super::state::State;
use crate::wait::has_input;

/// How often the screen is drawn anew.
const EVERY: Duration = Duration::from_millis(250);

/// The signal that asked us to end; 0 for none.
static CAUGHT: AtomicI32 = AtomicI32::new(0);
const ENDING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT];

extern "C" fn catch(signal: i32) {
    CAUGHT.store(signal, Relaxed);
}

/// Whether there is a terminal to draw on. Keys come from it too where standard input is something else.
pub fn is_there() -> bool {
    io::stdout().is_terminal() && (io::stdin().is_terminal() || File::open("/dev/tty").is_ok())
}

/// The terminal, until this is dropped.
pub struct Screen {
    /// Never dropped: it would panic where it cannot say that the terminal is gone.
    terminal: ManuallyDrop<DefaultTerminal>,
    /// Where keys come from.
    keys: File,
}

impl Screen {
    /// Takes it. It is given back in a panic, too.
    pub fn take() -> Result<Screen> {
        let action = SigAction::new(SigHandler::Handler(catch), SaFlags::empty(), SigSet::empty());
        for signal in ENDING {
            // SAFETY: the handler stores a number, which is all that it may do at any moment.
            unsafe { sigaction(signal, &action) }.with_context(|| format!("cannot catch {signal}"))?;
        }
        let keys = match io::stdin() {
            stdin if stdin.is_terminal() => stdin.as_fd().try_clone_to_owned().map(File::from),
            _ => File::open("/dev/tty"),
        };
        let keys = keys.context("cannot read keys")?;
        let terminal = ratatui::try_init().context("cannot draw on this terminal")?;
        Ok(Screen { terminal: ManuallyDrop::new(terminal), keys })
    }

    /// Draws, and waits for keys a moment. True if somebody wants to quit.
    pub fn turn(&mut self, state: &mut State, color: bool) -> Result<bool> {
        let drawn = self.terminal.draw(|frame| draw(frame, state, color)).context("cannot draw on the terminal")?;
        let rows = drawn.area.height;
        match has_input(self.keys.as_fd(), EVERY) {
            // The terminal is gone.
            Err(_) => return Ok(true),
            Ok(false) => return Ok(CAUGHT.load(Relaxed) != 0),
            Ok(true) => {}
        }
        let mut bytes = [0; 256];
        let read = match (&self.keys).read(&mut bytes) {
            Ok(0) => return Ok(true),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(_) => return Ok(true),
        };
        for key in keys::parse(bytes.get(..read).unwrap_or_default()) {
            if keys::press(state, key, rows) {
                return Ok(true);
            }
        }
        Ok(CAUGHT.load(Relaxed) != 0)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = self.terminal.show_cursor();
        let _ = ratatui::try_restore();
    }
}

/// Dies of the signal that asked us to end, if one did. To be called when all is tidy.
pub fn die_if_asked() {
    let Ok(signal) = Signal::try_from(CAUGHT.load(Relaxed)) else { return };
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action calls nothing of ours.
    let _ = unsafe { sigaction(signal, &default) };
    let _ = raise(signal);
}
