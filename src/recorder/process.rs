//! Which process and thread a record belongs to, through fork and vfork.
//!
//! # Safety
//! Every function is given the calling thread's own state.

use super::thread::Thread;
use super::{chunk, clock, plain, region};
use crate::sys;
use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::*, compiler_fence};
use sockshim_format::record::{KIND_PROCESS, PROCESS_FORK, Process};

/// The number of the last process that this memory belonged to: a fork child's parent.
static PARENT: AtomicU32 = AtomicU32::new(0);
/// The pid that goes with the present number.
static PID: AtomicU32 = AtomicU32::new(0);
static TID_OFFSET_HOLDS: AtomicBool = AtomicBool::new(false);

/// The pid as of the last time this process settled.
pub fn pid() -> u32 {
    PID.load(Relaxed)
}

/// The rare half of [`super::gate`]: a thread's first call, the first after a fork or a vfork.
///
/// # Safety
/// `thread` is the calling thread's state.
#[cold]
#[inline(never)]
pub unsafe fn settle(thread: *mut Thread) -> bool {
    // SAFETY: the state is ours; a region is installed since the mode is on.
    unsafe {
        if (*thread).vfork_pid != 0 {
            // A vfork child runs in its parent's memory, on its parent's thread state: it must
            // change nothing. Only the pid tells them apart.
            // (A fork child finds the page cleared: it is a process of its own.)
            if plain::process().load(Relaxed) != 0 && super::may_ask() && sys::getpid() != (*thread).vfork_pid {
                return false;
            }
            (*thread).vfork_pid = 0;
            (*thread).process = (*thread).vfork_process;
            if plain::process().load(Relaxed) != 0 && (*thread).process == plain::process().load(Relaxed) {
                return true;
            }
        }
        let page = plain::process();
        let mut process = page.load(Acquire);
        if process == 0 {
            let pid = if super::may_ask() { sys::getpid() } else { tid_of_libc() };
            let mine = region::take_process_number(pid);
            // Before there is a number, by which others see that the rest is there too.
            super::reconsider();
            match page.compare_exchange(0, mine, AcqRel, Acquire) {
                Ok(_) => {
                    let parent = PARENT.swap(mine, Relaxed);
                    PID.store(pid, Relaxed);
                    process = mine;
                    plain::reconsider();
                    begin(thread, process);
                    if parent != 0 && !region::private() {
                        // A child may be in another.
                        PID_NAMESPACE.store(0, Relaxed);
                        announce(thread, PROCESS_FORK, parent, &[], &[]);
                    }
                    return true;
                }
                // A signal handler or another thread was first.
                Err(theirs) => process = theirs,
            }
        }
        // Who took the number may never have come to it: a signal handler that does not return.
        plain::reconsider();
        begin(thread, process);
        true
    }
}

/// The next number that is taken is that of a program, not of a fork: the region is a new one.
pub fn start_over() {
    PARENT.store(0, Relaxed);
}

/// Before every call, and after one that may have come back in a child: where the kernel does not clear the
/// number of the process in children, this does. `child` says that this surely is one, for those that cannot be
/// asked; of the others, an atfork handler may have settled the state already.
#[inline(never)]
pub fn came_back(child: bool) {
    let new = || if super::may_ask() { sys::getpid() != pid() } else { child };
    if !region::wipes() && new() {
        plain::process().store(0, Release);
    }
}

/// Gives the thread a fresh state: its chunk, if it had one, is its parent's.
///
/// # Safety
/// As `settle`.
unsafe fn begin(thread: *mut Thread, process: u32) {
    // SAFETY: as `settle`.
    unsafe {
        let tid = if super::may_ask() { sys::gettid() } else { tid_of_libc() };
        if (*thread).process == process {
            return; // a signal handler has just done all this
        }
        (*thread).pinned = core::ptr::null_mut();
        (*thread).chunks = 0;
        (*thread).lost = 0;
        (*thread).starved = 0;
        (*thread).tid = tid;
        compiler_fence(SeqCst);
        if (&raw const (*thread).process).read_volatile() == process {
            return;
        }
        (*thread).seq = 0;
        (*thread).chunk = core::ptr::null_mut();
        compiler_fence(SeqCst);
        (*thread).process = process;
    }
}

