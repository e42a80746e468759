//! Whatever ends a program, and whatever ends the tool: every call that had returned is in the trace, the
//! call in flight is shown as such, the file opens, and nothing is misparsed.
//!
//! ```text
//! victim.c   makes calls in threads and children, and keeps an account of them that outlives it
//! ledger     that account
//! victim     starts it, without us, with the shim alone, or by the tool
//! oracle     whether a trace agrees with the account
//! ```
//! `SOCKSHIM_KILLS` says how often the victim is killed, `SOCKSHIM_SOAK=1` makes it 1,000, `SOCKSHIM_SEED`
//! repeats what was random.

#[path = "../support/built.rs"]
mod built;
mod ledger;
mod oracle;
#[path = "../support/tally.rs"]
mod tally;
mod victim;

use oracle::{Checked, Recorded};
use sockshim_reader::Tail;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::sync::atomic::Ordering::SeqCst;
use victim::{Mode, Task, Victim, kill};

const MODES: [Mode; 2] = [Mode::Preload, Mode::Run];

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

fn random(test: &str) -> fastrand::Rng {
    let seed = setting("SOCKSHIM_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("{test}: SOCKSHIM_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

fn spin(times: u32) {
    (0..times).for_each(|_| std::hint::spin_loop());
}

/// The threads that the kernel says are in recvfrom(2), of those that stay in it.
fn blocked(victim: &Victim) -> Vec<u32> {
    let waiting = victim.ledger.rows().iter().filter(|row| row.waits.load(SeqCst) == 1);
    let waiting = waiting.map(|row| (row.pid.load(SeqCst), row.tid.load(SeqCst)));
    let in_recv = |(pid, tid): &(u32, u32)| {
        let call = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/syscall")).unwrap_or_default();
        call.split(' ').next() == Some(&libc::SYS_recvfrom.to_string())
    };
    waiting.filter(in_recv).map(|(_, tid)| tid).collect()
}

/// Kills the victim at a random moment, one of its children before it perhaps.
fn kill_once(mode: Mode, random: &mut fastrand::Rng) -> Checked {
    let task = Task {
        how: "killed",
        threads: random.u32(1..=8),
        children: random.choice([0, 0, 1, 3]).unwrap(),
        calls: 600,
        snaplen: random.choice([32, 256]).unwrap(),
        region: "64M",
    };
    let mut victim = Victim::start(mode, task);
    // Early moments matter as much as late ones.
    let most = f64::from(task.threads * (task.children + 1) * task.calls);
    let moment = most.powf(random.f64()) as u64 - 1;
    victim.wait_for(|ledger| ledger.pid() != 0 && ledger.returned() >= moment);
    let blocked = if random.bool() { blocked(&victim) } else { Vec::new() };
    spin(random.u32(..20_000));
    let children = victim.ledger.children();
    if let Some(child) = random.choice(&children).filter(|_| random.bool()) {
        kill(*child);
        spin(random.u32(..200_000));
    }
    kill(victim.ledger.pid());
    let (status, _) = victim.gone();
    assert_eq!(status.signal(), Some(libc::SIGKILL), "{}: {status}", victim.text());
    checked(&victim, status, &blocked)
}

/// Reads and checks the trace of a victim that has ended, and of which nothing was lost.
fn checked(victim: &Victim, status: ExitStatus, blocked: &[u32]) -> Checked {
    let recorded = Recorded::read(victim);
    match recorded.tail {
        Tail::Ended(end) => assert_eq!((victim.mode, end.wait_status), (Mode::Run, status.into_raw())),
        // Only `exit` calls the destructor, and even that does not close a region without a tool.
        tail => assert_eq!((victim.mode, tail), (Mode::Preload, Tail::Region { closed: false })),
    }
    assert_eq!(recorded.lost, (0, 0), "{}", victim.text());
    recorded.check(victim, blocked)
}

#[test]
fn killed_at_random_moments() {
    let soak = setting("SOCKSHIM_SOAK") == Some(1);
    let kills = setting("SOCKSHIM_KILLS").unwrap_or(if soak { 1000 } else { 40 });
    let mut random = random("killed_at_random_moments");
    let (mut calls, mut in_flight) = (0, 0);
    for number in 0..kills {
        let checked = kill_once(MODES[number as usize % 2], &mut random);
        calls += checked.calls;
        in_flight += checked.in_flight;
    }
    println!("crash: kills survived: {kills}, calls checked: {calls}, in flight and shown so: {in_flight}");
    tally::tally(&format!("kills_survived={kills} calls_of_the_killed={calls}"));
    assert!(kills < 10 || (calls > 0 && in_flight > 0), "nothing was checked");
}

/// Killed while the program begins, the shim's constructor included: then there may be no trace yet.
#[test]
fn killed_at_the_start() {
    let mut random = random("killed_at_the_start");
    let (mut before, mut behind) = (0, 0);
    for _ in 0..setting("SOCKSHIM_KILLS").unwrap_or(40).min(400) {
        let task = Task { how: "killed", threads: 1, children: 0, calls: 600, snaplen: 32, region: "1M" };
        let mut victim = Victim::start(Mode::Preload, task);
        spin(random.u32(..60_000));
        victim.child.kill().unwrap();
        let (status, _) = victim.gone();
        if victim.ledger.pid() == 0 && !victim.trace.exists() {
            before += 1;
        } else {
            checked(&victim, status, &[]);
            behind += 1;
        }
    }
    println!("killed before there was a trace: {before}, behind that: {behind}");
}

/// Ends the victim with threads in flight, natively and with us.
#[track_caller]
fn ends_alike(how: &'static str, calls: u32, last_words: u64) {
    let task = Task { how, threads: 4, children: 2, calls, snaplen: 256, region: "64M" };
    let native = Victim::start(Mode::Native, task).gone();
    assert!(native.1.ends_with(&format!("ends by {how}\n")), "{native:?}");
    for mode in MODES {
        let mut victim = Victim::start(mode, task);
        let outcome = victim.gone();
        assert_eq!(outcome, native, "{}", victim.text());
        let checked = checked(&victim, outcome.0, &[]);
        assert!(checked.calls >= 12 * u64::from(calls) && checked.in_flight > 0, "{}: {checked:?}", victim.text());
        assert_eq!(checked.last_words, last_words, "{}", victim.text());
    }
}

#[test]
fn abort() {
    ends_alike("abort", 200, 0);
}

#[test]
fn exit_with_threads_in_flight() {
    ends_alike("exit", 200, 0);
}

#[test]
fn exit_without_destructors() {
    ends_alike("_exit", 200, 0);
}

#[test]
fn segmentation_fault() {
    ends_alike("segv", 200, 0);
}

#[test]
fn stack_overflow() {
    ends_alike("overflow", 200, 0);
    ends_alike("overflow-handled", 200, 1);
}

/// The stack ends at another place each time, inside the shim among others.
#[test]
fn stack_overflow_in_a_call() {
    for calls in 200..203 {
        ends_alike("overflow-calling", calls, 0);
        ends_alike("overflow-calling-handled", calls, 1);
    }
}

/// Kills the tool at a random moment, and lets the program end by itself. Gives the calls that the program
/// made meanwhile too.
fn without_the_tool(task: Task, random: &mut fastrand::Rng) -> (Victim, Recorded, u64) {
    // SAFETY: makes us the parent of the program that the tool leaves behind, so that we learn its status.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) }, 0);
    let native = Victim::start(Mode::Native, task).gone();
    let mut victim = Victim::start(Mode::Run, task);
    let moment = random.u64(1..200);
    victim.wait_for(|ledger| ledger.returned() >= moment);
    spin(random.u32(..100_000));
    victim.child.kill().unwrap();
    let at = victim.ledger.returned();
    let began = std::time::Instant::now();
    // A stall in each call would not end within anybody's patience.
    let (tool, stdout) = victim.gone();
    let (after, took) = (victim.ledger.returned() - at, began.elapsed());
    println!("the tool killed at call {at}: {after} calls behind that, and the end, took {took:?}");
    assert_eq!(tool.signal(), Some(libc::SIGKILL), "{}", victim.text());
    let mut status = 0;
    // SAFETY: waits for a process that is ours since its parent was killed.
    let pid = unsafe { libc::waitpid(victim.ledger.pid() as libc::pid_t, &raw mut status, 0) };
    assert_eq!(pid as u32, victim.ledger.pid(), "{}", std::io::Error::last_os_error());
    assert_eq!((ExitStatus::from_raw(status), stdout), native, "{}", victim.text());
    let recorded = Recorded::read(&victim);
    assert!(matches!(recorded.tail, Tail::Open | Tail::Torn { .. }), "{}: {:?}", victim.text(), recorded.tail);
    (victim, recorded, after)
}

/// Removes the region that a killed tool has left behind; `show` reads both before.
fn show_and_remove(victim: &Victim, lost: u64) {
    let region = sockshim_reader::Trace::open(&victim.trace).unwrap().meta("region").unwrap().to_owned();
    let shown = Command::new(built::tool()).arg("show").arg(&victim.trace).output().unwrap();
    let (text, warnings) = (String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
    assert!(shown.status.success(), "{}: {warnings}", victim.text());
    assert!(warnings.contains("was killed") || warnings.contains("cut short"), "{}: {warnings}", victim.text());
    assert_eq!(warnings.contains(&format!("{lost} calls were lost")), lost > 0, "{}: {warnings}", victim.text());
    // Which thread has which row is chance; each row that writes begins with its first transfer.
    assert!(text.contains(":00000000:"), "{}: the first calls are not shown", victim.text());
    std::fs::remove_file(&region).unwrap();
    let _ = std::fs::remove_file(format!("{region}.door"));
}

/// What fits into the region is there, whenever the tool is killed.
#[test]
fn the_tool_killed() {
    let mut random = random("the_tool_killed");
    let (mut kills, mut calls, mut behind) = (0, 0, 0);
    for _ in 0..setting("SOCKSHIM_KILLS").unwrap_or(40).div_ceil(4) {
        // More than the region's first pages hold: the threads give themselves the rest.
        let task = Task { how: "exit", threads: 3, children: 1, calls: 1_000, snaplen: 32, region: "64M" };
        let (victim, recorded, after) = without_the_tool(task, &mut random);
        assert_eq!(recorded.lost, (0, 0), "{}", victim.text());
        calls += recorded.check(&victim, &[]).calls;
        (kills, behind) = (kills + 1, behind + after);
        show_and_remove(&victim, 0);
    }
    println!("crash: kills of the tool survived: {kills}, calls checked: {calls}");
    assert!(calls > behind && behind > 0, "no program ran on");
}

/// What does not fit is counted, and costs the program no wait in each call.
#[test]
fn the_tool_killed_and_the_region_full() {
    let mut random = random("the_tool_killed_and_the_region_full");
    for snaplen in [32, 256] {
        let task = Task { how: "exit", threads: 3, children: 1, calls: 20_000, snaplen, region: "256K" };
        let (victim, recorded, _) = without_the_tool(task, &mut random);
        let checked = recorded.check(&victim, &[]);
        println!("{checked:?} of {:?} lost", recorded.lost);
        assert!(checked.calls > 0 && checked.lost > 0, "{}: {checked:?}", victim.text());
        // Besides the transfers a thread makes 10 calls at most each time that it takes new sockets.
        let besides = checked.lost / 96 * 10 + 20 * 8;
        assert!(recorded.lost.0 <= checked.lost + besides, "{}: {checked:?} of {:?}", victim.text(), recorded.lost);
        show_and_remove(&victim, recorded.lost.0);
    }
}
