//! Hooks against a fake `next`, without any preloading: what they return, and what is on record.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::{communicate, disconnect};
use crate::recorder::call::Row;
use crate::recorder::{self, MODE_ON, attach, log, thread};
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU32, Ordering::*};
use sockshim_format::op::Op;
use sockshim_format::record::*;
use sockshim_format::region::{CHUNK_SLOTS, SLOT_BYTES};
use std::sync::Once;

/// A private region to record into, and a settled thread.
fn begin() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        attach::to_nothing(32).expect("there is memory");
        log::set_snaplen(32);
        recorder::switch(MODE_ON);
    });
    assert!(recorder::gate() && recorder::is_plain());
}

/// The records of this thread's chunk that belong to its last call: the call, then its extensions.
fn last_call() -> (Call, Vec<(u8, Vec<u8>)>) {
    let mut call = None;
    let mut extensions = Vec::new();
    // SAFETY: `begin` has settled this thread, and the chunk is its own.
    unsafe {
        let thread = thread::current();
        let used = (*(*thread).chunk).used.min(CHUNK_SLOTS) as usize;
        let bytes = core::slice::from_raw_parts((*thread).chunk.cast::<u8>(), (used + 1) * SLOT_BYTES);
        let generation = crate::recorder::region::generation((*thread).chunk);
        let mut at = SLOT_BYTES;
        while at < bytes.len() {
            let commit = Commit::from_word(u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()));
            assert_eq!(commit.generation, generation, "slot {} of {used}", at / SLOT_BYTES - 1);
            if commit.kind == KIND_CALL {
                call = Call::read(&bytes[at..]);
                extensions.clear();
            } else if commit.kind == KIND_COMPLETION {
                // The chunk ran full between the call's entry and its end.
                call = Call::read(&bytes[at..]);
            } else if let Some(head) = Extension::read(&bytes[at..]) {
                let body = at + Extension::SIZE;
                extensions.push((commit.kind, bytes[body..body + head.len as usize].to_vec()));
            }
            at += commit.slots.max(1) as usize * SLOT_BYTES;
        }
    }
    (call.expect("a call was recorded"), extensions)
}

fn pair() -> [c_int; 2] {
    let mut pair = [0; 2];
    // SAFETY: room for two descriptors. In tests nothing is interposed.
    assert_eq!(unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr()) }, 0);
    pair
}

fn set_errno(value: c_int) {
    // SAFETY: the calling thread's own errno.
    unsafe { *libc::__errno_location() = value };
}

#[test]
fn next_is_asked_once_and_its_answer_and_errno_stand() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    unsafe extern "C-unwind" fn reset(_: c_int, _: *mut c_void, len: usize) -> isize {
        assert_eq!(len, 77, "the caller's own arguments");
        CALLS.fetch_add(1, Relaxed);
        set_errno(libc::ECONNRESET);
        -1
    }
    begin();
    let [fd, _] = pair();
    // A descriptor that is met for the first time is entered with care, whatever the row says.
    for (row, calls) in [(Row::plain(Op::UnderRead), 1), (Row::plain(Op::UnderRead), 2), (Row::of(Op::UnderRead), 3)] {
        // SAFETY: the fake touches no memory.
        let ret = unsafe { communicate::read(row, reset, fd, core::ptr::null_mut(), 77) };
        assert_eq!((ret, crate::next::errno(), CALLS.load(Relaxed)), (-1, libc::ECONNRESET, calls));
        let (call, _) = last_call();
        assert_eq!((call.op, call.fd, call.ret, call.size), (Op::UnderRead as u16, fd, -1, 77));
        assert_eq!(call.errno as c_int, libc::ECONNRESET);
        assert_eq!(Commit::from_word(call.commit).state, STATE_DONE);
        assert_ne!(call.socket, 0);
    }
}

#[test]
fn a_success_leaves_errno_as_it_was_and_keeps_what_was_received() {
    unsafe extern "C-unwind" fn hello(_: c_int, buffer: *mut c_void, _: usize) -> isize {
        // SAFETY: the test's buffer has room.
        unsafe { core::ptr::copy_nonoverlapping(b"hello".as_ptr(), buffer.cast(), 5) };
        5
    }
    begin();
    let [fd, _] = pair();
    let mut buffer = [0u8; 16];
    set_errno(4242);
    // SAFETY: the buffer has 16 bytes.
    let ret = unsafe { communicate::read(Row::of(Op::Read), hello, fd, buffer.as_mut_ptr().cast(), 16) };
    assert_eq!((ret, crate::next::errno()), (5, 4242));
    let (_, extensions) = last_call();
    assert!(extensions.contains(&(KIND_PAYLOAD, b"hello".to_vec())), "{extensions:?}");
}

#[test]
fn previews_of_every_length_are_what_was_sent() {
    unsafe extern "C-unwind" fn all(_: c_int, _: *const c_void, len: usize) -> isize {
        len as isize
    }
    begin();
    let [fd, _] = pair();
    let text: Vec<u8> = (0..64).collect();
    // So often that chunks end at each of them.
    for (turn, len) in (0..7 * 64).map(|n| (n / 64, n % 64 + 1)) {
        let row = if turn % 2 == 0 { Row::plain(Op::Write) } else { Row::of(Op::Write) };
        // SAFETY: the text has 64 bytes.
        unsafe { communicate::write(row, all, fd, text.as_ptr().cast(), len) };
        let (call, extensions) = last_call();
        assert_eq!((call.ret as usize, Commit::from_word(call.commit).state), (len, STATE_DONE));
        assert!(extensions.contains(&(KIND_PAYLOAD, text[..len.min(32)].to_vec())), "{len}: {extensions:?}");
    }
}

#[test]
fn what_is_no_socket_passes_unrecorded() {
    unsafe extern "C-unwind" fn none(_: c_int, _: *const c_void, _: usize) -> isize {
        7
    }
    begin();
    let [fd, _] = pair();
    // SAFETY: the fake touches no memory; the descriptors are ours.
    unsafe {
        communicate::write(Row::of(Op::Write), none, fd, core::ptr::null(), 0);
        let (before, _) = last_call();
        let mut pipe = [0; 2];
        assert_eq!(libc::pipe(pipe.as_mut_ptr()), 0);
        assert_eq!(communicate::write(Row::of(Op::Write), none, pipe[1], core::ptr::null(), 0), 7);
        assert_eq!(last_call().0, before);
    }
}

#[test]
fn the_number_of_a_closed_socket_is_asked_about_again() {
    unsafe extern "C-unwind" fn really(fd: c_int) -> c_int {
        // SAFETY: the test's own descriptor.
        unsafe { libc::close(fd) }
    }
    begin();
    let [low, _] = pair();
    // SAFETY: the descriptors are ours. A high number, because tests that run beside this one take
    // the low ones as soon as they are free.
    unsafe {
        let fd = libc::fcntl(low, libc::F_DUPFD, 900);
        assert!(fd >= 900);
        assert_eq!(disconnect::close(Row::of(Op::Close), really, fd), 0);
        let (first, _) = last_call();
        assert_eq!(disconnect::close(Row::of(Op::Close), really, fd), -1);
        let (second, _) = last_call();
        // Closed twice: told with the socket that it was.
        assert_eq!((second.errno as c_int, second.socket), (libc::EBADF, first.socket));
    }
}
