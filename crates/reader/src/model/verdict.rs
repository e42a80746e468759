//! Who closed first, and how.

use super::connection::Ending;

/// TCP states, as `tcpi_state` numbers them (include/net/tcp_states.h).
pub mod tcp {
    #![allow(missing_docs)]
    pub const ESTABLISHED: u8 = 1;
    pub const FIN_WAIT1: u8 = 4;
    pub const FIN_WAIT2: u8 = 5;
    pub const TIME_WAIT: u8 = 6;
    pub const CLOSE: u8 = 7;
    pub const CLOSE_WAIT: u8 = 8;
    pub const LAST_ACK: u8 = 9;
    pub const CLOSING: u8 = 11;
}

/// Who closed a connection first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FirstToClose {
    /// We did, in order.
    Us,
    /// We did, and the peer gets a reset: something was left unread, or SO_LINGER asked for it.
    UsReset,
    /// The peer did.
    Peer,
    /// The peer reset it, or the kernel gave it up.
    Reset,
    /// Both at the same time.
    Both,
    /// Nobody: it is open, was left to the kernel, or was never connected.
    Nobody,
    /// It ended, and nothing tells how.
    Unknown,
}

impl FirstToClose {
    /// The words that people see.
    pub const fn words(self) -> &'static str {
        match self {
            FirstToClose::Us => "we closed first",
            FirstToClose::UsReset => "we closed first, with a reset",
            FirstToClose::Peer => "the peer closed first",
            FirstToClose::Reset => "reset by the peer",
            FirstToClose::Both => "both closed at once",
            FirstToClose::Nobody => "nobody closed",
            FirstToClose::Unknown => "unknown who closed first",
        }
    }
}

/// What speaks for who closed first. Times are in nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// When a read gave nothing: the peer had ended its direction.
    pub eof_ns: Option<u64>,
    /// When a call failed with ECONNRESET or EPIPE, and with which.
    pub reset: Option<(u64, u16)>,
    /// When the program ended its own direction with `shutdown`.
    pub half_close_ns: Option<u64>,
    /// `tcpi_state` just before that `shutdown`.
    pub state_at_shutdown: Option<u8>,
    /// When the last descriptor was closed.
    pub close_ns: Option<u64>,
    /// `tcpi_state` just before that.
    pub state_at_close: Option<u8>,
    /// Bytes that were never read by then; `None` if it was not asked.
    pub unread_bytes: Option<u32>,
    /// Bytes that were not acknowledged by then; `None` if it was not asked.
    pub unsent_bytes: Option<u32>,
    /// SO_LINGER with a time of zero: `close` resets.
    pub linger_resets: bool,
}

impl Evidence {
    /// Weighs what there is. The kernel's own state comes first, for the program need not have
    /// noticed what the peer did; then what the program's calls met, in the order of time.
    pub(super) fn verdict(&self, ending: Ending, connected: bool) -> FirstToClose {
        if !connected {
            return FirstToClose::Nobody;
        }
        if let Some(state) = self.state_at_shutdown.filter(|_| self.half_close_ns.is_some()) {
            match state {
                // A peer that resets answers our shutdown, or it would have been CLOSE by then.
                tcp::ESTABLISHED => return self.ours(),
                tcp::CLOSE_WAIT | tcp::LAST_ACK => return FirstToClose::Peer,
                _ => {}
            }
        }
        match self.state_at_close {
            Some(tcp::CLOSE_WAIT | tcp::LAST_ACK) => return FirstToClose::Peer,
            Some(tcp::ESTABLISHED) => return self.ours(),
            Some(tcp::FIN_WAIT1 | tcp::FIN_WAIT2 | tcp::TIME_WAIT) => return FirstToClose::Us,
            Some(tcp::CLOSING) => return FirstToClose::Both,
            _ => {}
        }
        let half_close = self.half_close_ns.unwrap_or(u64::MAX);
        let eof = self.eof_ns.unwrap_or(u64::MAX);
        let reset = self.reset.map_or(u64::MAX, |(time_ns, _)| time_ns);
        let first = half_close.min(eof).min(reset);
        if first != u64::MAX {
            return match first {
                _ if first == half_close => FirstToClose::Us,
                _ if first == eof => FirstToClose::Peer,
                _ => FirstToClose::Reset,
            };
        }
        match (ending, self.state_at_close) {
            // Both directions ended, and neither by a call of ours that would have told.
            (_, Some(tcp::CLOSE)) => FirstToClose::Reset,
            // A socket without TCP_INFO: an end of file would have been read first.
            (Ending::Closed(_), None) => self.ours(),
            // The kernel closes what a program leaves behind; what the peer did by then is not known.
            (Ending::Leaked(_) | Ending::Open, _) => FirstToClose::Nobody,
            (Ending::Closed(_), Some(_)) => FirstToClose::Unknown,
        }
    }

    fn ours(&self) -> FirstToClose {
        let unread = self.unread_bytes.is_some_and(|bytes| bytes > 0);
        if unread || self.linger_resets { FirstToClose::UsReset } else { FirstToClose::Us }
    }
}
