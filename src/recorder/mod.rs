//! Turns a call into a record. Knows chunks and bytes, and no C prototype.
//!
//! - [`call`]: enter and leave; [`careful`]: the same where there is more to ask; [`extend`]: what is told of a call in between
//! - [`tcp`]: what the kernel says of a TCP socket that ends, or was there before us; [`taken`]: what the program has read of it
//! - [`descriptors`]: which descriptor is which socket
//! - [`chunk`]: reserving, filling and publishing in the mapped region
//! - [`plain`]: whether a call need ask for nothing more
//! - [`region`]: the region's header, its free and full chunks; [`offer`]: which of them may be claimed
//! - [`process`]: whose record it is, through fork and vfork
//! - [`attach`]: how the region gets mapped
//! - [`log`]: the same records as text; [`peers`], [`room`]: what it keeps in mind, so as not to ask for each line
//! - [`left_out`]: calls whose record goes nowhere, for a filter says so
//! - [`verdict`]: which call it is that a fault is about to be put into
//! - [`thread`], [`clock`]: what both stand on

pub mod attach;
pub mod call;
pub mod careful;
pub mod chunk;
pub mod clock;
pub mod descriptors;
pub mod extend;
pub mod left_out;
pub mod log;
pub mod offer;
pub mod peers;
pub mod plain;
pub mod process;
pub mod region;
pub mod room;
pub mod taken;
pub mod tcp;
pub mod thread;
pub mod verdict;

use core::sync::atomic::{AtomicBool, AtomicU8, Ordering::*, fence};

/// Nothing is known yet: the first call or the constructor begins.
pub const MODE_UNKNOWN: u8 = 0;
/// Calls pass through.
pub const MODE_OFF: u8 = 1;
/// Calls are recorded.
pub const MODE_ON: u8 = 2;
/// Calls are recorded, each with more to ask than a plain one: because there is a plan (`verdict`), a filter (`left_out`) or a text log,
/// because only the coarse clock is left, or because each has to ask whether it is in a forked child, where the kernel does not
/// tell ([`plain::wipe_in_children`]).
pub const MODE_ASKING: u8 = 3;

/// One of the MODE_ numbers. A plain call does not look at it: [`plain`].
pub static MODE: AtomicU8 = AtomicU8::new(MODE_UNKNOWN);

/// Cleared when the program installs a seccomp filter: from then on a system call of ours might
/// kill it. A filter that was there when the program started does not count: the constructor's own
/// calls have passed it.
pub static MAY_ASK: AtomicBool = AtomicBool::new(true);

/// Whether addresses, TCP_INFO and the numbers of new sockets are asked at the edges of phases.
pub static EDGES: AtomicBool = AtomicBool::new(true);

/// Whether the shim may make a system call of its own at the edge of a phase.
pub fn may_ask() -> bool {
    MAY_ASK.load(Relaxed)
}

/// Asks for what is otherwise asked when it is first needed: soon it may not be.
pub fn ask_ahead() {
    process::net_namespace();
    offer::ahead();
}

/// Whether it may, and the user wants it to.
pub fn asks_edges() -> bool {
    may_ask() && EDGES.load(Relaxed)
}

/// Whether this call is to be recorded: we are on, the thread has storage, and its state belongs to
/// this process.
///
/// For calls that are not plain. What is rare is in [`process::settle`].
#[inline(always)]
pub fn gate() -> bool {
    if MODE.load(Relaxed) != MODE_ON {
        return asking_gate();
    }
    // SAFETY: looked at before the state is.
    thread::has_storage() && unsafe { settled(thread::current()) }
}

/// Whether the call that comes in is plain: recorded, with nothing to be asked first. So is nearly every call.
#[inline(always)]
pub fn is_plain() -> bool {
    let number = plain::number();
    // SAFETY: looked at before the state is.
    number != 0 && thread::has_storage() && unsafe { (*thread::current()).process == number }
}

