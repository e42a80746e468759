//! Writes the events of a story, call by call.

use super::super::*;
pub use crate::event::{OwnedExtension, ProcessInfo};

pub const SERVER: &[u8] = &[2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
pub const CLIENT: &[u8] = &[2, 0, 0x9c, 0x40, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];

/// Feeds a model with calls that are written as a table.
#[derive(Default)]
pub struct Story {
    pub model: Model,
    pub now_ns: u64,
    pub process: u32,
    /// The thread; 0 is the first one.
    pub tid: u32,
    pub flags: u8,
    /// What the model was fed with.
    pub events: Vec<Event>,
}

impl Story {
    pub fn new() -> Story {
        let mut story = Story { now_ns: 1000, ..Story::default() };
        story.process(1, 0, 100, 1, PROCESS_IMAGE);
        story
    }

    pub fn process(&mut self, process: u32, parent: u32, pid: u32, ppid: u32, how: u32) {
        let process = Process {
            process,
            parent,
            pid,
            ppid,
            how,
            uid: 0,
            ticks: self.now_ns,
            real_ns: 0,
            pid_namespace: 0,
            net_namespace: 0,
            path_bytes: 0,
            arguments_bytes: 0,
            reserved: 0,
        };
        let exe = format!("/bin/p{}", process.process).into_bytes();
        self.process = process.process;
        let info = ProcessInfo { process, time_ns: self.now_ns, exe, args: Vec::new() };
        self.feed(Event::Process(info));
    }

    pub fn feed(&mut self, event: Event) {
        self.model.feed(&event);
        self.events.push(event);
    }

    /// One call of 10 ns.
    pub fn call(&mut self, op: Op, fd: i32, socket: u64, ret: i64, parts: &[(u8, u8, &[u8])]) -> &mut Connection {
        self.call_with(op, fd, socket, ret, parts, |_| {})
    }

    pub fn call_with(
        &mut self,
        op: Op,
        fd: i32,
        socket: u64,
        ret: i64,
        parts: &[(u8, u8, &[u8])],
        change: impl FnOnce(&mut Call),
    ) -> &mut Connection {
        let flags = self.flags;
        let commit = Commit { generation: 1, kind: KIND_CALL, slots: 1, state: STATE_DONE, flags }.word();
        let (op, size) = (op as u16, if ret > 0 { ret as u64 } else { 100 });
        let (start_ticks, duration_ticks, seq, errno, arg) = (0, 0, 0, 0, 0);
        let mut call = Call { commit, start_ticks, duration_ticks, ret, socket, size, seq, fd, op, errno, arg };
        change(&mut call);
        let extensions = parts
            .iter()
            .map(|&(kind, role, body)| OwnedExtension { kind, role, part: 0, body: body.to_vec() })
            .collect();
        let process = self.process;
        let pid = self.model.process(process).unwrap().pid;
        let (start_ns, end_ns) = (self.now_ns, self.now_ns + 10);
        self.now_ns += 100;
        let tid = if self.tid == 0 { pid } else { self.tid };
        let info = CallInfo { process, pid, tid, call, extensions, start_ns, end_ns, announced: false };
        self.feed(Event::Call(info));
        let id = self.model.by_socket.get(&socket).copied();
        match id {
            Some(id) => self.model.connections.get_mut(id).unwrap(),
            None => Box::leak(Box::default()),
        }
    }

    /// A call that has begun now, and not ended.
    pub fn entered(&mut self, op: Op, fd: i32, socket: u64) -> CallInfo {
        let commit = Commit { generation: 1, kind: KIND_CALL, slots: 1, state: STATE_ENTERED, flags: 0 }.word();
        let (process, op, start_ns) = (self.process, op as u16, self.now_ns);
        let pid = self.model.process(process).unwrap().pid;
        let (start_ticks, duration_ticks, ret, size, seq, errno, arg) = (0, 0, 0, 100, 0, 0, 0);
        let call = Call { commit, start_ticks, duration_ticks, ret, socket, size, seq, fd, op, errno, arg };
        CallInfo { process, pid, tid: pid, call, extensions: vec![], start_ns, end_ns: start_ns, announced: true }
    }

    pub fn socket(&mut self, fd: i32, socket: u64) {
        self.call_with(Op::Socket, -1, socket, fd.into(), &[(KIND_SOCKET, 0, &sock(socket, fd, 1))], |call| {
            (call.arg, call.size) = (2, 1);
        });
    }

    /// A socketpair of AF_UNIX: 3 is socket 7, 4 is socket 8.
    pub fn pair(&mut self) {
        let made = fds(&[(3, 7), (4, 8)]);
        self.call_with(Op::Socketpair, -1, 0, 0, &[(KIND_FDS, ROLE_MADE, &made)], |call| {
            (call.arg, call.size) = (1, 1);
        });
    }

    pub fn connected(&mut self, fd: i32, socket: u64) {
        self.socket(fd, socket);
        let parts: [(u8, u8, &[u8]); 2] = [(KIND_ADDRESS, ROLE_GIVEN, SERVER), (KIND_ADDRESS, ROLE_LOCAL, CLIENT)];
        self.call(Op::Connect, fd, socket, 0, &parts);
    }

    pub fn close(&mut self, fd: i32, socket: u64, state: u8) -> &mut Connection {
        self.call(Op::Close, fd, socket, 0, &[(KIND_TCP_INFO, 0, &tcp_info(state, 0))])
    }

    pub fn of(&self, socket: u64) -> &Connection {
        self.model.connection(self.model.by_socket[&socket]).unwrap()
    }
}

pub fn sock(socket: u64, fd: i32, kind: i32) -> Vec<u8> {
    Socket { socket, inode: socket + 1, fd, domain: 2, kind, protocol: 6, net_namespace: 0, reserved: 0 }
        .to_bytes()
        .to_vec()
}

pub fn tcp_info(state: u8, unread_bytes: i32) -> Vec<u8> {
    let mut out = TcpState { unread_bytes, unsent_bytes: 0 }.to_bytes().to_vec();
    out.extend([state, 0, 0, 0]);
    out
}

/// The kernel's byte counters, just before a call that ends the connection.
#[derive(Clone, Copy, Default)]
pub struct Kernel {
    pub state: u8,
    pub sent: u64,
    pub retransmitted: u64,
    pub not_sent: u32,
    pub received: u64,
    pub unread: i32,
}

impl Kernel {
    pub fn info(self) -> Vec<u8> {
        let mut info = vec![0; 232];
        info[0] = self.state;
        info[128..136].copy_from_slice(&self.received.to_ne_bytes());
        info[144..148].copy_from_slice(&self.not_sent.to_ne_bytes());
        info[200..208].copy_from_slice(&self.sent.to_ne_bytes());
        info[208..216].copy_from_slice(&self.retransmitted.to_ne_bytes());
        let state = TcpState { unread_bytes: self.unread, unsent_bytes: 0 };
        [&state.to_bytes()[..], &info].concat()
    }
}

pub fn fds(list: &[(i32, u64)]) -> Vec<u8> {
    list.iter().flat_map(|&(fd, socket)| Fd { fd, reserved: 0, socket }.to_bytes()).collect()
}

pub fn failed(errno: u16) -> impl FnOnce(&mut Call) {
    move |call| call.errno = errno
}
