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
const STAY: Duration = Duration::from_secs(20);
/// How often it sees, meanwhile, whether the program has moved on.
const FOLLOW: Duration = Duration::from_millis(200);
/// Looks in a row that were interrupted too often: so many times, and in each millisecond of their own.
const LOOKS: u32 = 2;
const OFTEN: i64 = 10;
const OFTEN_A_MS: i64 = 90;

/// Where the tool's thread runs.
pub struct Beside {
    at: Option<Place>,
    /// Looks in a row that were interrupted too often.
    interrupted: u32,
    /// Not before; never where this is None.
    since: Option<Instant>,
    times: Times,
}

/// The processor that the thread has confined itself to.
struct Place {
    cpu: usize,
    /// Where it may run else.
    before: CpuSet,
    until: Instant,
    /// When it was last seen whether the program is still there.
    seen: Instant,
}

/// What a thread has had of a processor, in microseconds, and how often another one has taken it away.
#[derive(Clone, Copy, Default)]
struct Times {
    ran_us: i64,
    interrupted: i64,
}

/// A thread, and its process: (number in the region, pid, tid).
pub type Who = (u32, u32, u32);

/// Who has recorded more than all others together, if there is one.
#[derive(Clone, Copy, Default)]
pub struct Most {
    thread: Who,
    ahead: u64,
    total: u64,
}

impl Most {
    /// A thread has recorded so much. By Boyer and Moore's vote: who is ahead in the end has at least as much as that, and whoever
    /// has more than all others is ahead.
    pub fn add(&mut self, thread: Who, much: u64) {
        self.total += much;
        if thread == self.thread {
            self.ahead += much;
        } else if much > self.ahead {
            (self.thread, self.ahead) = (thread, much - self.ahead);
        } else {
            self.ahead -= much;
        }
    }

    /// None also where one has more than the others and that is not sure.
    pub fn who(&self) -> Option<Who> {
        (self.ahead * 2 > self.total).then_some(self.thread)
    }
}

impl Beside {
    pub fn new() -> Beside {
        Beside { at: None, interrupted: 0, since: Some(Instant::now() + PATIENCE), times: Times::default() }
    }

    /// A look was begun then and is over; the tool stood aside meanwhile, or not. `there` says where the program is. Returns whether
    /// the tool is beside it now.
    pub fn looked(&mut self, begun: Instant, aside: bool, there: impl FnOnce() -> Option<usize>) -> bool {
        let before = std::mem::replace(&mut self.times, Times::of_this_thread());
        self.go(begun, aside && self.times.often_since(before), there);
        self.at.is_some()
    }

    /// Nobody shall wait for the end: from now on it is where it is put.
    pub fn end(&mut self) {
        self.leave();
        self.since = None;
    }

    fn go(&mut self, now: Instant, interrupted: bool, there: impl FnOnce() -> Option<usize>) {
        self.interrupted = if interrupted { self.interrupted + 1 } else { 0 };
        match &mut self.at {
            Some(place) if now >= place.until => self.leave(),
            Some(place) if now >= place.seen + FOLLOW => {
                place.seen = now;
                if let Some(cpu) = there().filter(|cpu| *cpu != place.cpu && confine(&place.before, *cpu)) {
                    place.cpu = cpu;
                }
            }
            None if self.interrupted >= LOOKS && self.since.is_some_and(|since| now >= since) => {
                let Ok(before) = sched_getaffinity(Pid::from_raw(0)) else { return };
                let cpu = there().filter(|cpu| confine(&before, *cpu));
                self.at = cpu.map(|cpu| Place { cpu, before, until: now + STAY, seen: now });
            }
            _ => {}
        }
    }

    fn leave(&mut self) {
        let Some(Place { cpu, before, .. }) = self.at.take() else { return };
        self.interrupted = 0;
        // Unless somebody else has put it elsewhere meanwhile.
        if sched_getaffinity(Pid::from_raw(0)) == Ok(only(cpu)) {
            let _ = sched_setaffinity(Pid::from_raw(0), &before);
        }
    }
}

