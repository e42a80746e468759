//! Which descriptor names which socket, as far as we know.
//!
//! The table is a hint. Sockets arrive by inheritance, SCM_RIGHTS and calls inside libc, and vanish
//! the same way; a number is asked about once, when it is first used, and believed until a call that
//! we see closes or replaces it. After a fork each process has its own copy, as the kernel has.
//!
//! It is asked before the call that may destroy the descriptor and told after the call that made it:
//! between `close` and its return the number may already be somebody else's.

mod table;

use super::{asks_edges, log, may_ask, plain, process, taken};
use crate::sys;
use core::ffi::c_int;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use sockshim_format::record::{FLAG_LOCAL_IDENTITY, FLAG_UNCLASSIFIED};
use table::{Entry, entries, entry};

/// States of a descriptor, in the high half of its word. Not asked yet:
const UNKNOWN: u32 = 0;
/// Not a socket.
const OTHER: u32 = 1 << 16;
/// A socket.
const SOCKET: u32 = 2 << 16;
/// Was a socket when we saw it closed. Kept so that a second close can be told.
const CLOSED: u32 = 3 << 16;
/// A socket of which nothing is on record, because a filter has left its calls out. The first call that is recorded
/// meets it.
const STRANGER: u32 = 4 << 16;

/// The low half of the word, and [`Identity::flags`]: FLAG_ bits for the record in the low byte, and
/// these. A TCP socket: TCP_INFO can be asked.
pub const TCP: u32 = 1 << 9;
/// An AF_INET or AF_INET6 socket.
pub const INET: u32 = 1 << 10;
/// Made with a protocol that is TCP's, of AF_INET or of AF_INET6: so are all that it accepts.
const PLAIN_4: u32 = 1 << 12;
const PLAIN_6: u32 = 1 << 13;
/// A datagram socket of AF_INET or AF_INET6 whose own address nothing has told: the kernel gives it a port when
/// it first sends (ip(7)).
const NAMELESS: u32 = 1 << 14;
/// A SOCK_STREAM socket.
pub const STREAM: u32 = 1 << 15;
/// Seen for the first time by this lookup: tell what it is.
pub const FRESH: u32 = 1 << 11;

/// The half of a word that is not the state.
const FLAGS: u32 = 0xffff;

impl Entry {
    #[inline(always)]
    fn identity(&self, word: u32) -> Identity {
        Identity { socket: self.socket.load(Relaxed), flags: word & FLAGS }
    }
}

/// The state of a word.
fn state_of(word: u32) -> u32 {
    word & !FLAGS
}

/// No socket was ever stored from this descriptor on: what walks the table need not touch all of it.
static END: AtomicU32 = AtomicU32::new(0);

/// Numbers for sockets that we may not ask the kernel about.
static NEXT_LOCAL: AtomicU32 = AtomicU32::new(1);

/// Those that have ever named a socket.
fn used() -> impl Iterator<Item = (c_int, &'static Entry)> {
    let end = END.load(Relaxed);
    entries(0, end).filter(move |(fd, _)| *fd as u32 != end)
}

/// What is known of a descriptor that is, or may be, a socket.
#[derive(Clone, Copy)]
pub struct Identity {
    /// As in `record::Call::socket`.
    pub socket: u64,
    /// FLAG_ bits for the record, TCP, INET, STREAM, FRESH.
    pub flags: u32,
}

impl Identity {
    /// No socket, or unknown.
    pub const NONE: Identity = Identity { socket: 0, flags: 0 };
    /// May be a socket, but could not be asked.
    const UNCLASSIFIED: Identity = Identity { socket: 0, flags: FLAG_UNCLASSIFIED as u32 };

    /// Whether the kernel may just have given it an address that no call of the program's has told.
    #[inline(always)]
    pub fn is_nameless(self) -> bool {
        self.flags & NAMELESS != 0
    }

    /// Whether it is known to be of SOCK_STREAM.
    #[inline(always)]
    pub fn is_stream(self) -> bool {
        self.flags & STREAM != 0
    }

    /// Whether this lookup saw it first.
    #[inline(always)]
    pub fn is_fresh(self) -> bool {
        self.flags & FRESH != 0
    }
}

