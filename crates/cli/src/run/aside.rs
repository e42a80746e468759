//! Standing aside: taking the processor when nobody else wants it.
//!
//! Where a server, its client and the tool share a few processors, what the tool takes is what they lack. A thread under
//! SCHED_BATCH gets its share as any other, but interrupts nobody when it wakes. One under SCHED_IDLE takes what the others leave
//! over, and whoever wakes up is placed as if that processor had nothing to do. But it gets next to nothing where others
//! want all processors for long, and without privilege there is no way back (sched(7)). So the tool does that only where
//! there is one, and a second thread, the guard, sees every now and then whether it gets on, and leads it back where it does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, SigmaskHow};
use nix::unistd::gettid;
use sockshim_format::region::SLOT_BYTES;

/// How often the guard sees whether the tool gets on. It looks twice in that time, at least.
const CHECK: Duration = Duration::from_millis(100);
/// A program has run for so long before the tool stands aside: many are over by then.
const PATIENCE: Duration = Duration::from_millis(500);
/// When the tool has not got on it stays as it was for so long, for twice as long the next time, and so on.
const HOLD: Duration = Duration::from_secs(2);
const LONGEST_HOLD: Duration = Duration::from_secs(64);
/// Records a second below which there is nothing to be had.
const FEW: f64 = 2_000.0;
/// Checks until the region is full. The guard needs two.
const MISSED: f64 = 8.0;

/// What the tool's thread and the guard know of each other.
struct Shared {
    /// The tool's thread.
    tid: i32,
    /// Its looks that are over.
    looks: AtomicU64,
    /// Whether it stands aside.
    aside: AtomicBool,
    /// Whether there is a way back, as the guard has tried.
    way_back: AtomicBool,
}

/// How the tool's thread stands to the others.
pub struct Aside {
    shared: Arc<Shared>,
    guard: Option<Thread>,
    /// Whether it may stand aside at all, as far as is known.
    may_be: bool,
    /// Whether it did when it looked last, and whether the tool was beside the program then.
    was: bool,
    beside: bool,
    /// It does not until then.
    until: Instant,
    hold: Duration,
    since: Instant,
    /// The last look.
    looked: Instant,
    /// Records a second with which nobody should be late.
    many: f64,
}

impl Aside {
    /// From now on the thread interrupts nobody. To be called once the program runs, which would inherit it. Whoever has
    /// chosen another policy for us knows why: then that stays. Records have `room_bytes`.
    pub fn new(room_bytes: u64) -> Aside {
        // SAFETY: a system call about this thread.
        let is_ordinary = unsafe { libc::sched_getscheduler(0) } == libc::SCHED_OTHER;
        let now = Instant::now();
        Aside {
            shared: Arc::new(Shared {
                tid: gettid().as_raw(),
                looks: AtomicU64::new(0),
                aside: AtomicBool::new(false),
                way_back: AtomicBool::new(false),
            }),
            guard: None,
            may_be: is_ordinary && set(0, libc::SCHED_BATCH),
            was: false,
            beside: false,
            until: now + PATIENCE,
            hold: HOLD,
            since: now,
            looked: now,
            many: room_bytes as f64 / SLOT_BYTES as f64 / MISSED / CHECK.as_secs_f64(),
        }
    }

    /// Whether it stands aside, as far as this thread knows.
    pub fn is(&self) -> bool {
        self.was
    }

    /// A look was begun then, and found so many records; `may_be_late` says whether anybody waits for them, `beside` whether the
    /// tool is confined to the program's processor, where a program that never sleeps leaves nothing over.
    pub fn looked(&mut self, begun: Instant, records: u64, may_be_late: bool, beside: bool) {
        let elapsed = (begun - std::mem::replace(&mut self.looked, begun)).max(Duration::from_micros(1));
        let rate = records as f64 / elapsed.as_secs_f64();
        self.shared.looks.fetch_add(1, SeqCst);
        if std::mem::take(&mut self.was) && !self.shared.aside.load(SeqCst) {
            // The guard has led us back. If all was well for long, what was before does not count.
            if begun - self.since > LONGEST_HOLD {
                self.hold = HOLD;
            }
            if beside {
                // That says nothing of other processors.
                self.until = begun + HOLD;
            } else {
                self.until = begun + self.hold;
                self.hold = (self.hold * 2).min(LONGEST_HOLD);
            }
        }
        if std::mem::replace(&mut self.beside, beside) && !beside {
            self.until = begun;
        }
        let is = self.shared.aside.load(SeqCst);
        let shall = self.may_be && may_be_late && rate <= self.many && (is || rate >= FEW && begun >= self.until);
        match (is, shall) {
            (false, true) => self.stand_aside(begun),
            (true, false) => self.come_back(),
            _ => {}
        }
        self.was = self.shared.aside.load(SeqCst);
    }

    /// There is no more to be had: nobody shall wait for the end.
    pub fn end(&mut self) {
        self.may_be = false;
        if self.shared.aside.load(SeqCst) {
            self.come_back();
        }
    }

    fn stand_aside(&mut self, now: Instant) {
        let Some(guard) = &self.guard else {
            self.guard = guard(&self.shared);
            self.may_be = self.guard.is_some();
            return;
        };
        // Not yet, perhaps: the guard stands aside while it tries.
        if !self.shared.way_back.load(SeqCst) {
            return;
        }
        self.shared.aside.store(true, SeqCst);
        guard.unpark();
        set(0, libc::SCHED_IDLE);
        self.since = now;
    }

