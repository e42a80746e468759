//! Datagrams that are lost, come twice, or overtake each other.

use super::{Words, kernel, pointer};
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering::*};
use sockshim_format::op::Op;
use sockshim_format::plan::What;

/// What can happen to a datagram.
pub const ALL: What = What(What::DROP.0 | What::DUPLICATE.0 | What::REORDER.0);

/// One datagram of the process that waits for the next one to overtake it.
struct Held {
    bytes: [u8; 2048],
    len: usize,
    address: [u8; 128],
    address_len: usize,
    flags: c_int,
}

struct Slot(UnsafeCell<Held>);
// SAFETY: whoever has set BUSY is alone with it until they clear it again.
unsafe impl Sync for Slot {}

#[unsafe(link_section = ".bss.table")]
static SLOT: Slot =
    Slot(UnsafeCell::new(Held { bytes: [0; 2048], len: 0, address: [0; 128], address_len: 0, flags: 0 }));
static BUSY: AtomicBool = AtomicBool::new(false);
/// The descriptor that it waits at; -1: none waits.
static WAITS: AtomicI32 = AtomicI32::new(-1);

/// Keeps a datagram back. False if one is kept already, or if this one is too large, or of a function whose
/// message is in pieces: then it is sent as it is.
pub unsafe fn hold(op: Op, words: &Words) -> bool {
    let [fd, _, len, flags, _, address_len, ..] = *words;
    let sized = matches!(op.base(), Op::Send | Op::Sendto | Op::Write);
    if !sized || len > 2048 || WAITS.load(Acquire) >= 0 || BUSY.swap(true, AcqRel) {
        return false;
    }
    let to = op.base() == Op::Sendto && !pointer::<c_void>(words, 4).is_null();
    // SAFETY: BUSY is ours.
    let held = unsafe { &mut *SLOT.0.get() };
    held.flags = if op.base() == Op::Write { 0 } else { flags as c_int };
    held.len = held.bytes.get_mut(..len).map_or(0, |room| crate::sys::memory::copy_checked(pointer(words, 1), room));
    let wanted = if to { (address_len as u32 as usize).min(128) } else { 0 };
    held.address_len =
        held.address.get_mut(..wanted).map_or(0, |room| crate::sys::memory::copy_checked(pointer(words, 4), room));
    let whole = held.len == len && held.address_len == wanted;
    if whole {
        WAITS.store(fd as c_int, Release);
    }
    BUSY.store(false, Release);
    whole
}

/// Something was sent at `fd`: what waits there goes behind it.
pub fn release(fd: c_int) {
    if fd < 0 || WAITS.load(Acquire) != fd || BUSY.swap(true, AcqRel) {
        return;
    }
    if WAITS.swap(-1, AcqRel) == fd {
        // SAFETY: BUSY is ours.
        let held = unsafe { &*SLOT.0.get() };
        let part = |bytes: &'static [u8], len: usize| bytes.get(..len).unwrap_or(&[]);
        kernel::send_to(fd, part(&held.bytes, held.len), held.flags, part(&held.address, held.address_len));
    }
    BUSY.store(false, Release);
}