/// The socket that `fd` is known to name.
#[inline(always)]
pub fn known_socket(fd: c_int) -> Option<Identity> {
    let entry = entry(fd)?;
    let word = entry.word.load(Relaxed);
    (state_of(word) == SOCKET).then(|| entry.identity(word))
}

/// What `fd` names. None: not a socket. Of a socket that a call sees first which is left out nothing is on record.
pub fn lookup(fd: c_int, left_out: bool) -> Option<Identity> {
    let Some(entry) = entry(fd) else { return (fd >= 0).then_some(Identity::UNCLASSIFIED) };
    let word = entry.word.load(Relaxed);
    match state_of(word) {
        OTHER => None,
        SOCKET => Some(entry.identity(word)),
        _ => classify(fd, entry, left_out),
    }
}

/// How many bytes have been counted at `fd`: see [`mod@taken`].
#[inline(always)]
pub fn taken(fd: c_int) -> Option<&'static AtomicU32> {
    Some(&entry(fd)?.taken)
}

/// Likewise at every descriptor that may have been a socket's.
pub fn all_taken() -> impl Iterator<Item = &'static AtomicU32> {
    used().map(|(_, entry)| &entry.taken)
}

/// Whether `fd` is known to name something that is no socket.
#[inline(always)]
pub fn is_other(fd: c_int) -> bool {
    entry(fd).is_some_and(|entry| state_of(entry.word.load(Relaxed)) == OTHER)
}

/// The socket that `fd` is known to name, 0 if it is none or has not been asked.
pub fn known(fd: c_int) -> u64 {
    match entry(fd) {
        Some(entry) if matches!(state_of(entry.word.load(Relaxed)), SOCKET | STRANGER) => entry.socket.load(Relaxed),
        _ => 0,
    }
}

/// The number that the socket of `fd` has from us, if it has none of the kernel's.
pub fn of_ours(fd: c_int) -> Option<u64> {
    let entry = entry(fd)?;
    // The flags of a number that was closed are gone.
    let ours = entry.word.load(Relaxed) & FLAG_LOCAL_IDENTITY as u32 != 0;
    ours.then(|| entry.socket.load(Relaxed))
}

/// The socket that `fd` names, or named until the call that closes it was entered; 0 if unknown.
pub fn last_known(fd: c_int) -> u64 {
    match entry(fd) {
        Some(entry) if state_of(entry.word.load(Relaxed)) == CLOSED => entry.socket.load(Relaxed),
        _ => known(fd),
    }
}

/// Whether the socket that `fd` names is on record.
pub fn is_on_record(fd: c_int) -> bool {
    entry(fd).is_some_and(|entry| state_of(entry.word.load(Relaxed)) == SOCKET)
}

/// Likewise, or it was never asked about.
pub fn may_be_on_record(fd: c_int) -> bool {
    entry(fd).is_some_and(|entry| state_of(entry.word.load(Relaxed)) != STRANGER)
}

/// Whether `fd` names a socket of which nothing is on record.
pub fn is_stranger(fd: c_int) -> bool {
    listed(fd).is_none()
}

/// The socket that `fd` is known to name, or 0, for a list of descriptors; None if nothing is on record of it.
pub fn listed(fd: c_int) -> Option<u64> {
    let Some(entry) = entry(fd) else { return Some(0) };
    match state_of(entry.word.load(Relaxed)) {
        SOCKET => Some(entry.socket.load(Relaxed)),
        STRANGER => None,
        _ => Some(0),
    }
}

/// The call that has made this socket is left out.
pub fn left_out(fd: c_int, identity: Identity) {
    if let Some(entry) = entry(fd) {
        let flags = identity.flags & !FRESH;
        // Unless the number names another socket by now.
        let _ = entry.word.compare_exchange(SOCKET | flags, STRANGER | flags, Relaxed, Relaxed);
    }
}