    fn come_back(&self) {
        set(0, libc::SCHED_BATCH);
        self.shared.aside.store(false, SeqCst);
    }
}

impl Shared {
    fn guard(&self) {
        loop {
            let done = self.looks.load(SeqCst);
            if self.aside.load(SeqCst) {
                // Not parked: an `unpark` that came before would end that at once.
                thread::sleep(CHECK);
            } else {
                thread::park();
                continue;
            }
            // First said, then done: the tool's thread keeps to it for a while, so that it is not led back once it stands
            // aside again.
            if self.looks.load(SeqCst) == done && self.aside.swap(false, SeqCst) {
                set(self.tid, libc::SCHED_BATCH);
            }
        }
    }
}

/// Starts the guard, which gets none of our signals: they shall interrupt the tool's thread. It finds out whether
/// there is a way back from SCHED_IDLE by going there.
fn guard(shared: &Arc<Shared>) -> Option<Thread> {
    let shared = shared.clone();
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).ok()?;
    let guard = thread::Builder::new().name("guard".into()).spawn(move || {
        if set(0, libc::SCHED_IDLE) && set(0, libc::SCHED_BATCH) {
            shared.way_back.store(true, SeqCst);
            shared.guard();
        }
    });
    let _ = before.thread_set_mask();
    Some(guard.ok()?.thread().clone())
}

/// Sets the policy of a thread of ours, 0 for the calling one. False if that may not be.
fn set(tid: i32, policy: i32) -> bool {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: a system call that reads the struct.
    unsafe { libc::sched_setscheduler(tid, policy, &raw const parameters) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The policy of the calling thread, once it is that, or what it is after ten seconds.
    fn becomes(policy: i32) -> i32 {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            // SAFETY: a system call about this thread.
            let is = unsafe { libc::sched_getscheduler(0) };
            if is == policy || Instant::now() > until {
                return is;
            }
            thread::yield_now();
        }
    }

    /// Ten milliseconds after the last look, one that found so many records.
    fn look(aside: &mut Aside, records: u64) {
        aside.looked(aside.looked + Duration::from_millis(10), records, true, false);
    }

    /// One whose program has run for long enough. None where there is no way back.
    fn patient() -> Option<Aside> {
        let there_is = thread::spawn(|| set(0, libc::SCHED_IDLE) && set(0, libc::SCHED_BATCH)).join();
        if !there_is.unwrap() {
            println!("SKIPPED: there is no way back from SCHED_IDLE without privilege");
            return None;
        }
        let mut aside = Aside::new(64 << 20);
        assert_eq!(becomes(libc::SCHED_BATCH), libc::SCHED_BATCH);
        look(&mut aside, 100);
        assert!(aside.guard.is_none(), "the program has only begun");
        aside.until = aside.looked;
        Some(aside)
    }

    // Each test has a thread of its own, whose policy it is.
    #[test]
    fn who_does_not_get_on_is_led_back() {
        let Some(mut aside) = patient() else { return };
        let until = Instant::now() + Duration::from_secs(10);
        while !aside.was && Instant::now() < until {
            look(&mut aside, 100);
        }
        assert!(aside.was, "it never stood aside");
        // No look any more.
        assert_eq!(becomes(libc::SCHED_BATCH), libc::SCHED_BATCH);
        while aside.shared.aside.load(SeqCst) {
            thread::yield_now();
        }
        for _ in 0..100 {
            look(&mut aside, 100);
        }
        assert_eq!(becomes(libc::SCHED_BATCH), libc::SCHED_BATCH, "not within a second");
        let led = aside.since;
        aside.looked = aside.until;
        look(&mut aside, 100);
        assert!(aside.since > led, "it may again");
        assert_eq!(aside.hold, HOLD * 2);
    }

    #[test]
    fn who_has_much_to_do_or_is_waited_for_comes_back() {
        let Some(mut aside) = patient() else { return };
        // No guard: here the thread may have to wait for longer than one thinks right.
        aside.guard = Some(thread::current());
        aside.shared.way_back.store(true, SeqCst);
        look(&mut aside, 100);
        assert_eq!(becomes(libc::SCHED_IDLE), libc::SCHED_IDLE);
        look(&mut aside, 1_000_000);
        assert_eq!(becomes(libc::SCHED_BATCH), libc::SCHED_BATCH);
        look(&mut aside, 100);
        assert_eq!(becomes(libc::SCHED_IDLE), libc::SCHED_IDLE);
        aside.looked(aside.looked + Duration::from_millis(10), 100, false, false);
        assert_eq!(becomes(libc::SCHED_BATCH), libc::SCHED_BATCH);
        look(&mut aside, 0);
        assert_eq!(becomes(libc::SCHED_BATCH), libc::SCHED_BATCH, "there is nothing to be had");
        look(&mut aside, 100);
        assert_eq!(becomes(libc::SCHED_IDLE), libc::SCHED_IDLE);
        look(&mut aside, 0);
        assert_eq!(becomes(libc::SCHED_IDLE), libc::SCHED_IDLE);
        aside.end();
        assert_eq!(becomes(libc::SCHED_BATCH), libc::SCHED_BATCH);
        look(&mut aside, 100);
        assert_eq!(becomes(libc::SCHED_BATCH), libc::SCHED_BATCH, "it is over");
    }
}
