//! Signals: what the program inherits, and what is passed on to it.
//!
//! 1. What the tool's parent ignored, the program ignores (`nohup`, `cmd &` of a script): such a
//!    signal gets no handler. The tool itself ignores SIGPIPE, and SIGXFSZ: past `ulimit -f` a write of
//!    its own shall fail, and not end it. The program has both as they were.
//! 2. A signal from the terminal goes to the whole foreground group, so the program has it already.
//!    One that was sent to the tool alone is forwarded.
//! 3. None is lost while the program is being started: the handler keeps it until there is a pid.

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::SeqCst};

/// What people send to a program, and what `alarm` leaves for it before an exec.
pub const FORWARDED: [c_int; 7] =
    [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2, libc::SIGALRM];
/// What the program inherits as the tool had it. SIGCHLD is here because a tool that ignores it
/// never learns how its child ended.
const RESTORED: [c_int; 10] = {
    let [hup, int, quit, term, usr1, usr2, alrm] = FORWARDED;
    [hup, int, quit, term, usr1, usr2, alrm, libc::SIGCHLD, libc::SIGPIPE, libc::SIGXFSZ]
};

/// Values of [`CHILD`] that are no pid.
const NOT_YET: i32 = 0;
const GONE: i32 = -1;

/// Who gets the signals.
static CHILD: AtomicI32 = AtomicI32::new(NOT_YET);
/// For each signal that arrived and was not passed on, who sent it; 0 for the others.
static SENDERS: [AtomicI32; 32] = [const { AtomicI32::new(0) }; 32];
/// The sender when it was the kernel, as for `alarm`.
const KERNEL: i32 = -1;

static SIGPIPE_WAS_IGNORED: AtomicBool = AtomicBool::new(false);
static SIGXFSZ_WAS_IGNORED: AtomicBool = AtomicBool::new(false);

/// What the tool needs for itself: a write that fails, where it would be ended. To be called once, before anything is
/// written.
pub fn prepare() {
    SIGPIPE_WAS_IGNORED.store(is_ignored(libc::SIGPIPE), SeqCst);
    SIGXFSZ_WAS_IGNORED.store(is_ignored(libc::SIGXFSZ), SeqCst);
    set_disposition(libc::SIGPIPE, libc::SIG_IGN);
    set_disposition(libc::SIGXFSZ, libc::SIG_IGN);
}

/// Dispositions and mask, as they were when the tool started.
pub struct Inherited {
    /// Parallel to [`RESTORED`].
    ignored: [bool; RESTORED.len()],
    mask: libc::sigset_t,
}

impl Inherited {
    /// Notes them, installs the handlers, and blocks the signals in this thread, so that a child
    /// of it runs none of our handlers. [`Inherited::restore_mask`] ends that.
    pub fn take() -> io::Result<Inherited> {
        SENDERS.iter().for_each(|sender| sender.store(0, SeqCst));
        CHILD.store(NOT_YET, SeqCst);
        let ignored = RESTORED.map(|signal| match signal {
            libc::SIGPIPE => SIGPIPE_WAS_IGNORED.load(SeqCst),
            libc::SIGXFSZ => SIGXFSZ_WAS_IGNORED.load(SeqCst),
            other => is_ignored(other),
        });
        let mut mask = MaybeUninit::uninit();
        // SAFETY: both sets are ours; `mask` is initialised when the call succeeds.
        let mask = unsafe {
            let error = libc::pthread_sigmask(libc::SIG_BLOCK, &set_of(FORWARDED), mask.as_mut_ptr());
            if error != 0 {
                return Err(io::Error::from_raw_os_error(error));
            }
            mask.assume_init()
        };
        for (signal, ignored) in RESTORED.into_iter().zip(ignored) {
            match signal {
                libc::SIGCHLD if ignored => set_disposition(signal, libc::SIG_DFL),
                libc::SIGCHLD | libc::SIGPIPE | libc::SIGXFSZ => {}
                _ if ignored => {}
                _ => set_disposition(signal, on_signal as *const () as usize),
            }
        }
        Ok(Inherited { ignored, mask })
    }

