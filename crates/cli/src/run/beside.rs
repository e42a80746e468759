//! Standing beside the program: on its processor, where elsewhere there is no peace.
//!
//! Where all processors are busy the scheduler puts the tool on any of them, and whom it meets there is mostly the other end of
//! the program's connections. That one sleeps and is woken again and again while the tool is at work, each time by the program, and
//! on a virtual machine to wake a processor that does something takes many times as long as one that waits to be woken. So who is
//! interrupted so often goes where the records come from, and takes its time from the program alone (docs/PERFORMANCE.md tells how
//! much that is). It is interrupted when it stands aside; where it may not, it stays where it is put.

use std::fs;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;

/// A program has run for so long before the tool looks for its place: many are over by then.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long it stays there before it sees again how it is elsewhere.
const STAY: Duration = Duration::from_secs(5);
/// Looks in a row that were interrupted too often: so many times, and in each millisecond of their own.
const LOOKS: u32 = 2;
const OFTEN: i64 = 10;
const OFTEN_A_MS: i64 = 90;

/// Where the tool's thread runs.
pub struct Beside {
    /// The processors that it may run on.
    all: CpuSet,
    /// The one that it has confined itself to, and until when.
    at: Option<(usize, Instant)>,
    /// Looks in a row that were interrupted too often.
    interrupted: u32,
    /// Not before.
    since: Instant,
    times: Times,
}

/// What a thread has had of a processor, in microseconds, and how often another one has taken it away.
#[derive(Clone, Copy, Default)]
struct Times {
    ran_us: i64,
    interrupted: i64,
}

/// Who has recorded most.
#[derive(Default)]
pub struct Most {
    thread: (u32, u32),
    ahead: u64,
}

impl Most {
    /// A thread (pid, tid) has recorded so much. Whoever has more than all others together is found, by Boyer and Moore's vote.
    pub fn add(&mut self, thread: (u32, u32), much: u64) {
        if thread == self.thread {
            self.ahead += much;
        } else if much > self.ahead {
            (self.thread, self.ahead) = (thread, much - self.ahead);
        } else {
            self.ahead -= much;
        }
    }
}

impl Beside {
    /// To be called once the program runs, which would inherit it.
    pub fn new() -> Beside {
        let all = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
        Beside { all, at: None, interrupted: 0, since: Instant::now() + PATIENCE, times: Times::default() }
    }

    /// A look was begun then and is over; most of what it found is of that thread.
    pub fn looked(&mut self, begun: Instant, most: &Most) {
        let before = std::mem::replace(&mut self.times, Times::of_this_thread());
        if begun >= self.since {
            self.go(begun, self.times.often_since(before), || processor_of(most.thread));
        }
    }

    /// Goes where it belongs, or stays there.
    fn go(&mut self, now: Instant, interrupted: bool, there: impl FnOnce() -> Option<usize>) {
        self.interrupted = if interrupted { self.interrupted + 1 } else { 0 };
        let until = match self.at {
            Some((_, until)) => Some(until).filter(|until| now < *until),
            None => (self.interrupted >= LOOKS).then_some(now + STAY),
        };
        let to = until.zip(until.and_then(|_| there())).filter(|(_, cpu)| self.all.is_set(*cpu).unwrap_or(false));
        let (is, at) = (self.at.map(|(cpu, _)| cpu), to.map(|(until, cpu)| (cpu, until)));
        if is == at.map(|(cpu, _)| cpu) {
            return;
        }
        let only = at.and_then(|(cpu, _)| {
            let mut only = CpuSet::new();
            only.set(cpu).ok().map(|()| only)
        });
        // Where it may not go it stays where it is.
        let _ = sched_setaffinity(Pid::from_raw(0), &only.unwrap_or(self.all));
        (self.at, self.interrupted) = (at, 0);
    }
}