/// Likewise of a call that was entered.
///
/// # Safety
/// `thread` is the calling thread's state.
#[inline(always)]
unsafe fn still_plain(thread: *mut thread::Thread) -> bool {
    let number = plain::number();
    // SAFETY: the caller's promise.
    number != 0 && unsafe { (*thread).process == number }
}

/// Whether nothing is recorded, in no thread.
#[inline(always)]
pub fn is_off() -> bool {
    MODE.load(Relaxed) == MODE_OFF
}

/// Whether the thread's state belongs to this process, or could be made to.
///
/// # Safety
/// `thread` is the calling thread's state.
#[inline(always)]
unsafe fn settled(thread: *mut thread::Thread) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let number = plain::process().load(Relaxed);
        (number != 0 && (*thread).process == number) || process::settle(thread)
    }
}

/// The gate in every mode but MODE_ON, which pays nothing for it.
#[cold]
#[inline(never)]
fn asking_gate() -> bool {
    if MODE.load(Relaxed) != MODE_ASKING || !thread::has_storage() {
        return false;
    }
    // SAFETY: has_storage() was true just now.
    unsafe {
        // A vfork child has its parent's memory, which it must not change: `settle` tells it apart.
        if (*thread::current()).vfork_pid == 0 {
            process::came_back(false);
        }
        settled(thread::current())
    }
}

/// The mode in which calls are recorded, now that a region is installed, and what each has to ask about, if there is any.
pub fn mode_on() -> u8 {
    let asked = verdict::PLANNED.load(Relaxed) || left_out::FILTERED.load(Relaxed) || log::on() || clock::coarse();
    if region::wipes() && !asked { MODE_ON } else { MODE_ASKING }
}

/// From now on, calls are treated so.
pub fn switch(mode: u8) {
    MODE.store(mode, SeqCst);
    plain::reconsider();
}

/// Something has changed that calls have to ask about, or that a plain one has a copy of.
pub fn reconsider() {
    let found = || {
        // What has changed was stored before, and is seen by this thread or by the one that has changed it, whoever comes second.
        fence(SeqCst);
        (log::snaplen(), clock::is_counter(), mode_on())
    };
    let mut now = found();
    loop {
        plain::copy(now.0, now.1);
        let mode = MODE.load(SeqCst);
        if matches!(mode, MODE_ON | MODE_ASKING) {
            // Unless another thread has switched it meanwhile.
            let _ = MODE.compare_exchange(mode, now.2, SeqCst, Relaxed);
        }
        plain::reconsider();
        if core::mem::replace(&mut now, found()) == now {
            return;
        }
    }
}

/// Whether calls are recorded.
pub fn is_on() -> bool {
    matches!(MODE.load(Relaxed), MODE_ON | MODE_ASKING)
}

/// Whether this is another process than the one in which the thread's last call was entered. To be asked behind
/// every call that forks; `child` says that it surely is one.
///
/// # Safety
/// `gate` said yes before that call.
pub unsafe fn forked(child: bool) -> bool {
    process::came_back(child);
    // SAFETY: the caller's promise.
    unsafe { !chunk::still_own(thread::current()) }
}

/// In the child of a vfork, lets `tell` record in the name of its parent, which waits and whose thread's
/// state this is. `None` anywhere else.
pub fn as_vfork_parent<T>(tell: impl FnOnce() -> T) -> Option<T> {
    if !is_on() || !thread::has_storage() || !may_ask() {
        return None;
    }
    // SAFETY: has_storage() was true just now.
    unsafe {
        let thread = thread::current();
        let (parent, number) = ((*thread).vfork_pid, plain::process().load(Relaxed));
        if parent == 0 || number == 0 || (*thread).vfork_process != number || crate::sys::getpid() == parent {
            return None;
        }
        (*thread).process = number;
        let ret = tell();
        (*thread).process = 0;
        Some(ret)
    }
}
