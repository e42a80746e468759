//! Programs that were started, and which of them we never met.
//!
//! A program that the shim was loaded into introduces itself, under the pid of the process that
//! executed it, or as a child of the one that spawned it. Of one that does not we know no more than
//! how it was started. It can be static, setuid, or have been given an environment without us.

use super::Model;
use super::connection::ConnId;
use super::unseen::SKEW_NS;
use crate::event::CallInfo;
use sockshim_format::op::Op;
use sockshim_format::record::*;

/// Programs that are waited for to introduce themselves.
const MAX_LAUNCHES: usize = 4096;
/// Connections that a program is known to have been given.
const MAX_INHERITS: usize = 256;

/// A program that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Who started it, by its number; 0 if it was seen running and no more.
    pub by: u32,
    /// The pid that it runs under, 0 if unknown.
    pub pid: u32,
    /// What it was started with; `None` if it was seen running and no more.
    pub op: Option<Op>,
    /// Its file, as it was named; of `system` and `popen` the command.
    pub path: Vec<u8>,
    /// When, in nanoseconds since the epoch.
    pub start_ns: u64,
    /// The connections that it was given.
    pub(super) inherits: Vec<ConnId>,
    /// The call: thread and number.
    call: (u32, u32),
}

fn is_exec(op: Op) -> bool {
    use Op::*;
    matches!(op, Execve | Execv | Execvp | Execvpe | Execl | Execlp | Execle | Execveat | Fexecve)
}

impl Model {
    /// Programs that were started and never introduced themselves. Complete only when no more events
    /// come: they may be about to.
    pub fn not_followed(&self) -> &[Launch] {
        &self.launches
    }

    /// Takes note of a program that the tool has seen running under a pid of a traced process's
    /// child, and that had not introduced itself.
    pub fn seen_running(&mut self, pid: u32, path: &[u8]) {
        if self.known_rings.is_some() {
            return;
        }
        match self.launches.iter_mut().rev().find(|launch| launch.pid == pid) {
            // The kernel's name of the file beats the program's.
            Some(launch) => launch.path = path.to_vec(),
            None if self.by_pid.contains_key(&pid) => {}
            None => {
                let path = path.to_vec();
                let launch =
                    Launch { by: 0, pid, op: None, path, start_ns: self.last_ns, inherits: vec![], call: (0, 0) };
                self.launches.push(launch);
            }
        }
    }

    /// A call that may start a program has been entered, or is over.
    pub(super) fn launching(&mut self, op: Op, info: &CallInfo) {
        if self.known_rings.is_some() {
            return;
        }
        let (call, by) = ((info.tid, info.call.seq), info.process);
        self.launches.retain(|launch| (launch.by, launch.call) != (by, call));
        let (over, failed) = (info.commit().state == STATE_DONE, info.call.ret < 0);
        let pid = match op {
            _ if is_exec(op) && over => return,
            // The pid of a vfork child is not known, and the one that is told is its parent's.
            _ if is_exec(op) && info.call.size == EXEC_IN_VFORK => 0,
            _ if is_exec(op) => info.pid,
            Op::PosixSpawn | Op::PosixSpawnp if over && info.call.ret == 0 => info.call.size as u32,
            Op::System | Op::Popen if over && !failed => 0,
            _ => return,
        };
        let path = info.bodies(KIND_TEXT, ROLE_PATH).next().unwrap_or_default().to_vec();
        let fds = self.processes.get(&by).map(|process| process.fds.values());
        let inherits = fds.into_iter().flatten().filter(|held| !held.close_on_exec).map(|held| held.conn);
        let inherits = inherits.take(MAX_INHERITS).collect();
        let launch = Launch { by, pid, op: Some(op), path, start_ns: info.start_ns, inherits, call };
        if !self.has_introduced_itself(&launch) && self.launches.len() < MAX_LAUNCHES {
            self.launches.push(launch);
            self.executing.extend(is_exec(op).then_some((by, info.tid)));
        }
    }

    /// A thread makes another call, so what it executed before did not take its place.
    pub(super) fn still_here(&mut self, info: &CallInfo) {
        if !self.executing.contains(&(info.process, info.tid)) {
            return;
        }
        let failed = |launch: &Launch| {
            let thread = (launch.by, launch.call.0, launch.pid) == (info.process, info.tid, info.pid);
            thread && launch.call.1 < info.call.seq && launch.op.is_some_and(is_exec)
        };
        self.launches.retain(|launch| !failed(launch));
    }

    /// A program introduced itself.
    pub(super) fn introduced(&mut self, number: u32, pid: u32, ppid: u32, time_ns: u64) {
        if self.known_rings.is_some() {
            return;
        }
        let by_child = |by: u32| self.processes.get(&by).is_some_and(|process| process.pid == ppid);
        let spawned = self.processes.get(&number).is_some_and(|process| !process.executed);
        let is_it = |launch: &Launch| {
            let somebody = launch.pid == 0 && spawned && by_child(launch.by);
            launch.start_ns <= time_ns.saturating_add(SKEW_NS) && (launch.pid == pid || somebody)
        };
        // One that was named by its pid first.
        let named = self.launches.iter().position(|launch| is_it(launch) && launch.pid == pid);
        if let Some(found) = named.or_else(|| self.launches.iter().position(is_it)) {
            self.launches.remove(found);
            if let Some(process) = self.processes.get_mut(&number) {
                process.launched = true;
            }
        }
    }

    /// Whether the program of a launch that is told late has been met already.
    fn has_introduced_itself(&mut self, launch: &Launch) -> bool {
        let parent = self.processes.get(&launch.by).map_or(0, |process| process.pid);
        let met = self.processes.iter_mut().filter(|(number, _)| **number != launch.by).find(|(_, process)| {
            let Some(info) = process.info.as_ref().filter(|info| info.process.how == PROCESS_IMAGE) else {
                return false;
            };
            let child = info.process.ppid == parent && !process.executed;
            let who = if launch.pid != 0 { process.pid == launch.pid } else { child };
            who && !process.launched && info.time_ns.saturating_add(SKEW_NS) >= launch.start_ns
        });
        met.map(|(_, process)| process.launched = true).is_some()
    }
}
