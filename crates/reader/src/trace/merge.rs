//! What a trace holds already, so that the rest can be taken from the region of a killed tool.

use crate::records::{Batch, Record};
use sockshim_format::record::*;
use sockshim_format::region::SLOT_BYTES;
use std::collections::{HashMap, HashSet};

/// Knowledge of the records in a trace, by thread and `seq`.
#[derive(Default)]
pub(super) struct Written {
    threads: HashMap<(u32, u32), Thread>,
    processes: HashSet<u32>,
    /// Marks have no number: (process, thread, ticks).
    marks: HashSet<(u32, u32, u64)>,
}

#[derive(Default)]
struct Thread {
    highest: Option<u32>,
    /// Calls that the trace has as entered and not as done, each with those of its extensions that
    /// the trace has too, and how often.
    open: HashMap<u32, HashMap<Vec<u8>, u32>>,
}

impl Thread {
    fn is_new(&self, seq: u32) -> bool {
        // The counter of calls may wrap around; half its range lies ahead.
        self.highest.is_none_or(|highest| (seq.wrapping_sub(highest) as i32) > 0)
    }
}

impl Written {
    /// Takes note of records of the trace.
    pub fn note(&mut self, batch: &Batch<'_>) {
        let thread = self.threads.entry((batch.process, batch.tid)).or_default();
        for record in batch.records() {
            match record.commit.kind {
                KIND_CALL | KIND_COMPLETION => {
                    let Some(call) = Call::read(record.bytes) else { continue };
                    if thread.is_new(call.seq) {
                        thread.highest = Some(call.seq);
                    }
                    if record.commit.state == STATE_ENTERED {
                        thread.open.entry(call.seq).or_default();
                    } else {
                        thread.open.remove(&call.seq);
                    }
                }
                KIND_PROCESS => self.processes.extend(process_number(&record)),
                KIND_MARK => {
                    self.marks.extend(mark_ticks(&record).map(|ticks| (batch.process, batch.tid, ticks)));
                }
                kind => {
                    let Some((head, body)) = record.extension() else { continue };
                    if let Some(extensions) = thread.open.get_mut(&head.seq) {
                        *extensions.entry(fingerprint(kind, &head, body)).or_default() += 1;
                    }
                }
            }
        }
    }

    /// Gives the records of a chunk that are news, as runs.
    pub fn rest(&mut self, batch: &Batch<'_>, sink: &mut dyn FnMut(Batch<'_>)) {
        let (mut start, mut end) = (0, 0);
        // A chunk's loss was told with its first records, if any of them was.
        let mut lost = batch.lost;
        let mut tell = |start: usize, end: usize, lost: &mut u32| {
            if let Some(slots) = batch.slots.get(start..end)
                && !slots.is_empty()
            {
                sink(Batch { slots, lost: std::mem::take(lost), ..*batch });
            }
        };
        for record in batch.records() {
            if !self.is_news(batch, &record) {
                tell(start, end, &mut lost);
                start = end + record.bytes.len();
                lost = 0;
            }
            end += record.bytes.len();
        }
        tell(start, end, &mut lost);
        debug_assert!(end.is_multiple_of(SLOT_BYTES));
    }

    fn is_news(&mut self, batch: &Batch<'_>, record: &Record<'_>) -> bool {
        let thread = self.threads.get_mut(&(batch.process, batch.tid));
        match record.commit.kind {
            KIND_PROCESS => process_number(record).is_some_and(|number| !self.processes.contains(&number)),
            KIND_MARK => {
                mark_ticks(record).is_some_and(|ticks| !self.marks.contains(&(batch.process, batch.tid, ticks)))
            }
            KIND_CALL | KIND_COMPLETION => {
                let (Some(thread), Some(call)) = (thread, Call::read(record.bytes)) else { return true };
                let still_entered = record.commit.state == STATE_ENTERED;
                thread.is_new(call.seq) || (thread.open.contains_key(&call.seq) && !still_entered)
            }
            kind => {
                let (Some(thread), Some((head, body))) = (thread, record.extension()) else { return true };
                if thread.is_new(head.seq) {
                    return true;
                }
                let Some(extensions) = thread.open.get_mut(&head.seq) else { return false };
                // One that the trace has is no news, unless there are more of the same.
                match extensions.get_mut(&fingerprint(kind, &head, body)) {
                    Some(count) if *count > 0 => {
                        *count -= 1;
                        false
                    }
                    _ => true,
                }
            }
        }
    }
}

/// What tells an extension of a call from the others.
fn fingerprint(kind: u8, head: &Extension, body: &[u8]) -> Vec<u8> {
    [&[kind, head.role, head.part], body].concat()
}

fn process_number(record: &Record<'_>) -> Option<u32> {
    Some(Process::read(record.extension()?.1)?.process)
}

fn mark_ticks(record: &Record<'_>) -> Option<u64> {
    Some(Mark::read(record.extension()?.1)?.ticks)
}
