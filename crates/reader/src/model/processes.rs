//! Processes: they begin with descriptors of their parents, become other programs, and end.

use super::connection::{ConnId, Ending, TcpSnapshot};
use super::descriptors::{Held, ProcessState};
use super::{HashMap, Model};
use crate::event::{CallInfo, ProcessInfo};
use sockshim_format::record::*;

/// Children of a process that are waited for to show themselves.
const MAX_FORKED: usize = 256;
/// Descriptors that all processes together may have been given by their parents: 26 workers of a server
/// with ten thousand connections. A small file could else ask for as many as it has forks times descriptors.
const MAX_INHERITED: usize = 1 << 18;

impl Model {
    /// A process forked: its child has these descriptors, whatever the parent closes before the
    /// child's first call shows that there is one.
    pub(super) fn forked(&mut self, info: &CallInfo) {
        let Some(child) = u32::try_from(info.call.ret).ok().filter(|pid| *pid != 0) else { return };
        let attached = self.by_pid.get(&child).and_then(|number| self.processes.get(number));
        if attached.is_some_and(|state| !state.gone) {
            return;
        }
        let room = MAX_INHERITED.saturating_sub(self.inherited);
        let process = self.process_mut(info);
        let mut forgotten = Vec::new();
        // Most children show themselves soon; those that never call anything never do.
        if process.forked.len() == MAX_FORKED {
            forgotten.extend(process.forked.drain().flat_map(|(_, fds)| fds.into_values()));
        }
        let fds = ProcessState::bequeath(&process.fds, false, room);
        let given: Vec<ConnId> = fds.values().map(|held| held.conn).collect();
        forgotten.extend(process.forked.insert(child, fds).into_iter().flat_map(HashMap::into_values));
        self.inherited = (self.inherited + given.len()).saturating_sub(forgotten.len());
        for id in given {
            if let Some(conn) = self.connections.get_mut(id) {
                conn.awaited += 1;
            }
        }
        self.await_no_more(forgotten.iter());
    }

    /// A process introduced itself.
    pub(super) fn attach(&mut self, info: &ProcessInfo) {
        let Process { process: number, parent, pid, ppid, how, pid_namespace, .. } = info.process;
        if self.processes.get(&number).is_some_and(|known| known.info.is_some()) {
            return;
        }
        let find = |pid: u32| {
            let number = *self.by_pid.get(&pid)?;
            let state = self.processes.get(&number).filter(|state| !state.gone && number != info.process.process)?;
            let theirs = state.info.as_ref().map_or(pid_namespace, |info| info.process.pid_namespace);
            (theirs == pid_namespace).then_some(number)
        };
        let before = find(pid).filter(|_| how == PROCESS_IMAGE);
        let heir_of = match how {
            PROCESS_FORK => Some(parent),
            _ => before.or_else(|| find(ppid)),
        };
        let room = MAX_INHERITED.saturating_sub(self.inherited);
        let (mut fds, mut awaited) = (HashMap::default(), HashMap::default());
        let mut resolved = Vec::new();
        let mut name = String::new();
        if let Some(from) = heir_of.and_then(|from| self.processes.get_mut(&from)) {
            fds = match from.forked.remove(&pid) {
                Some(given) => {
                    let fds = ProcessState::bequeath(&given, how == PROCESS_IMAGE, room + given.len());
                    awaited = given;
                    fds
                }
                None => ProcessState::bequeath(&from.fds, how == PROCESS_IMAGE, room),
            };
            resolved.clone_from(&from.resolved);
            name.clone_from(&from.name);
        }
        for held in fds.values() {
            if let Some(conn) = self.connections.get_mut(held.conn) {
                conn.inherited += 1;
            }
        }
        let inherited = fds.len();
        self.inherited = (self.inherited + inherited).saturating_sub(awaited.len());
        self.await_no_more(awaited.values());
        if let Some(before) = before {
            self.replaced(before, info.time_ns);
        }
        self.known.forget();
        let early = self.processes.contains_key(&number);
        let state = self.processes.entry(number).or_default();
        // Calls may have come before the introduction; what they showed is newer.
        fds.extend(state.fds.drain());
        (state.fds, state.resolved, state.inherited) = (fds, resolved, inherited);
        self.by_pid.insert(pid, number);
        // A forked process runs its parent's program, and does not say so again.
        state.name = if info.exe.is_empty() { name } else { info.name() };
        (state.pid, state.info, state.executed) = (pid, Some(info.clone()), before.is_some());
        state.last_ns = state.last_ns.max(info.time_ns);
        let name = state.name.clone();
        if how == PROCESS_IMAGE {
            self.introduced(number, pid, ppid, info.time_ns);
        }
        for id in if early { self.unfinished() } else { Vec::new() } {
            let Some(conn) = self.connections.get_mut(id) else { continue };
            for holder in conn.holders.iter_mut().filter(|holder| holder.process == number) {
                holder.name.clone_from(&name);
            }
        }
    }