/// Confines the thread to one of the processors where it may be. False if it may not.
fn confine(all: &CpuSet, cpu: usize) -> bool {
    all.is_set(cpu).unwrap_or(false) && sched_setaffinity(Pid::from_raw(0), &only(cpu)).is_ok()
}

fn only(cpu: usize) -> CpuSet {
    let mut set = CpuSet::new();
    let _ = set.set(cpu);
    set
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

/// The processor that a thread is on, or was last. None if it has a claim to the processor before the tool: beside one of higher
/// priority (sched(7)) the tool might not get on.
pub fn processor_of(pid: u32, tid: u32) -> Option<usize> {
    let stat = fs::read(format!("/proc/{pid}/task/{tid}/stat")).ok()?;
    // The name comes second, in parentheses, and may hold anything.
    let behind = stat.get(stat.iter().rposition(|byte| *byte == b')')? + 1..)?;
    let behind = std::str::from_utf8(behind).ok()?;
    // proc_pid_stat(5): nice is field 19, processor 39, policy 41.
    let field = |number: usize| behind.split_ascii_whitespace().nth(number - 3)?.parse::<i64>().ok();
    let may =
        field(19)? >= 0 && ![libc::SCHED_FIFO, libc::SCHED_RR, libc::SCHED_DEADLINE].contains(&(field(41)? as i32));
    if may { field(39)?.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> CpuSet {
        sched_getaffinity(Pid::from_raw(0)).unwrap()
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
        assert_eq!(go(0, true, Some(cpu)), all);
        assert_eq!(go(0, true, Some(cpu)), all, "the program has only begun");
        assert_eq!(go(1, false, Some(cpu)), all);
        assert_eq!(go(1, true, Some(cpu)), all, "once is chance");
        assert_eq!(go(1, true, None), all, "nobody knows where");
        assert_eq!(go(1, true, Some(CpuSet::count() - 1)), all, "where it may not be");
        assert_eq!(go(1, true, Some(cpu)), only(cpu));
        assert_eq!(go(5, false, None), only(cpu), "it stays");
        assert_eq!(go(21, true, Some(cpu)), all, "how is it elsewhere?");
        assert_eq!(go(21, true, Some(cpu)), all);
        assert_eq!(go(21, true, Some(cpu)), only(cpu));
        beside.end();
        assert_eq!(here(), all);
        (0..3).for_each(|_| beside.go(now + Duration::from_secs(30), true, || Some(cpu)));
        assert_eq!(here(), all, "it is over");
    }

    #[test]
    fn where_it_is_put_meanwhile_it_stays() {
        let (all, now) = (here(), Instant::now());
        let mut beside = Beside::new();
        let cpus: Vec<usize> = (0..CpuSet::count()).filter(|cpu| all.is_set(*cpu).unwrap()).collect();
        let [one, other, ..] = cpus[..] else { return println!("SKIPPED: there is one processor") };
        (0..2).for_each(|_| beside.go(now + Duration::from_secs(1), true, || Some(one)));
        assert_eq!(here(), only(one));
        beside.go(now + Duration::from_millis(1100), false, || Some(other));
        assert_eq!(here(), only(one), "not at every look");
        beside.go(now + Duration::from_secs(2), false, || Some(other));
        assert_eq!(here(), only(other), "the program has moved on");
        sched_setaffinity(Pid::from_raw(0), &only(one)).unwrap();
        beside.end();
        assert_eq!(here(), only(one), "as somebody wanted it");
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
        assert!(confine(&here(), cpu));
        let tid = nix::unistd::gettid().as_raw() as u32;
        assert_eq!(processor_of(std::process::id(), tid), Some(cpu));
        assert_eq!(processor_of(0, 1), None);
    }

    #[test]
    fn most_is_more_than_all_others_together() {
        let most = |told: &[(u32, u64)]| {
            let mut most = Most::default();
            told.iter().for_each(|(tid, much)| most.add((1, 7, *tid), *much));
            most.who().map(|(_, _, tid)| tid)
        };
        assert_eq!(most(&[(1, 10), (2, 60), (3, 10), (2, 80), (1, 15)]), Some(2));
        assert_eq!(most(&[(1, 10), (2, 10), (3, 10), (4, 10)]), None, "four workers");
        assert_eq!(most(&[]), None);
    }
}
