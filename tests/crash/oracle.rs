//! Whether a trace agrees with the victim's ledger.

use crate::ledger::Row;
use crate::victim::Victim;
use sockshim_format::op::Op;
use sockshim_reader::order::Events;
use sockshim_reader::{CallInfo, Event, Tail, Trace};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;

const OPS: [Op; 6] = [Op::Write, Op::Read, Op::Send, Op::Recv, Op::Writev, Op::Readv];

/// What a signal handler writes last.
const LAST_WORD: &[u8] = b"last word";

/// What was found in good order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checked {
    /// Transfers that had returned, and are in the trace as done, with the right bytes.
    pub calls: u64,
    /// Transfers in flight, shown as entered.
    pub in_flight: u64,
    /// Transfers that are missing, and that the trace says it lost.
    pub lost: u64,
    /// Writes of signal handlers.
    pub last_words: u64,
}

/// A trace that has been read.
pub struct Recorded {
    pub tail: Tail,
    pub lost: (u64, u64),
    /// By pid and thread; each thread's calls in its own order.
    threads: BTreeMap<(u32, u32), BTreeMap<u32, CallInfo>>,
    text: String,
}

impl Recorded {
    /// Reads a trace, which is whole and has no call twice.
    #[track_caller]
    pub fn read(victim: &Victim) -> Recorded {
        let text = victim.text();
        let mut events = Events::new(Trace::open(&victim.trace).unwrap_or_else(|e| panic!("{text}: {e}")));
        let mut threads: BTreeMap<(u32, u32), BTreeMap<u32, CallInfo>> = BTreeMap::new();
        for event in events.by_ref() {
            let (Event::Call(call) | Event::Entered(call)) = event.unwrap_or_else(|e| panic!("{text}: {e}")) else {
                continue;
            };
            assert!(call.op().is_some(), "{text}: an unknown operation: {call:?}");
            let announced = call.announced;
            let again = call.call;
            let known = threads.entry((call.pid, call.tid)).or_default().insert(call.call.seq, call);
            // One that was told as entered is told again when it is done.
            if let Some(known) = known.filter(|known| !announced || known.is_done()) {
                panic!("{text}: a call came twice: {known:?}, then {again:?}");
            }
        }
        let trace = events.trace();
        assert_eq!(trace.damaged_bytes(), 0, "{text}: damaged");
        Recorded { tail: trace.tail(), lost: trace.lost().expect("a trace says"), threads, text }
    }

    /// Checks every thread. `blocked` are threads that were seen in their call just before the end.
    #[track_caller]
    pub fn check(&self, victim: &Victim, blocked: &[u32]) -> Checked {
        let last_words = self.threads.values().flat_map(|calls| calls.values()).filter(|call| is_last_word(call));
        let mut checked = Checked { last_words: last_words.count() as u64, ..Checked::default() };
        if self.lost == (0, 0) {
            for ((_, tid), calls) in &self.threads {
                let gap = calls.keys().zip(calls.keys().skip(1)).find(|(one, next)| **next != *one + 1);
                assert_eq!(gap, None, "{}: calls of thread {tid} are missing", self.text);
            }
        }
        for (number, row) in victim.ledger.rows().iter().enumerate() {
            self.row(number, row, blocked, &mut checked);
        }
        assert!(checked.lost <= self.lost.0, "{}: {checked:?} of {:?} lost", self.text, self.lost);
        checked
    }

    fn row(&self, number: usize, row: &Row, blocked: &[u32], checked: &mut Checked) {
        let (pid, tid) = (row.pid.load(SeqCst), row.tid.load(SeqCst));
        let (begun, returned) = (row.begun.load(SeqCst), row.returned.load(SeqCst));
        let text = format!("{}: row {number}, thread {tid} of {pid}, {returned} of {begun}", self.text);
        let transfers = self.threads.get(&(pid, tid)).into_iter().flat_map(|calls| calls.values());
        let transfers = transfers.filter(|call| call.op().is_some_and(|op| OPS.contains(&op)));
        let transfers: Vec<_> = transfers.filter(|call| !is_last_word(call)).collect();
        let there = transfers.len() as u64;
        assert!(there <= begun, "{text}: {there} are recorded");
        if row.waits.load(SeqCst) == 1 {
            assert!(transfers.iter().all(|call| call.op() == Some(Op::Recv) && !call.is_done()), "{text}");
            assert!(there == 1 || !blocked.contains(&tid), "{text}: the call that it sits in is not shown");
            checked.in_flight += there;
            return;
        }
        let mut next = 0;
        for call in &transfers {
            if !call.is_done() {
                // Never finished: nothing of the thread may stand behind it.
                let last = std::ptr::eq(*call, transfers[transfers.len() - 1]);
                assert!(last, "{text}: {call:?} is not done, and not the last");
                checked.in_flight += 1;
                continue;
            }
            let index = self.index_of(call, number, &text);
            assert!(index == next || (index > next && self.lost.0 > 0), "{text}: {index} instead of {next}: {call:?}");
            next = index + 1;
        }
        let done = transfers.iter().filter(|call| call.is_done()).count() as u64;
        let missing = returned.saturating_sub(done);
        assert!(missing == 0 || self.lost != (0, 0), "{text}: only {done} are there");
        checked.calls += done.min(returned);
        // The last one may be there without its end: that is a lost extension.
        checked.lost += returned.saturating_sub(there);
    }

    /// Which transfer of the row it is, by the bytes that it carried: all of them are what they should be.
    fn index_of(&self, call: &CallInfo, number: usize, text: &str) -> u64 {
        let payload = call.payload().unwrap_or_else(|| panic!("{text}: no payload: {call:?}")).1;
        let words = std::str::from_utf8(payload).ok().and_then(|payload| payload.get(..17)?.split_once(':'));
        let words = words
            .and_then(|(row, pair)| Some((u64::from_str_radix(row, 16).ok()?, u64::from_str_radix(pair, 16).ok()?)));
        let Some((row, sent_by)) = words else { panic!("{text}: other bytes: {call:?}") };
        let whole = text_of(number as u64, sent_by);
        assert_eq!(row, number as u64, "{text}: another thread's bytes: {call:?}");
        assert_eq!(call.call.ret, whole.len() as i64, "{text}: {call:?}");
        assert!(whole.starts_with(payload) && payload.len() >= whole.len().min(32), "{text}: {call:?}");
        let index = sent_by + u64::from(call.op().is_some_and(|op| matches!(op, Op::Read | Op::Recv | Op::Readv)));
        assert_eq!(call.op(), Some(OPS[(index % 6) as usize]), "{text}: {call:?}");
        index
    }
}

fn is_last_word(call: &CallInfo) -> bool {
    call.is_done() && call.payload().is_some_and(|(_, bytes)| bytes == LAST_WORD)
}

/// `text_of` in `victim.c`.
fn text_of(row: u64, call: u64) -> Vec<u8> {
    let mut text = format!("{row:08x}:{call:08x}:").into_bytes();
    let length = 18 + call % 182;
    text.extend((18..length).map(|i| b'a' + ((call + i) % 26) as u8));
    text
}