    /// An image gave way to another by exec: what it did not mark close-on-exec lives on, and is
    /// in use as long as the next image does not close it.
    fn replaced(&mut self, number: u32, time_ns: u64) {
        let Some(process) = self.processes.get_mut(&number) else { return };
        process.gone = true;
        self.inherited = self.inherited.saturating_sub(std::mem::take(&mut process.inherited));
        let fds: Vec<(i32, ConnId)> = process.fds.iter().map(|(fd, held)| (*fd, held.conn)).collect();
        for (fd, id) in fds {
            self.release(number, fd, time_ns);
            let Some(conn) = self.connections.get_mut(id) else { continue };
            if conn.active == 0 && conn.evidence.close_ns.is_none() {
                match conn.inherited {
                    0 => {
                        conn.facts.closed_by_exec = true;
                        conn.given_up(conn.tcp_last.as_ref().and_then(TcpSnapshot::state), time_ns);
                    }
                    _ => conn.ending = Ending::Open,
                }
            }
        }
        self.numbers_are_free(number);
    }

    /// Takes note that a process has ended, at about this time: its descriptors were closed by the
    /// kernel, and what it alone used and never closed has leaked.
    pub fn process_gone(&mut self, number: u32, time_ns: u64) {
        let Some(process) = self.processes.get_mut(&number).filter(|process| !process.gone) else { return };
        process.gone = true;
        self.inherited = self.inherited.saturating_sub(std::mem::take(&mut process.inherited));
        let executed = process.info.as_ref().is_some_and(|info| info.process.how == PROCESS_IMAGE);
        let mut fds: Vec<(i32, Held)> = process.fds.iter().map(|(fd, held)| (*fd, *held)).collect();
        fds.sort_unstable_by_key(|(fd, _)| *fd);
        for (fd, held) in fds.iter().copied() {
            self.release(number, fd, time_ns);
            let Some(conn) = self.connections.get_mut(held.conn) else { continue };
            // A standard stream is given on purpose.
            if executed && held.inherited && fd > 2 {
                conn.facts.mishap().leaked_into = Some(number);
            }
            let never_closed = conn.evidence.close_ns.is_none();
            if conn.active == 0 && (!held.inherited || never_closed) {
                let still_held = conn.inherited > 0 && never_closed;
                conn.ending = if still_held { Ending::Open } else { Ending::Leaked(time_ns) };
                if !still_held {
                    conn.given_up(conn.tcp_last.as_ref().and_then(TcpSnapshot::state), time_ns);
                }
            }
        }
        self.abandoned(number, fds.iter().map(|(_, held)| held.conn));
        self.unclassified.retain(|(process, _), _| *process != number);
        self.numbers_are_free(number);
    }

    /// Takes note that there are no more events. `over` says that all processes have ended, as they
    /// have when the trace was ended in order.
    pub fn finish(&mut self, over: bool) {
        if over {
            let left: Vec<(u32, u64)> =
                self.processes.iter().filter(|(_, p)| !p.gone).map(|(n, p)| (*n, p.last_ns)).collect();
            left.into_iter().for_each(|(number, last_ns)| self.process_gone(number, last_ns));
        }
        self.find_ends();
        self.find_who_was_in_the_way();
    }

    /// The process is gone: no call comes under a number of its own.
    fn numbers_are_free(&mut self, process: u32) {
        let numbers = self.processes.get_mut(&process).map(|process| std::mem::take(&mut process.closed_numbers));
        numbers.into_iter().flatten().for_each(|(_, id)| self.number_is_free_of(Some(id)));
    }

    /// Copies that a child was given are in its hands by now, or will not be.
    fn await_no_more<'a>(&mut self, given: impl Iterator<Item = &'a Held>) {
        for held in given {
            if let Some(conn) = self.connections.get_mut(held.conn) {
                conn.awaited = conn.awaited.saturating_sub(1);
            }
        }
    }
}
