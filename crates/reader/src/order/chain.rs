//! Plain calls that one thread made one after the other: they are in order, so they are held as one.

use crate::assemble::Plain;

#[derive(Default)]
pub(super) struct Chain {
    calls: Vec<Plain>,
    /// Calls that it takes at most.
    most: usize,
    /// What they carried: slots.
    payload: Vec<u8>,
    /// Which call is next, and where its payload begins.
    at: usize,
    payload_at: usize,
}

impl Chain {
    /// Begins with this call, in place of what was given, and has room for so many.
    pub fn begin(&mut self, first: Plain, payload: &[u8], room: usize) {
        (self.at, self.payload_at, self.most) = (0, 0, room.max(1));
        self.calls.clear();
        self.calls.reserve_exact(self.most);
        self.calls.push(first);
        self.payload.clear();
        self.payload.extend_from_slice(payload);
    }

    /// Takes a call in, if it is the same thread's, not earlier, and there is room.
    #[inline]
    pub fn push(&mut self, plain: Plain, payload: &[u8]) -> bool {
        let follows =
            self.calls.last().is_some_and(|last| last.is_of_thread(&plain) && last.start_ns <= plain.start_ns);
        let takes = follows && self.calls.len() < self.most;
        if takes {
            self.calls.push(plain);
            self.payload.extend_from_slice(payload);
        }
        takes
    }

    /// Takes no more calls, and gives back room that was not needed, if that is much: the next chain will want it.
    pub fn close(&mut self) {
        self.most = self.calls.len();
        if self.most < self.calls.capacity() / 4 {
            self.calls.shrink_to_fit();
        }
        if self.payload.len() < self.payload.capacity() / 4 {
            self.payload.shrink_to_fit();
        }
    }

    /// The next call and its payload, and when the one behind it began.
    #[inline]
    pub fn give(&mut self) -> Option<(Given, Option<u64>)> {
        let payload_bytes = self.calls.get(self.at)?.payload_bytes as usize;
        let given = Given { at: self.at, payload: (self.payload_at, self.payload_at + payload_bytes) };
        (self.at, self.payload_at) = (self.at + 1, given.payload.1);
        Some((given, self.calls.get(self.at).map(|plain| plain.start_ns)))
    }

    #[inline]
    pub fn get(&self, given: Given) -> Option<(&Plain, &[u8])> {
        let (from, to) = given.payload;
        self.calls.get(given.at).zip(self.payload.get(from..to))
    }
}

/// Where a call lies that was given.
#[derive(Clone, Copy)]
pub(super) struct Given {
    at: usize,
    payload: (usize, usize),
}
