//! Descriptors and processes: when the last one that names a connection is gone.

use super::connection::{ConnId, Connect, Ending, Role, Span, TcpSnapshot};
use super::descriptors::{Held, ProcessState};
use super::errno::EBADF;
use super::{HashMap, Model};
use crate::event::{CallInfo, ProcessInfo};
use sockshim_format::op::{Direction, Op};
use sockshim_format::record::*;

/// F_DUPFD, F_SETFD, F_DUPFD_CLOEXEC; FD_CLOEXEC; SOCK_CLOEXEC, which O_CLOEXEC equals; and
/// CLOSE_RANGE_CLOEXEC (Linux, x86-64).
const DUPFD: u32 = 0;
const SETFD: u32 = 2;
const DUPFD_CLOEXEC: u32 = 1030;
const FD_CLOEXEC: u64 = 1;
const CLOEXEC: u64 = 0o2000000;
const CLOSE_RANGE_CLOEXEC: u32 = 4;
/// Children of a process that are waited for to show themselves.
const MAX_FORKED: usize = 256;
/// Descriptors that all processes together may have been given by their parents: 26 workers of a server
/// with ten thousand connections. A small file could else ask for as many as it has forks times descriptors.
const MAX_INHERITED: usize = 1 << 18;

impl Model {
    /// The connection that a descriptor names.
    pub(super) fn held(&self, process: u32, fd: i32) -> Option<ConnId> {
        Some(self.processes.get(&process)?.fds.get(&fd)?.conn)
    }

    /// Takes note that the descriptor named the connection at this time.
    pub(super) fn hold(&mut self, info: &CallInfo, fd: i32, id: ConnId, time_ns: u64) {
        let process = info.process;
        let held = self.processes.get(&process).and_then(|process| process.fds.get(&fd)).copied();
        match held {
            // A call that began before the number was given to another socket.
            Some(held) if held.conn != id && time_ns < held.since_ns => return,
            Some(held) if held.conn == id => {
                if held.inherited {
                    self.use_inherited(process, fd);
                }
                return;
            }
            // We did not see how the number became free: a close that passed around us.
            Some(_) => self.release(process, fd, time_ns),
            None => {
                let released = self.connections.get(id).and_then(|conn| conn.released);
                if released.is_some_and(|(p, f, ns)| (p, f) == (process, fd) && time_ns < ns) {
                    return;
                }
            }
        }
        let new = Held { conn: id, close_on_exec: false, inherited: false, since_ns: time_ns };
        let state = self.processes.entry(process).or_default();
        state.fds.insert(fd, new);
        let before = state.closed_numbers.remove(&fd);
        self.number_is_free_of(before);
        if let Some(conn) = self.connections.get_mut(id) {
            conn.standard_stream |= (0..=2).contains(&fd);
            conn.opened();
        }
        for call in self.unclassified.remove(&(process, fd)).unwrap_or_default() {
            self.call_on(id, call.op().map(Op::base), &call);
        }
    }

    /// A descriptor that came by fork or exec is used after all.
    fn use_inherited(&mut self, process: u32, fd: i32) {
        let Some(held) = self.processes.get_mut(&process).and_then(|p| p.fds.get_mut(&fd)) else { return };
        held.inherited = false;
        let Some(conn) = self.connections.get_mut(held.conn) else { return };
        conn.inherited = conn.inherited.saturating_sub(1);
        conn.opened();
    }

    /// Takes note that the descriptor names nothing any more.
    pub(super) fn release(&mut self, process: u32, fd: i32, time_ns: u64) {
        self.known.forget();
        self.unclassified.remove(&(process, fd));
        let Some(held) = self.processes.get_mut(&process).and_then(|p| p.fds.remove(&fd)) else { return };
        let remembered = self.processes.get_mut(&process).filter(|process| !process.gone);
        let before = remembered.map(|process| process.closed_numbers.insert(fd, held.conn));
        let Some(conn) = self.connections.get_mut(held.conn) else { return };
        conn.numbers += u32::from(before.is_some());
        conn.released = Some((process, fd, time_ns));
        if held.inherited {
            conn.inherited = conn.inherited.saturating_sub(1);
        } else {
            conn.active = conn.active.saturating_sub(1);
        }
        // Copies that a child inherited and never used do not keep the story going: a program that
        // forks and execs leaves such copies behind all the time.
        if conn.active == 0 && !held.inherited {
            conn.ending = Ending::Closed(time_ns);
            self.one_ended();
        }
        self.number_is_free_of(before.flatten());
    }

