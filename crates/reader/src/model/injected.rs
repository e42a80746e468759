//! What a plan did to the calls of a run: what looks like the network's doing was the user's.

use super::{ConnId, Connection, Model};
use crate::event::CallInfo;
use sockshim_format::op::Op;
use sockshim_format::plan::{Told, What};
use sockshim_format::record::Injected;
use std::fmt::Write;

/// Different ones that are kept of a connection, and of a run; the rest is counted with the last.
const MOST: usize = 64;

/// A fault, and how often it was injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    /// The function.
    pub op: Option<Op>,
    /// What a rule did to it the first time.
    pub injected: Injected,
    /// How often.
    pub times: u64,
}

impl Injection {
    /// `connect failed with ECONNREFUSED by rule 1, 3 times`.
    pub fn words(&self) -> String {
        let mut words = Told { op: self.op, injected: &self.injected }.to_string();
        if self.times > 1 {
            let _ = write!(words, ", {} times", self.times);
        }
        words
    }

    /// Whether the connection is not what its calls say: bytes came or went that they do not tell of, or an
    /// error that the kernel knows nothing of.
    fn misleads(&self) -> bool {
        self.injected.what & !(What::DELAY.0 | What::SHORT.0 | What::SIGNAL.0) != 0
    }

    /// Whether it made the call fail.
    fn fails(&self) -> bool {
        What(self.injected.what).is(What::ERROR)
    }
}

fn note(list: &mut Vec<Injection>, op: Option<Op>, injected: Injected) {
    let Injected { rule, what, value, .. } = injected;
    let same = |known: &Injection| {
        let Injected { rule: r, what: w, value: v, .. } = known.injected;
        (known.op, r, w, v) == (op, rule, what, value)
    };
    let known = list.iter().position(same).or((list.len() >= MOST).then_some(MOST - 1));
    match known.and_then(|at| list.get_mut(at)) {
        Some(known) => known.times += 1,
        None => list.push(Injection { op, injected, times: 1 }),
    }
}

impl Model {
    /// Takes note of the faults in a call.
    pub(super) fn note_injected(&mut self, id: Option<ConnId>, info: &CallInfo) {
        let op = info.op().map(Op::base);
        for injected in info.injected() {
            note(&mut self.injected, op, injected);
            if let Some(conn) = id.and_then(|id| self.connections.get_mut(id)) {
                note(&mut conn.injected, op, injected);
            }
        }
    }

    /// The faults of the run.
    pub fn injected(&self) -> &[Injection] {
        &self.injected
    }
}

impl Connection {
    /// Whether a fault makes the kernel's counters tell another story than the calls.
    pub(super) fn is_misled(&self) -> bool {
        self.injected.iter().any(Injection::misleads)
    }

    /// Whether a call of this function was made to fail, or any if none is named.
    pub(super) fn was_made_to_fail(&self, op: Option<Op>) -> bool {
        self.injected.iter().any(|injection| injection.fails() && (op.is_none() || injection.op == op))
    }
}
