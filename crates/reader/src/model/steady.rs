//! Calls that carry bytes on a connection that is known: nearly all calls of a long trace, so they have a way of their own.
//! What such a call tells is what [`Model::call`] takes from it, in the same order; all else that looks at calls finds
//! nothing in one of them.

use super::Model;
use super::connection::{ConnId, Connection, Role, Span};
use super::errno::EBADF;
use crate::event::CallInfo;
use crate::order::Calls;
use sockshim_format::op::{Direction, Op};

/// Kinds of calls of one thread that are known at a time.
const KINDS: usize = 4;

/// What is known of a call that does no more than carry bytes.
#[derive(Clone, Copy)]
struct Steady {
    id: ConnId,
    op: Op,
    direction: Direction,
    bytes: u64,
}

impl Model {
    /// Takes in calls, up to the first that does more than carry bytes on a connection that is known; that one too.
    pub fn feed_calls(&mut self, calls: &mut Calls<'_>) {
        let mut known: [Option<(u16, Steady)>; KINDS] = [None; KINDS];
        // What has finished is looked for behind a call, and none of these makes anything finish.
        let due = self.is_due();
        let (mut count, mut end_ns, mut other) = (0, 0, false);
        while let Some((kind, call)) = calls.next_ref() {
            let Some(place) = known.get_mut(usize::from(kind) % KINDS) else { break };
            let steady = match *place {
                Some((is, steady)) if is == kind => Some(steady),
                _ => self.steady(call).filter(|_| !due),
            };
            let Some(steady) = steady else {
                other = true;
                break;
            };
            *place = Some((kind, steady));
            let Some(conn) = self.connections.get_mut(steady.id) else { break };
            conn.carried(&steady, call);
            self.first_ns.get_or_insert(call.start_ns);
            (count, end_ns) = (count + 1, call.end_ns.max(end_ns));
        }
        if count > 0 {
            self.last_ns = self.last_ns.max(end_ns);
            self.process_mut(calls.last()).seen(end_ns);
        }
        if other {
            self.unsteady(calls.last());
        }
    }

    /// Takes in a call.
    #[inline]
    pub(super) fn feed_call(&mut self, info: &CallInfo) {
        let Some(steady) = self.steady(info) else { return self.unsteady(info) };
        self.happened(info);
        if let Some(conn) = self.connections.get_mut(steady.id) {
            conn.carried(&steady, info);
        }
        self.process_mut(info).seen(info.end_ns);
        self.look();
    }

    fn unsteady(&mut self, info: &CallInfo) {
        self.happened(info);
        self.call(info);
        self.look();
    }

    #[inline]
    fn happened(&mut self, info: &CallInfo) {
        self.first_ns.get_or_insert(if info.announced { info.end_ns } else { info.start_ns });
        self.last_ns = self.last_ns.max(info.end_ns);
    }

    /// What a call does, if that is no more than carry bytes on a connection that is known.
    #[inline]
    fn steady(&self, info: &CallInfo) -> Option<Steady> {
        let op = info.op()?;
        let (direction, bytes) = info.bytes_by(op)?;
        let id = self.known.get(info)?;
        let conn = self.connections.get(id).filter(|conn| !conn.finished)?;
        let is_datagram = conn.kind == 2 || conn.role == Role::Datagram;
        let is_new = self.processes.get(&info.process)?.pid == 0 || self.executing.contains(&(info.process, info.tid));
        let is_steady = !is_datagram && !is_new && info.call.errno != EBADF && conn.in_progress.is_empty();
        (is_steady && info.is_bare()).then_some(Steady { id, op: op.base(), direction, bytes })
    }
}

impl Connection {
    #[inline]
    fn carried(&mut self, steady: &Steady, info: &CallInfo) {
        let Steady { op, direction, bytes, .. } = *steady;
        self.calls += 1;
        Span::cover(&mut self.seen, info.start_ns, info.end_ns);
        self.facts.touched(info.tid);
        self.note_errno(op, info);
        self.data(op, direction, bytes, info);
    }
}
