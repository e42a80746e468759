//! Ticks: the cheapest clock that is right.
//!
//! The region says which: the time-stamp counter where it is invariant and the kernel itself keeps
//! time by it, else CLOCK_MONOTONIC. Once the program forbids reading them (a strict seccomp mode,
//! PR_SET_TSC), only the coarse clock is left, which libc reads from memory.

use super::plain;
use crate::{arch, next, sys};
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
use libc::timespec;
use sockshim_format::region::{CLOCK_MONOTONIC, CLOCK_TSC};

/// 0: time-stamp counter, 1: CLOCK_MONOTONIC, 2: CLOCK_MONOTONIC_COARSE.
static CLOCK: AtomicU8 = AtomicU8::new(1);

/// The clock now, in ticks.
#[inline(always)]
pub fn now() -> u64 {
    if plain::by_counter() { arch::ticks() } else { by_another() }
}

/// Not by the counter, or in a process that does not know yet that it is.
#[cold]
#[inline(never)]
fn by_another() -> u64 {
    if is_counter() {
        return arch::ticks();
    }
    let clock = if coarse() { libc::CLOCK_MONOTONIC_COARSE } else { libc::CLOCK_MONOTONIC };
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: libc writes one timespec. clock_gettime is not a name that we export, and reads the
    // vDSO without a system call.
    unsafe { libc::clock_gettime(clock, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Whether records must say that their ticks are coarse nanoseconds.
pub fn coarse() -> bool {
    CLOCK.load(Relaxed) == 2
}

/// Whether ticks are those of the time-stamp counter.
pub fn is_counter() -> bool {
    CLOCK.load(Relaxed) == 0
}

/// The program has forbidden the fine clocks.
pub fn forbid_fine() {
    CLOCK.store(2, Relaxed);
    super::reconsider();
}

/// Uses the clock that the region's creator chose.
pub fn choose(clock: u32) {
    let number = match clock {
        _ if !sys::tsc_enabled() => 2,
        CLOCK_TSC => 0,
        _ => 1,
    };
    CLOCK.store(number, Relaxed);
    super::reconsider();
}

/// The best clock of this machine, for a region of our own. At the start nobody unloads an object while another is looked for there.
pub fn best(at_start: bool) -> u32 {
    let fd = sys::open(c"/sys/devices/system/clocksource/clocksource0/current_clocksource", 0, 0);
    let mut source = [0u8; 4];
    if fd >= 0 {
        sys::read_start(fd, &mut source);
        sys::close(fd);
    }
    // A program that may not read the counter must not begin a region whose ticks others read off it.
    let counts = source == *b"tsc\n"
        && sys::tsc_enabled()
        && arch::ticks_are_even(|name| if at_start { next::find(name) } else { 0 });
    if counts { CLOCK_TSC } else { CLOCK_MONOTONIC }
}

/// Whether points of this process say something of the ticks of a region. Those of one that has forbidden itself to read the
/// counter do not.
pub fn tells(clock: u32) -> bool {
    clock != CLOCK_TSC || is_counter()
}

/// A calibration point: (ticks, CLOCK_MONOTONIC, CLOCK_REALTIME), read as closely as can be.
pub fn calibrate() -> (u64, u64, u64) {
    let mono = sys::clock_ns(libc::CLOCK_MONOTONIC);
    let ticks = if is_counter() { now() } else { mono };
    (ticks, mono, sys::clock_ns(libc::CLOCK_REALTIME))
}