    /// A number that named the connection last names another, or its process is gone.
    fn number_is_free_of(&mut self, id: Option<ConnId>) {
        if let Some(conn) = id.and_then(|id| self.connections.get_mut(id)) {
            conn.numbers = conn.numbers.saturating_sub(1);
        }
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

    /// Releases the descriptor if it still names this connection.
    pub(super) fn release_of(&mut self, process: u32, fd: i32, id: ConnId, time_ns: u64) {
        if self.held(process, fd) == Some(id) {
            return self.release(process, fd, time_ns);
        }
        // The number may be another's already: one that another thread's call, which began earlier, was given at the
        // end of this one. A connection that was never seen to hold it ends with it all the same.
        let Some(conn) = self.connections.get_mut(id) else { return };
        if conn.active == 0 && conn.ending == Ending::Open {
            conn.ending = Ending::Closed(time_ns);
            conn.released = Some((process, fd, time_ns));
            self.one_ended();
        }
    }

    fn set_close_on_exec(&mut self, process: u32, fd: i32, value: bool) {
        if let Some(held) = self.processes.get_mut(&process).and_then(|p| p.fds.get_mut(&fd)) {
            held.close_on_exec = value;
        }
    }

    /// What a call made of descriptors: new ones, copies, closed ones.
    pub(super) fn descriptors_changed(&mut self, op: Op, info: &CallInfo) {
        let (process, end_ns) = (info.process, info.end_ns);
        let Call { fd, ret, arg, size, .. } = info.call;
        for closed in info.fds(ROLE_CLOSED) {
            match closed.socket {
                0 => self.release(process, closed.fd, end_ns),
                socket => {
                    let id = self.identify(info, closed.fd, socket, end_ns);
                    self.closing(id, info);
                    self.release_of(process, closed.fd, id, end_ns);
                }
            }
        }
        let made: Vec<Fd> = info.fds(ROLE_MADE).filter(|made| made.fd >= 0 && made.socket != 0).collect();
        for made in &made {
            let id = self.identify(info, made.fd, made.socket, end_ns);
            self.hold(info, made.fd, id, end_ns);
            if let Some(conn) = self.connections.get_mut(id).filter(|_| op.direction() == Some(Direction::Received)) {
                conn.under_way -= 1;
            }
        }
        for passed in info.fds(ROLE_PASSED).filter(|passed| passed.socket != 0) {
            let id = self.identify(info, passed.fd, passed.socket, end_ns);
            if let Some(conn) = self.connections.get_mut(id) {
                (conn.passed, conn.under_way) = (conn.passed + 1, conn.under_way + 1);
            }
        }
        let new_fd = i32::try_from(ret).ok().filter(|fd| *fd >= 0);
        match op {
            // EBADF closed nothing; every other error comes after the number is free (close(2)).
            Op::Close | Op::Fclose | Op::Pclose | Op::Freopen if info.call.socket == 0 && info.call.errno != EBADF => {
                self.release(process, fd, end_ns);
            }
            Op::CloseRange | Op::Closefrom if ret == 0 => {
                let last = if op == Op::CloseRange { size } else { u64::MAX };
                let held = self.processes.get(&process).map(|process| process.fds.keys().copied());
                let range = |other: &i32| *other >= fd && *other as u64 <= last;
                let range: Vec<i32> = held.into_iter().flatten().filter(range).collect();
                for fd in range {
                    match op == Op::CloseRange && arg & CLOSE_RANGE_CLOEXEC != 0 {
                        true => self.set_close_on_exec(process, fd, true),
                        false => self.release(process, fd, end_ns),
                    }
                }
            }
            Op::Dup | Op::Dup2 | Op::Dup3 => self.copied(info, fd, new_fd, op == Op::Dup3 && size != 0),
            Op::Fcntl if matches!(arg, DUPFD | DUPFD_CLOEXEC) => {
                self.copied(info, fd, new_fd, arg == DUPFD_CLOEXEC);
            }
            Op::Fcntl if arg == SETFD && ret == 0 => self.set_close_on_exec(process, fd, size & FD_CLOEXEC != 0),
            Op::Socket => new_fd.iter().for_each(|fd| self.set_close_on_exec(process, *fd, size & CLOEXEC != 0)),
            Op::Socketpair => {
                made.iter().for_each(|made| self.set_close_on_exec(process, made.fd, size & CLOEXEC != 0));
                if let [a, b] = made[..] {
                    self.paired(info, a, b);
                }
            }
            Op::Accept4 => {
                new_fd.iter().for_each(|fd| self.set_close_on_exec(process, *fd, u64::from(arg) & CLOEXEC != 0));
            }
            // MSG_CMSG_CLOEXEC.
            Op::Recvmsg if arg & 0x4000_0000 != 0 => {
                made.iter().for_each(|made| self.set_close_on_exec(process, made.fd, true));
            }
            Op::LioListio => {
                for fd in info.fds(ROLE_INPUT).chain(info.fds(ROLE_OUTPUT)) {
                    let id = self.by_socket.get(&fd.socket).copied();
                    if let Some(conn) = id.and_then(|id| self.connections.get_mut(id)) {
                        conn.asynchronous = true;
                    }
                }
            }
            Op::Splice | Op::Tee | Op::CopyFileRange | Op::Vmsplice => self.spliced(info),
            _ => {}
        }
    }

    /// A descriptor was copied; whatever the new number named is closed by that.
    fn copied(&mut self, info: &CallInfo, fd: i32, new_fd: Option<i32>, close_on_exec: bool) {
        let Some(new_fd) = new_fd.filter(|new| *new != fd && info.call.errno == 0) else { return };
        match self.held(info.process, fd) {
            Some(id) => {
                self.hold(info, new_fd, id, info.end_ns);
                self.set_close_on_exec(info.process, new_fd, close_on_exec);
            }
            None => self.release(info.process, new_fd, info.end_ns),
        }
    }

    fn paired(&mut self, info: &CallInfo, a: Fd, b: Fd) {
        let (first, second) =
            (self.identify(info, a.fd, a.socket, info.end_ns), self.identify(info, b.fd, b.socket, info.end_ns));
        for (id, other) in [(first, second), (second, first)] {
            let Some(conn) = self.connections.get_mut(id) else { continue };
            (conn.role, conn.connect, conn.other_end) = (Role::Pair, Connect::Done, Some(other));
            (conn.domain, conn.kind) = (info.call.arg as i32, (info.call.size & 0xf) as i32);
            conn.facts.made(Op::Socketpair, info, if id == first { a.fd } else { b.fd });
            Span::cover(&mut conn.phases.create, info.start_ns, info.end_ns);
        }
    }

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
}
