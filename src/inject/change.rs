//! Arguments that are others on their way on: shorter, to another address, or for another name.
//!
//! What the program gave is never written to. Changed structures are copies, which live here until the next
//! definition has returned; what the kernel stores into a message is copied back.

use super::{Words, pointer};
use crate::sys;
use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use libc::{addrinfo, iovec, msghdr, sockaddr, socklen_t};
use sockshim_format::op::Op;
use sockshim_format::plan::{Place, Rule, What};
use sockshim_format::record::Injected;

/// Entries of an iovec that a shortened transfer has at most: what is shorter anyway may have fewer.
const ENTRIES: usize = 16;

/// Where a function has its bytes.
enum Shape {
    /// The word that says how many.
    Plain(usize),
    /// The words of an iovec and its length.
    Vector(usize, usize),
    /// The word of a message.
    Message(usize),
    None,
}

fn shape(op: Op) -> Shape {
    match op.base() {
        Op::Read | Op::Write | Op::Send | Op::Recv | Op::Sendto | Op::Recvfrom => Shape::Plain(2),
        Op::Sendfile => Shape::Plain(3),
        Op::Readv | Op::Writev | Op::Preadv2 | Op::Pwritev2 => Shape::Vector(1, 2),
        Op::Sendmsg | Op::Recvmsg => Shape::Message(1),
        _ => Shape::None,
    }
}

/// Copies a structure of the program that may not be there.
pub fn copied<T: Copy>(from: *const c_void) -> Option<T> {
    let mut to = MaybeUninit::<T>::zeroed();
    // SAFETY: zeroed bytes of our own, as many as the structure has.
    let bytes = unsafe { core::slice::from_raw_parts_mut(to.as_mut_ptr().cast::<u8>(), size_of::<T>()) };
    // SAFETY: the callers' structures are plain numbers and pointers.
    (!from.is_null() && sys::memory::copy_checked(from, bytes) == size_of::<T>()).then(|| unsafe { to.assume_init() })
}

/// Copies the entries of an iovec up to so many bytes. `None` if they are more than there is room for, or none.
fn entries(from: *const iovec, count: usize, most: u64, out: &mut [iovec; ENTRIES]) -> Option<usize> {
    let mut left = most;
    let mut used = 0;
    while used < count && left > 0 {
        let place = out.get_mut(used)?;
        *place = copied(from.wrapping_add(used).cast())?;
        place.iov_len = place.iov_len.min(left as usize);
        left -= place.iov_len as u64;
        used += 1;
    }
    (used > 0).then_some(used)
}

/// The bytes that a call asks for, as far as it says; 0 where it does not.
pub fn asked(op: Op, words: &Words) -> u64 {
    let sum = |from: *const iovec, count: usize| {
        let sizes = (0..count.min(1024)).map_while(|i| copied::<iovec>(from.wrapping_add(i).cast()));
        sizes.map(|entry| entry.iov_len as u64).sum()
    };
    match shape(op) {
        Shape::Plain(len) => words.get(len).map_or(0, |len| *len as u64),
        Shape::Vector(iov, count) => sum(pointer(words, iov), words.get(count).map_or(0, |n| *n as u32 as usize)),
        Shape::Message(at) => {
            copied::<msghdr>(pointer(words, at)).map_or(0, |message| sum(message.msg_iov, message.msg_iovlen))
        }
        Shape::None => 0,
    }
}

/// The value that a call may return: of bytes no more than it asked for, and none if they are not there, for the
/// hook is going to read them.
pub fn most(op: Op, words: &Words, value: i64) -> i64 {
    if op.direction().is_none() || value <= 0 {
        return value;
    }
    let bytes = asked(op, words).min(value as u64);
    match shape(op) {
        Shape::Plain(2) => {
            let start = words.get(1).copied().unwrap_or(0);
            let there = sys::memory::readable(start)
                && sys::memory::readable(start.wrapping_add((bytes as usize).saturating_sub(1)));
            if there { bytes as i64 } else { 0 }
        }
        Shape::Plain(_) => bytes as i64,
        // Pieces are too many to look at each.
        _ => 0,
    }
}

/// Whether a call only looks at bytes.
pub fn peeks(op: Op, words: &Words) -> bool {
    let flags = match op {
        Op::UnderRecvChk | Op::UnderRecvfromChk => words.get(4),
        _ => match op.base() {
            Op::Recv | Op::Recvfrom => words.get(3),
            Op::Recvmsg => words.get(2),
            Op::Recvmmsg => words.get(3),
            _ => None,
        },
    };
    flags.is_some_and(|flags| *flags as c_int & libc::MSG_PEEK != 0)
}

/// The copies of one call.
pub struct Copies {
    iov: [iovec; ENTRIES],
    message: MaybeUninit<msghdr>,
    /// The program's own message, if `message` stands in for it.
    original: *mut msghdr,
    address: [u8; 28],
}

impl Copies {
    /// None yet.
    pub fn new() -> Copies {
        Copies {
            iov: [iovec { iov_base: core::ptr::null_mut(), iov_len: 0 }; ENTRIES],
            message: MaybeUninit::uninit(),
            original: core::ptr::null_mut(),
            address: [0; 28],
        }
    }