/// The thread's id as glibc keeps it, for threads that begin under a seccomp filter, where a
/// system call of ours might kill. The constructor has checked the place (`lifecycle`), else this is 0.
fn tid_of_libc() -> u32 {
    if !TID_OFFSET_HOLDS.load(Relaxed) {
        return 0;
    }
    crate::arch::tid_of_libc()
}

/// Finds out whether `tid_of_libc` tells the truth here.
pub fn check_tid_offset() {
    TID_OFFSET_HOLDS.store(true, Relaxed);
    TID_OFFSET_HOLDS.store(tid_of_libc() == sys::gettid(), Relaxed);
}

/// The inode of a namespace, 0 if /proc is not there to tell. The link says it, as `net:[4026531840]` (namespaces(7)):
/// to follow it takes twice as long.
fn namespace(link: &CStr) -> u64 {
    let mut text = [0; 32];
    let digits = sys::readlink(link, &mut text).iter().filter(|byte| byte.is_ascii_digit());
    digits.fold(0, |inode, digit| inode.wrapping_mul(10).wrapping_add((digit - b'0').into()))
}

/// The pid namespace of this program, if the tool's lock on the region has told it; else 0.
static PID_NAMESPACE: AtomicU64 = AtomicU64::new(0);

/// This program is in the tool's pid namespace, which is this one.
pub fn is_in_pid_namespace(inode: u64) {
    PID_NAMESPACE.store(inode, Relaxed);
}

/// 0 if it may not be asked, all ones if nobody could tell. The tool must not take such a process for one of its own
/// namespace.
fn pid_namespace(ask: bool) -> u64 {
    match PID_NAMESPACE.load(Relaxed) {
        _ if !ask => 0,
        0 => match namespace(c"/proc/self/ns/pid") {
            0 => u64::MAX,
            inode => inode,
        },
        inode => inode,
    }
}

/// The network namespace of the process that has the number [`ASKED_BY`], or of its parent.
static NET_NAMESPACE: AtomicU64 = AtomicU64::new(0);
static ASKED_BY: AtomicU32 = AtomicU32::new(0);

/// The network namespace of this process, asked for its first socket. Lines of text do without.
pub fn net_namespace() -> u64 {
    let process = plain::process().load(Relaxed);
    if ASKED_BY.load(Acquire) != process && super::may_ask() && !region::private() {
        NET_NAMESPACE.store(namespace(c"/proc/self/ns/net"), Relaxed);
        ASKED_BY.store(process, Release);
    }
    NET_NAMESPACE.load(Relaxed)
}

/// Records that a process has begun.
///
/// # Safety
/// `thread` is the calling thread's settled state.
pub unsafe fn announce(thread: *mut Thread, how: u32, parent: u32, path: &[u8], arguments: &[u8]) {
    let ask = super::may_ask();
    let process = Process {
        process: plain::process().load(Relaxed),
        parent,
        pid: PID.load(Relaxed),
        ppid: if ask { sys::getppid() } else { 0 },
        how,
        uid: if ask { sys::getuid() } else { 0 },
        ticks: clock::now(),
        real_ns: if ask { sys::clock_ns(libc::CLOCK_REALTIME) } else { 0 },
        pid_namespace: pid_namespace(ask),
        // Its sockets tell: a program that has none need not wait for it.
        net_namespace: 0,
        path_bytes: path.len() as u32,
        arguments_bytes: arguments.len() as u32,
        reserved: 0,
    };
    // SAFETY: the caller's promise; the three slices are valid.
    unsafe {
        chunk::extension_by(thread, KIND_PROCESS, 0, 0, 0, &[&process.to_bytes(), path, arguments]);
    }
}