impl Times {
    fn of_this_thread() -> Times {
        let Ok(usage) = getrusage(UsageWho::RUSAGE_THREAD) else { return Times::default() };
        let ran_us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        Times { ran_us, interrupted: usage.involuntary_context_switches() }
    }

    fn often_since(self, before: Times) -> bool {
        let (interrupted, ran_us) = (self.interrupted - before.interrupted, self.ran_us - before.ran_us);
        interrupted >= OFTEN && interrupted * 1000 > OFTEN_A_MS * ran_us
    }
}

/// The processor that a thread (pid, tid) is on, or was last (proc_pid_stat(5), field 39).
fn processor_of((pid, tid): (u32, u32)) -> Option<usize> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).ok()?;
    // The name comes second, in parentheses, and may hold anything.
    text.rsplit_once(')')?.1.split_ascii_whitespace().nth(36)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> CpuSet {
        sched_getaffinity(Pid::from_raw(0)).unwrap()
    }

    fn one(cpu: usize) -> CpuSet {
        let mut set = CpuSet::new();
        set.set(cpu).unwrap();
        set
    }

    fn first(set: &CpuSet) -> usize {
        (0..CpuSet::count()).find(|cpu| set.is_set(*cpu).unwrap()).unwrap()
    }

    // Each test has a thread of its own, whose place it is.
    #[test]
    fn who_is_interrupted_goes_there_and_comes_back() {
        let (all, now) = (here(), Instant::now());
        let cpu = first(&all);
        let mut beside = Beside::new();
        let mut go = |after: u64, interrupted, to: Option<usize>| {
            beside.go(now + Duration::from_secs(after), interrupted, || to);
            here()
        };
        assert_eq!(go(1, true, Some(cpu)), all, "once is chance");
        assert_eq!(go(1, false, Some(cpu)), all);
        assert_eq!(go(1, true, Some(cpu)), all, "it was not in a row");
        assert_eq!(go(1, true, None), all, "nobody knows where");
        assert_eq!(go(1, true, Some(CpuSet::count() - 1)), all, "where it may not be");
        assert_eq!(go(1, true, Some(cpu)), one(cpu));
        assert_eq!(go(5, false, Some(cpu)), one(cpu), "it stays");
        assert_eq!(go(6, true, Some(cpu)), all, "how is it elsewhere?");
        assert_eq!(go(6, true, Some(cpu)), all);
        assert_eq!(go(6, true, Some(cpu)), one(cpu));
        assert_eq!(go(7, false, None), all, "it has gone");
    }

    #[test]
    fn often_is_in_its_own_time() {
        let before = Times { ran_us: 1_000, interrupted: 50 };
        let after = |ran_us, interrupted| Times { ran_us, interrupted }.often_since(before);
        assert!(after(1_500, 100));
        assert!(!after(1_500, 90), "80 a millisecond");
        assert!(!after(1_010, 55), "a few times");
        assert!(!after(1_000, 50));
        // A thread has at least the time in which it asks.
        let times = Times::of_this_thread();
        let until = Instant::now() + Duration::from_secs(10);
        while Times::of_this_thread().ran_us <= times.ran_us && Instant::now() < until {}
        assert!(Times::of_this_thread().ran_us > times.ran_us);
    }

    #[test]
    fn a_thread_is_where_it_must_be() {
        let cpu = first(&here());
        sched_setaffinity(Pid::from_raw(0), &one(cpu)).unwrap();
        let tid = nix::unistd::gettid().as_raw() as u32;
        assert_eq!(processor_of((std::process::id(), tid)), Some(cpu));
        assert_eq!(processor_of((0, 1)), None);
    }

    #[test]
    fn most_is_more_than_all_others_together() {
        let mut most = Most::default();
        for (tid, much) in [(1, 10), (2, 30), (3, 10), (2, 40), (1, 15)] {
            most.add((7, tid), much);
        }
        assert_eq!(most.thread, (7, 2));
    }
}
