//! Whether what is written will find room in its socket's buffer, kept for the text log, which would ask the kernel before each
//! write otherwise.
//!
//! A stream that poll(2) calls writable has room for several small writes: of TCP's buffer a third is free then, of a local
//! socket's three quarters, and a write waits only where nothing is. So a few that follow are not asked about. Where the buffer is
//! as small as it can be made (SO_SNDBUF), or other processes write to the same socket, one of those may wait all the same, and is
//! not announced.
//!
//! A datagram socket may have room for one.

use super::descriptors::Identity;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes of a small write: three of them, with what the kernel adds to each, take less than a third of the buffer that TCP begins with.
const SMALL: usize = 512;
/// Small writes that are not asked about, behind one that was.
const WRITES: u64 = 3;

/// In a word, the number of the socket, shifted, and how many writes are left.
const SHIFT: u32 = 2;
const LEFT: u64 = (1 << SHIFT) - 1;
const _: () = assert!(WRITES <= LEFT);

/// As many sockets are known at a time, if their numbers do not meet.
const PLACES: usize = 64;
#[unsafe(link_section = ".bss.table")]
static ROOM: [AtomicU64; PLACES] = [const { AtomicU64::new(0) }; PLACES];

fn place_of(socket: u64) -> &'static AtomicU64 {
    // SAFETY: a remainder is less than what it is one of.
    unsafe { ROOM.get_unchecked(socket as usize % PLACES) }
}

/// A write of so many bytes begins. Returns whether it will find room; otherwise `ask` says so.
pub fn is_there(identity: Identity, bytes: usize, ask: impl FnOnce() -> bool) -> bool {
    let (place, socket) = (place_of(identity.socket), identity.socket << SHIFT);
    let before = place.load(Relaxed);
    let small = bytes <= SMALL && identity.is_stream();
    let known = small && before & !LEFT == socket && before & LEFT != 0;
    let room = known || ask();
    let after = match (small && room, known) {
        (true, true) => before - 1,
        (true, false) => socket | WRITES,
        (false, _) => 0,
    };
    // Two threads that write at once may count one.
    place.store(after, Relaxed);
    room
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::descriptors::STREAM;
    use core::cell::Cell;

    /// Writes of so many bytes; returns the calls that asked.
    fn asked(socket: u64, flags: u32, writes: &[usize], room: bool) -> Vec<usize> {
        let asked = Cell::new(0);
        let write = |bytes: &usize| {
            asked.set(0);
            assert_eq!(
                is_there(Identity { socket, flags }, *bytes, || (asked.set(1), room).1),
                room || asked.get() == 0
            );
            asked.get()
        };
        writes.iter().map(write).collect()
    }

    #[test]
    fn small_writes_to_a_stream_are_asked_about_once_in_a_while() {
        assert_eq!(asked(2000, STREAM, &[1; 9], true), [1, 0, 0, 0, 1, 0, 0, 0, 1]);
        assert_eq!(
            asked(2001, STREAM, &[1, 1, SMALL + 1, 1, 1], true),
            [1, 0, 1, 1, 0],
            "what is long may take it all"
        );
        assert_eq!(asked(2002, STREAM, &[1; 3], false), [1; 3], "a full one");
        assert_eq!(asked(2003, 0, &[1; 3], true), [1; 3], "datagrams");
    }

    #[test]
    fn each_socket_is_asked_about_by_itself() {
        assert_eq!(asked(2004, STREAM, &[1; 2], true), [1, 0]);
        assert_eq!(asked(2004 + PLACES as u64, STREAM, &[1; 2], true), [1, 0]);
        assert_eq!(asked(2004, STREAM, &[1; 2], true), [1, 0]);
    }
}