    /// Makes everything as it was. For the child, before it becomes the program: exec itself
    /// resets handlers, but a signal that comes before it would run ours.
    pub fn restore(&self) {
        for (signal, ignored) in RESTORED.into_iter().zip(self.ignored) {
            set_disposition(signal, if ignored { libc::SIG_IGN } else { libc::SIG_DFL });
        }
        self.restore_mask();
    }

    /// Makes the mask of this thread as it was.
    pub fn restore_mask(&self) {
        // SAFETY: the set was filled in by the kernel.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.mask, ptr::null_mut()) };
    }
}

/// From now on this process gets the signals, and those that were kept for it.
pub fn forward_to(child: i32) {
    CHILD.store(child, SeqCst);
    send_pending();
}

/// The process has ended: its pid is no longer to be used. Signals are kept from here on.
pub fn forward_to_nobody(child: i32) {
    // Another child may have been started since.
    let _ = CHILD.compare_exchange(child, GONE, SeqCst, SeqCst);
}

/// A signal that arrived when the program had already ended, and that would have ended the tool:
/// the person has waited enough.
pub fn signal_after_exit() -> Option<i32> {
    let arrived = |signal: &c_int| SENDERS[*signal as usize].load(SeqCst) != 0;
    FORWARDED.into_iter().find(arrived).filter(|_| CHILD.load(SeqCst) == GONE)
}

/// Ends this process by the signal. Returns if the signal does not do that.
pub fn die_of(signal: c_int) {
    set_disposition(signal, libc::SIG_DFL);
    // SAFETY: the set is ours and initialised; `raise` has no preconditions.
    unsafe {
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set_of([signal]), ptr::null_mut());
        libc::raise(signal);
    }
}

extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a siginfo_t that lives until we return; si_pid is
    // in the part of it that every sender of these signals fills in or leaves zero.
    let (code, sender) = unsafe { ((*info).si_code, (*info).si_pid()) };
    let from_terminal = code == libc::SI_KERNEL && matches!(signal, libc::SIGHUP | libc::SIGINT | libc::SIGQUIT);
    if from_terminal && CHILD.load(SeqCst) != GONE {
        return;
    }
    // SAFETY: errno is a plain thread-local; the code that we interrupted may be about to read it.
    let errno = unsafe { *libc::__errno_location() };
    let sender = if code <= 0 && sender > 0 { sender } else { KERNEL };
    SENDERS[signal as usize].store(sender, SeqCst);
    send_pending();
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Whoever comes last, the handler or the thread that starts the program, finds both the signal
/// and the pid. A program that signals its own group (`kill 0`) has had its share.
fn send_pending() {
    let child = CHILD.load(SeqCst);
    if child <= 0 {
        return;
    }
    for signal in FORWARDED {
        let sender = SENDERS[signal as usize].swap(0, SeqCst);
        if sender != 0 && sender != child {
            // SAFETY: no memory is involved. The pid is that of a child which nobody has reaped.
            unsafe { libc::kill(child, signal) };
        }
    }
}

fn is_ignored(signal: c_int) -> bool {
    let mut now = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null pointer asks for the disposition only, and all zeros is a valid sigaction.
    unsafe {
        libc::sigaction(signal, ptr::null(), now.as_mut_ptr()) == 0 && now.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Cannot fail for the signals that it is used with; for SIGKILL and SIGSTOP there is no need.
fn set_disposition(signal: c_int, handler: libc::sighandler_t) {
    // SAFETY: all zeros is a valid sigaction; `handler` is SIG_DFL, SIG_IGN or a function of the
    // type that SA_SIGINFO asks for.
    unsafe {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        action.sa_sigaction = handler;
        action.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO;
        libc::sigaction(signal, &action, ptr::null_mut());
    }
}

fn set_of(signals: impl IntoIterator<Item = c_int>) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        set.assume_init()
    }
}
