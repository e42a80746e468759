//! Which connections a call has to do with, asked of the call.

use super::{ConnId, Model};
use crate::event::CallInfo;
use sockshim_format::record::*;

impl Model {
    /// The connections that a call, while it is fed, was about, made, closed, passed on or waited for: as
    /// [`Model::concerns`] has it, for those who ask about all connections. The resolution of a name is none's yet.
    pub fn concerned(&self, call: &CallInfo) -> Vec<ConnId> {
        let mut found: Vec<ConnId> = self.of_call(call).map(|conn| conn.id).into_iter().collect();
        let known = |socket: u64| (socket != 0).then(|| self.by_socket.get(&socket).copied()).flatten();
        found.extend(call.sockets().filter_map(|socket| known(socket.socket)));
        let lists = call.extensions.iter().filter(|extension| extension.kind == KIND_FDS);
        let fds = lists.flat_map(|list| list.body.chunks_exact(Fd::SIZE).filter_map(Fd::read));
        found.extend(fds.filter_map(|fd| known(fd.socket)));
        let epoll = |data: u64| self.processes.get(&call.process)?.epoll.conn(call.call.fd, data);
        found.extend(call.ready().filter_map(|ready| match (ready.socket, ready.fd) {
            (0, fd) if fd >= 0 => self.held(call.process, fd),
            (0, _) => epoll(ready.data),
            (socket, _) => known(socket),
        }));
        found.sort_unstable();
        found.dedup();
        found
    }
}