/// Asks the kernel about a descriptor that is seen for the first time.
#[cold]
#[inline(never)]
fn classify(fd: c_int, entry: &Entry, left_out: bool) -> Option<Identity> {
    if !may_ask() {
        return Some(Identity::UNCLASSIFIED);
    }
    let option = |name| sys::getsockopt_int(fd, libc::SOL_SOCKET, name);
    let kind = option(libc::SO_TYPE);
    let is_socket = match kind {
        Ok(_) => true,
        // Of a file this answer takes a third less than that of fstat(2).
        Err(libc::ENOTSOCK) => false,
        // Not open, or for its path alone (O_PATH), or a kernel that was told not to answer.
        Err(_) => match sys::fstat(fd) {
            Some(status) => status.st_mode & libc::S_IFMT == libc::S_IFSOCK,
            None => {
                // If it was a socket, this is a use after close, and worth a record.
                let was = entry.word.swap(UNKNOWN, Relaxed);
                return (state_of(was) == CLOSED).then(|| Identity { socket: entry.socket.load(Relaxed), flags: 0 });
            }
        },
    };
    if !is_socket {
        entry.word.store(OTHER, Relaxed);
        return None;
    }
    about_to_tell();
    let flags = match (option(libc::SO_DOMAIN), kind) {
        (Ok(domain), Ok(kind)) => flags_of(domain, kind),
        _ => 0,
    };
    let (state, fresh) = if left_out { (STRANGER, 0) } else { (SOCKET, FRESH) };
    let identity = store(entry, fd, state, flags, true);
    Some(Identity { flags: identity.flags | fresh, ..identity })
}

fn flags_of(domain: c_int, kind: c_int) -> u32 {
    match (domain, kind & 0xf) {
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_STREAM) => TCP | INET | STREAM,
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_DGRAM) => INET | NAMELESS,
        (libc::AF_INET | libc::AF_INET6, _) => INET,
        (_, libc::SOCK_STREAM) => STREAM,
        _ => 0,
    }
}

/// The address of the socket that `fd` names is on record.
pub fn named(fd: c_int, identity: Identity) {
    if identity.is_nameless()
        && let Some(entry) = entry(fd)
    {
        let known = SOCKET | (identity.flags & !FRESH);
        // Unless the number names another socket by now, or was told meanwhile.
        let _ = entry.word.compare_exchange(known, known & !NAMELESS, Relaxed, Relaxed);
    }
}

/// `ask` for the number that the kernel has for it; otherwise, or if it may not be asked, it gets one of ours.
fn store(entry: &Entry, fd: c_int, state: u32, flags: u32, ask: bool) -> Identity {
    let cookie = if ask && may_ask() { sys::cookie(fd) } else { None };
    let (socket, flags) = if let Some(cookie) = cookie {
        (cookie, flags)
    } else {
        let process = plain::process().load(Relaxed) as u64;
        let number = NEXT_LOCAL.fetch_add(1, Relaxed) as u64;
        (1 << 63 | process << 32 | number, flags | FLAG_LOCAL_IDENTITY as u32)
    };
    taken::begin(fd);
    entry.socket.store(socket, Relaxed);
    entry.word.store(state | flags, Relaxed);
    reaches(fd);
    Identity { socket, flags }
}

/// The table is used as far as `fd`. Looked at before it is changed: a locked instruction waits for all that was written before.
fn reaches(fd: c_int) {
    if END.load(Relaxed) <= fd as u32 {
        END.fetch_max(fd as u32 + 1, Relaxed);
    }
}

/// The call that is about to be entered makes sockets, or is the first on one: what is asked for the first of a process is no part
/// of the time that it takes.
pub fn about_to_tell() {
    process::net_namespace();
}

