//! Which threads are in a call, and since when.

use std::collections::BTreeMap;

use sockshim_format::op::Phase;
use sockshim_reader::model::Connection;
use sockshim_reader::{CallInfo, Event, Model};

/// Threads that are remembered. Nothing tells that a thread was cancelled in its call.
const MOST: usize = 4096;
/// Signal handlers that a thread is in at once, each in a call: more were left by a jump.
const MOST_NESTED: usize = 16;

/// Calls that were entered, and are not over: by process and thread, the innermost last.
#[derive(Default)]
pub struct Blocked {
    calls: BTreeMap<(u32, u32), Vec<CallInfo>>,
}

impl Blocked {
    /// Takes in an event that the model has been fed with.
    pub fn event(&mut self, event: &Event) {
        match event {
            // What executes another program does not return, and blocks nobody.
            Event::Entered(call) if call.op().is_none_or(|op| op.phase() != Phase::Process) => {
                let thread = (call.process, call.tid);
                if self.calls.len() >= MOST && !self.calls.contains_key(&thread) {
                    return;
                }
                let calls = self.calls.entry(thread).or_default();
                if calls.len() >= MOST_NESTED {
                    calls.remove(0);
                }
                calls.push(call.clone());
            }
            Event::Call(call) => {
                let thread = (call.process, call.tid);
                let Some(calls) = self.calls.get_mut(&thread) else { return };
                // Calls within it are over before it is.
                match calls.iter().position(|known| known.call.seq == call.call.seq) {
                    Some(at) => calls.truncate(at),
                    // The thread does something else: what it was in was left by a jump.
                    None if call.start_ns > calls.last().map_or(0, |last| last.start_ns) => {}
                    None => return,
                }
                if calls.is_empty() {
                    self.calls.remove(&thread);
                }
            }
            _ => {}
        }
    }

    /// Forgets threads of processes that are gone.
    pub fn forget(&mut self, model: &Model) {
        self.calls.retain(|(process, _), _| model.process(*process).is_some_and(|process| !process.gone));
    }

    /// The threads, those first that have been in their call for longest.
    pub fn threads(&self) -> Vec<&CallInfo> {
        let mut threads: Vec<&CallInfo> = self.calls.values().filter_map(|calls| calls.last()).collect();
        threads.sort_by_key(|call| (call.start_ns, call.tid));
        threads
    }
}

/// The connection that a blocked call is about.
pub fn connection<'a>(model: &'a Model, call: &CallInfo) -> Option<&'a Connection> {
    match call.call.socket {
        0 => None,
        socket => model.of_socket(socket),
    }
}
