//! Who is at the other end of a socket, kept for the text log, which would ask the kernel before each call otherwise.
//!
//! A socket has one peer until it is connected again: what the kernel has answered once holds until then, and is told even
//! when a reset has made the kernel forget it. That there is none may change at any time, so that is not kept.
//!
//! Threads and signal handlers share the places, and a fork may copy one that is half written. So nobody waits for anybody: who
//! finds a place taken asks the kernel.

use crate::sys::{self, End};
use core::ffi::c_int;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::*, fence};
use libc::sockaddr_storage;

/// As many sockets are known at a time, if their numbers do not meet; of the kernel's those of one program mostly follow one another.
const PLACES: usize = 64;
/// The longest address is that of a path: sockaddr_un has 110 bytes.
const WORDS: usize = 14;

/// One socket's peer.
struct Place {
    /// Odd while somebody writes, who alone makes it even. Whoever makes the answer stale adds two, at any time.
    turn: AtomicU32,
    /// The turn that what is here belongs to: at any other it is stale.
    written: AtomicU32,
    socket: AtomicU64,
    len: AtomicU32,
    address: [AtomicU64; WORDS],
}

#[unsafe(link_section = ".bss.table")]
static PLACE: [Place; PLACES] = [const {
    Place {
        turn: AtomicU32::new(0),
        written: AtomicU32::new(0),
        socket: AtomicU64::new(0),
        len: AtomicU32::new(0),
        address: [const { AtomicU64::new(0) }; WORDS],
    }
}; PLACES];

/// Where an address is put: as long as the longest, in words.
pub type Room = MaybeUninit<sockaddr_storage>;

fn place_of(socket: u64) -> &'static Place {
    // SAFETY: a remainder is less than what it is one of.
    unsafe { PLACE.get_unchecked(socket as usize % PLACES) }
}

/// The address of the peer of a socket, in `room`; None where it has none.
pub fn peer_of(socket: u64, fd: c_int, room: &mut Room) -> Option<&[u8]> {
    let place = place_of(socket);
    let turn = place.turn.load(Acquire);
    if let Some(len) = place.read(turn, socket, room) {
        // SAFETY: so many bytes have just been written there.
        return Some(unsafe { core::slice::from_raw_parts(room.as_ptr().cast(), len) });
    }
    let address = sys::socket_address(fd, End::Peer, room)?;
    place.write(turn, socket, address);
    Some(address)
}

/// What was known of a socket's peer holds no longer: it has been connected, or was to be.
pub fn forget(socket: u64) {
    place_of(socket).turn.fetch_add(2, AcqRel);
}

/// Whether somebody writes.
fn is_odd(turn: u32) -> bool {
    turn & 1 != 0
}

impl Place {
    /// Copies the answer, if there is one and it stays the same meanwhile. Returns its bytes.
    fn read(&self, turn: u32, socket: u64, room: &mut Room) -> Option<usize> {
        if is_odd(turn) || self.written.load(Relaxed) != turn || self.socket.load(Relaxed) != socket {
            return None;
        }
        let len = self.len.load(Relaxed) as usize;
        let words = room.as_mut_ptr().cast::<u64>();
        for (at, word) in self.address.iter().take(len.div_ceil(8)).enumerate() {
            // SAFETY: the room is aligned like the words, and longer than all of them.
            unsafe { words.add(at).write(word.load(Relaxed)) };
        }
        fence(Acquire);
        // What was torn may be longer than what there is.
        (self.turn.load(Relaxed) == turn && len <= WORDS * 8).then_some(len)
    }

    /// Keeps what was asked after this turn, unless it has been another's since.
    fn write(&self, turn: u32, socket: u64, address: &[u8]) {
        let writing = turn.wrapping_add(1);
        let fits = address.len() <= WORDS * 8;
        if !fits || is_odd(turn) || self.turn.compare_exchange(turn, writing, AcqRel, Relaxed).is_err() {
            return;
        }
        fence(Release);
        self.written.store(writing.wrapping_add(1), Relaxed);
        self.socket.store(socket, Relaxed);
        self.len.store(address.len() as u32, Relaxed);
        for (word, bytes) in self.address.iter().zip(address.chunks(8)) {
            let mut padded = [0; 8];
            padded.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            word.store(u64::from_ne_bytes(padded), Relaxed);
        }
        self.turn.fetch_add(1, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(socket: u64) -> Option<Vec<u8>> {
        let (place, mut room) = (place_of(socket), Room::uninit());
        let len = place.read(place.turn.load(Acquire), socket, &mut room)?;
        // SAFETY: so many bytes have just been written there.
        Some(unsafe { core::slice::from_raw_parts(room.as_ptr().cast::<u8>(), len) }.to_vec())
    }

    fn keep(socket: u64, address: &[u8]) {
        let place = place_of(socket);
        place.write(place.turn.load(Acquire), socket, address);
    }

    #[test]
    fn an_answer_holds_until_the_socket_is_connected_again() {
        keep(1000, b"somebody");
        assert_eq!(known(1000).as_deref(), Some(&b"somebody"[..]));
        assert_eq!(known(1000 + PLACES as u64), None, "another socket in its place");
        forget(1000);
        assert_eq!(known(1000), None);
        keep(1000, b"somebody else, with a name that takes three words");
        assert_eq!(known(1000).as_deref(), Some(&b"somebody else, with a name that takes three words"[..]));
    }

    #[test]
    fn an_answer_from_before_a_connect_is_not_kept_after_it() {
        let place = place_of(1001);
        let asked = place.turn.load(Acquire);
        forget(1001);
        place.write(asked, 1001, b"stale");
        assert_eq!(known(1001), None);
        // Nor one that is being written when the connect returns.
        let asked = place.turn.load(Acquire);
        place.turn.fetch_add(1, AcqRel);
        place.written.store(asked + 2, Relaxed);
        place.socket.store(1001, Relaxed);
        forget(1001);
        place.turn.fetch_add(1, Release);
        assert_eq!(known(1001), None);
    }

    #[test]
    fn what_does_not_fit_is_not_kept() {
        keep(1002, &[1; WORDS * 8]);
        assert_eq!(known(1002), Some(vec![1; WORDS * 8]));
        keep(1002, &[2; WORDS * 8 + 1]);
        assert_eq!(known(1002), Some(vec![1; WORDS * 8]));
    }

    #[test]
    fn a_reader_sees_the_whole_of_one_answer() {
        let socket = 1003;
        std::thread::scope(|scope| {
            for byte in 1..=2u8 {
                scope.spawn(move || (0..20_000).for_each(|_| keep(socket, &[byte; 100])));
            }
            scope.spawn(move || (0..20_000).for_each(|_| forget(socket)));
            for _ in 0..20_000 {
                if let Some(address) = known(socket) {
                    assert!(address == [1; 100] || address == [2; 100], "{address:?}");
                }
            }
        });
    }
}