/// `fd` is a new socket, just made by a call that succeeded.
pub fn created(fd: c_int, domain: c_int, kind: c_int, protocol: c_int) -> Identity {
    let plain = match (domain, kind & 0xf, protocol) {
        (libc::AF_INET, libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => PLAIN_4,
        (libc::AF_INET6, libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => PLAIN_6,
        _ => 0,
    };
    match entry(fd) {
        Some(entry) => store(entry, fd, SOCKET, flags_of(domain, kind) | plain, asks_edges()),
        None => Identity::UNCLASSIFIED,
    }
}

/// `fd` is a new connection of the listener `listener`: the same kind of socket.
pub fn accepted(fd: c_int, listener: Identity) -> Identity {
    match entry(fd) {
        Some(entry) => {
            store(entry, fd, SOCKET, listener.flags & (TCP | INET | STREAM | PLAIN_4 | PLAIN_6), asks_edges())
        }
        None => Identity::UNCLASSIFIED,
    }
}

/// What a socket was made with, or the listener that it came from, where that says what the kernel would.
pub fn made_with(identity: Identity) -> Option<(c_int, c_int, c_int)> {
    match identity.flags & (PLAIN_4 | PLAIN_6) {
        PLAIN_4 => Some((libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_TCP)),
        PLAIN_6 => Some((libc::AF_INET6, libc::SOCK_STREAM, libc::IPPROTO_TCP)),
        _ => None,
    }
}

/// `to` now names what `from` names.
pub fn copied(from: c_int, to: c_int) {
    taken::begin(to);
    let Some(to) = entry(to).inspect(|_| reaches(to)) else { return };
    let Some(from) = entry(from) else {
        // A number beyond the table: ask when the copy is used.
        return to.word.store(UNKNOWN, Relaxed);
    };
    let word = from.word.load(Relaxed);
    to.socket.store(from.socket.load(Relaxed), Relaxed);
    // A number that was closed behind our back is asked about again.
    to.word.store(if state_of(word) == CLOSED { UNKNOWN } else { word }, Relaxed);
}

/// `fd` was just opened, by a path: a file, if anything.
pub fn opened(fd: c_int) {
    if let Some(entry) = entry(fd) {
        entry.word.store(OTHER, Relaxed);
    }
}

/// `fd` is about to be closed: from now on the number may become somebody else's.
pub fn closing(fd: c_int) {
    replacing(fd);
    if let Some(entry) = entry(fd) {
        let was_socket = state_of(entry.word.load(Relaxed)) == SOCKET;
        entry.word.store(if was_socket { CLOSED } else { UNKNOWN }, Relaxed);
    }
}

/// Another descriptor is about to take the number `fd`.
#[inline(always)]
pub fn replacing(fd: c_int) {
    log::flush_to(fd as u32, fd as u32);
}

/// `fd` has become something that we have not seen: ask when it is used.
pub fn forget(fd: c_int) {
    if let Some(entry) = entry(fd) {
        entry.word.store(UNKNOWN, Relaxed);
    }
}

/// Asks about the numbers that have not been asked about, and gives the sockets among them: inherited ones
/// that were never used. The first numbers only: it takes a system call each.
pub fn unknown_sockets() -> impl Iterator<Item = (c_int, Identity)> {
    entries(0, 1023).filter_map(|(fd, entry)| {
        let unknown = entry.word.load(Relaxed) == UNKNOWN;
        unknown.then(|| classify(fd, entry, false)).flatten().map(|identity| (fd, identity))
    })
}

/// The sockets on record in a range of descriptors, both ends included.
pub fn sockets_between(first: u32, last: u32) -> impl Iterator<Item = (c_int, u64)> {
    entries(first, last).filter_map(|(fd, entry)| {
        let socket = state_of(entry.word.load(Relaxed)) == SOCKET;
        socket.then(|| (fd, entry.socket.load(Relaxed)))
    })
}

/// The TCP sockets on record that the kernel may be asked about, by one descriptor each time that there is one.
pub fn tcp_sockets() -> impl Iterator<Item = (c_int, u64)> {
    used().filter_map(|(fd, entry)| {
        let word = entry.word.load(Relaxed);
        let known = state_of(word) == SOCKET && word & FLAG_LOCAL_IDENTITY as u32 == 0;
        (known && word & TCP != 0).then(|| (fd, entry.socket.load(Relaxed)))
    })
}

/// Forgets a range of descriptors that is closed, both ends included.
pub fn closed_between(first: u32, last: u32) {
    log::flush_to(first, last);
    for (_, entry) in entries(first, last) {
        // Reading first keeps pages that were never used untouched.
        if entry.word.load(Relaxed) != UNKNOWN {
            entry.word.store(UNKNOWN, Relaxed);
        }
    }
}
