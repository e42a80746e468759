//! Which of the traced processes and threads still run, as /proc tells it.

use crate::sys;
use sockshim_format::record::Process;
use std::collections::{BTreeSet, HashMap};
use std::fs;

/// The processes that attached, by number.
pub(super) struct Processes {
    known: HashMap<u32, Known>,
    /// The process that attached last under each pid of a namespace.
    latest: HashMap<(u64, u32), u32>,
    /// Those that may still run.
    running: BTreeSet<u32>,
    /// Inode of our own pid namespace, 0 if unknown.
    namespace: u64,
}

/// What a process says of its pid namespace when it cannot tell.
const UNKNOWN_NAMESPACE: u64 = u64::MAX;

struct Known {
    pid: u32,
    namespace: u64,
    /// When the process began, in clock ticks since boot, to tell it from a later one with its pid.
    started: Option<u64>,
    gone: bool,
}

impl Processes {
    pub fn new() -> Processes {
        let namespace = own_namespace().unwrap_or(0);
        Processes { known: HashMap::new(), latest: HashMap::new(), running: BTreeSet::new(), namespace }
    }

    /// Takes in a process's own record.
    pub fn attached(&mut self, process: &Process) {
        // A child that is under a filter may not ask: it is where its parent is.
        let parent = self.known.get(&process.parent).map_or(0, |parent| parent.namespace);
        let namespace = if process.pid_namespace != 0 { process.pid_namespace } else { parent };
        let ours = self.is_ours(namespace);
        let started = if ours { stat(&format!("/proc/{}/stat", process.pid)).map(|s| s.started) } else { None };
        let mut known = Known { pid: process.pid, namespace, started, gone: false };
        // A process that attached later under the same pid has replaced the earlier one, by exec or
        // because the kernel used the number again. Not where nobody knows whose pid it is: each child of
        // a sandbox is number 1 of a namespace of its own.
        let latest = self.latest.entry((namespace, process.pid)).or_insert(process.process);
        if namespace == UNKNOWN_NAMESPACE {
            *latest = process.process;
        } else if *latest < process.process {
            if let Some(replaced) = self.known.get_mut(latest) {
                replaced.gone = true;
            }
            *latest = process.process;
        } else {
            known.gone = *latest > process.process;
        }
        self.known.insert(process.process, known);
        if ours {
            self.running.insert(process.process);
        }
    }

    /// Our own pid namespace, 0 if unknown.
    pub fn own_namespace(&self) -> u64 {
        self.namespace
    }

    fn is_ours(&self, namespace: u64) -> bool {
        namespace == 0 || self.namespace == 0 || namespace == self.namespace
    }

    /// Whether the thread can never record again. In doubt it is not gone: in another pid namespace
    /// its numbers mean somebody else here, and a process that has not introduced itself might be in
    /// one.
    pub fn thread_is_gone(&mut self, process: u32, pid: u32, tid: u32) -> bool {
        if self.process_is_gone(process) {
            return true;
        }
        match self.known.get(&process) {
            // A thread that began under a filter could not ask for its number.
            Some(known) if self.is_ours(known.namespace) && pid != 0 && tid != 0 => {
                let stat = stat(&format!("/proc/{pid}/task/{tid}/stat"));
                !stat.map_or_else(|| sys::thread_exists(pid, tid), |stat| stat.runs)
            }
            _ => false,
        }
    }

    fn process_is_gone(&mut self, process: u32) -> bool {
        let namespace = self.namespace;
        let Some(known) = self.known.get_mut(&process) else { return false };
        let ours = known.namespace == 0 || namespace == 0 || known.namespace == namespace;
        if !known.gone && ours && known.pid != 0 {
            known.gone = !is_running(known);
        }
        known.gone
    }

    /// The processes that are not gone. Those of other pid namespaces cannot be asked about and are
    /// left out: better to end early than never.
    pub fn alive(&mut self) -> Vec<(u32, u32)> {
        let running: Vec<u32> = self.running.iter().copied().collect();
        for number in running {
            if self.process_is_gone(number) {
                self.running.remove(&number);
            }
        }
        self.running.iter().filter_map(|number| Some((*number, self.known.get(number)?.pid))).collect()
    }
}

/// The inode of our own pid namespace. The link says it, as `pid:[4026531836]` (namespaces(7)): to follow it takes twice
/// as long.
fn own_namespace() -> Option<u64> {
    let link = fs::read_link("/proc/self/ns/pid").ok()?;
    link.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok()
}

/// A zombie does not run, but one whose main thread alone has ended does. Where /proc is not mounted, or
/// shows nobody's processes but our own, the kernel is asked, which tells a zombie from nothing.
fn is_running(known: &Known) -> bool {
    let Some(process) = stat(&format!("/proc/{}/stat", known.pid)) else {
        return sys::thread_exists(known.pid, known.pid);
    };
    if known.started.is_some_and(|started| started != process.started) {
        return false;
    }
    if process.runs {
        return true;
    }
    let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", known.pid)) else { return false };
    tasks.flatten().any(|task| stat(&task.path().join("stat").to_string_lossy()).is_some_and(|stat| stat.runs))
}

/// Whether there is a process with this number that is no zombie.
pub(super) fn process_runs(pid: u32) -> bool {
    pid != 0 && stat(&format!("/proc/{pid}/stat")).is_some_and(|stat| stat.runs)
}

struct Stat {
    runs: bool,
    started: u64,
}

/// The state and start time in a `stat` file, proc(5). The name in parentheses may hold anything,
/// parentheses too, so fields are counted from the last one.
fn stat(path: &str) -> Option<Stat> {
    let text = fs::read(path).ok()?;
    let end = text.iter().rposition(|b| *b == b')')?;
    let mut fields = text.get(end + 1..)?.split(|b| *b == b' ').filter(|field| !field.is_empty());
    let state = fields.next()?;
    // State is field 3, starttime field 22.
    let started = std::str::from_utf8(fields.nth(18)?).ok()?.trim().parse().ok()?;
    Some(Stat { runs: !matches!(state, b"Z" | b"X" | b"x"), started })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attach(processes: &mut Processes, number: u32, pid: u32, pid_namespace: u64) {
        let bytes = [0u8; Process::SIZE];
        let empty = Process::read(&bytes).expect("enough bytes");
        processes.attached(&Process { process: number, pid, pid_namespace, ..empty });
    }

    #[test]
    fn the_same_pid_is_the_same_process_only_in_one_namespace() {
        let mut processes = Processes::new();
        // The children of a sandbox, which cannot see /proc: each is number 1 of a namespace of its own.
        attach(&mut processes, 1, 1, UNKNOWN_NAMESPACE);
        attach(&mut processes, 2, 1, UNKNOWN_NAMESPACE);
        attach(&mut processes, 3, 1, 4_026_531_000);
        attach(&mut processes, 4, 1, 4_026_531_001);
        for number in 1..=4 {
            assert!(!processes.thread_is_gone(number, 1, 1), "{number}");
        }
        attach(&mut processes, 5, 1, 4_026_531_001);
        assert!(processes.thread_is_gone(4, 1, 1), "replaced by exec");
        assert!(!processes.thread_is_gone(5, 1, 1));
    }
}
