//! Descriptors: what gives a connection one more, and when the last one that names it is gone.

use super::Model;
use super::connection::{ConnId, Connect, Ending, Role, Span};
use super::descriptors::Held;
use super::errno::EBADF;
use crate::event::CallInfo;
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
    pub(super) fn number_is_free_of(&mut self, id: Option<ConnId>) {
        if let Some(conn) = id.and_then(|id| self.connections.get_mut(id)) {
            conn.numbers = conn.numbers.saturating_sub(1);
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
}