    /// Lets so many bytes pass at most; whether that is fewer than asked for.
    pub fn shorten(&mut self, op: Op, words: &mut Words, most: u64) -> bool {
        if asked(op, words) <= most {
            return false;
        }
        match shape(op) {
            Shape::Plain(len) => set(words, len, most as usize),
            Shape::Vector(iov, count) => {
                let given = words.get(count).map_or(0, |n| *n as u32 as usize);
                let Some(used) = entries(pointer(words, iov), given, most, &mut self.iov) else { return false };
                set(words, iov, self.iov.as_ptr() as usize) && set(words, count, used)
            }
            Shape::Message(at) => {
                let original: *mut msghdr = pointer(words, at);
                let Some(mut message) = copied::<msghdr>(original.cast()) else { return false };
                let used = entries(message.msg_iov, message.msg_iovlen, most, &mut self.iov);
                let Some(used) = used else { return false };
                message.msg_iov = self.iov.as_mut_ptr();
                message.msg_iovlen = used;
                self.message.write(message);
                if op.base() == Op::Recvmsg {
                    self.original = original;
                }
                set(words, at, self.message.as_mut_ptr() as usize)
            }
            Shape::None => false,
        }
    }

    /// The kernel has answered: what it stored into a copy of a message goes into the program's own.
    pub unsafe fn give_back(&self) {
        if !self.original.is_null() {
            // SAFETY: `shorten` has written the copy and read the original; the kernel has stored the same fields there.
            unsafe {
                let message = self.message.assume_init_ref();
                (*self.original).msg_namelen = message.msg_namelen;
                (*self.original).msg_controllen = message.msg_controllen;
                (*self.original).msg_flags = message.msg_flags;
            }
        }
    }

    /// Leads a connect to another address, or asks for another name.
    pub fn elsewhere(&mut self, op: Op, words: &mut Words, rule: &Rule, injected: &mut Injected) {
        if !rule.redirect.is_any() && op.base() == Op::Connect {
            let mut given = [0; 28];
            let got = sys::memory::copy_checked(pointer(words, 1), &mut given);
            let Some(from) = given.get(..got).and_then(Place::of) else { return };
            let family = given.first_chunk().map_or(0, |family| u16::from_le_bytes(*family));
            let to = if rule.redirect.exact { rule.redirect } else { Place { port: rule.redirect.port, ..from } };
            // Of an IPv6 socket an IPv4 address is the mapped one, which `Place` has; the other way there is none.
            if let Some((address, len)) = to.sockaddr(family, from.port) {
                self.address = address;
                set(words, 1, self.address.as_ptr() as usize);
                set(words, 2, len);
                injected.what |= What::REDIRECT.0;
                injected.value = if to.port == 0 { from.port } else { to.port }.into();
            }
        }
        if !rule.resolve.is_empty() && set(words, 0, rule.resolve.with_zero().as_ptr() as usize) {
            injected.what |= What::RESOLVE.0;
        }
    }
}

fn set(words: &mut Words, index: usize, value: usize) -> bool {
    words.get_mut(index).map(|word| *word = value).is_some()
}

/// How `gethostbyname` and its kind say that there is no answer: by h_errno, which some of them have as an argument.
pub unsafe fn host_not_found(op: Op, words: &Words, errno: c_int, resolver: Option<c_int>) -> usize {
    unsafe extern "C" {
        fn __h_errno_location() -> *mut c_int;
    }
    const NETDB_INTERNAL: c_int = -1;
    let reason = match resolver {
        Some(-3) => 2, // EAI_AGAIN: TRY_AGAIN
        Some(-4) => 3, // EAI_FAIL: NO_RECOVERY
        Some(-5) => 4, // EAI_NODATA: NO_DATA
        Some(_) => 1,  // HOST_NOT_FOUND
        None => NETDB_INTERNAL,
    };
    let (result, error) = match op {
        Op::GethostbynameR => (4, 5),
        Op::Gethostbyname2R => (5, 6),
        Op::GethostbyaddrR => (6, 7),
        _ => {
            // SAFETY: libc's own, of this thread.
            unsafe { *__h_errno_location() = reason };
            let pointers = matches!(op, Op::Gethostbyname | Op::Gethostbyname2 | Op::Gethostbyaddr);
            return if pointers { 0 } else { -1isize as usize };
        }
    };
    let (result, error): (*mut *mut c_void, *mut c_int) = (pointer(words, result), pointer(words, error));
    // SAFETY: libc would store there without looking; a null is left alone.
    unsafe {
        if !result.is_null() {
            *result = core::ptr::null_mut();
        }
        if !error.is_null() {
            *error = reason;
        }
    }
    match reason {
        2 => libc::EAGAIN as usize,
        NETDB_INTERNAL => errno as usize,
        _ => 0,
    }
}

/// The addresses that `getaddrinfo` has answered with.
pub unsafe fn answers(words: &Words, mut told: impl FnMut(Place)) {
    let list: *mut *mut addrinfo = pointer(words, 3);
    // SAFETY: libc has stored the list there, and made it.
    unsafe {
        let mut at = if list.is_null() { core::ptr::null_mut() } else { *list };
        for _ in 0..16 {
            if at.is_null() {
                break;
            }
            let (address, len): (*const sockaddr, socklen_t) = ((*at).ai_addr, (*at).ai_addrlen);
            if !address.is_null() {
                Place::of(core::slice::from_raw_parts(address.cast(), len as usize)).into_iter().for_each(&mut told);
            }
            at = (*at).ai_next;
        }
    }
}
