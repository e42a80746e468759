//! Calls that nothing belongs to but what they carried.

use crate::clock::Clock;
use crate::event::{CallInfo, OwnedExtension};
use crate::records::{Record, Records};
use sockshim_format::record::*;

/// Bytes of payload, with its heads, that a plain call may have: a chunk has no more.
const MOST_PLAIN: usize = 1 << 12;

/// A call that is done, and that nothing belongs to but what it carried: nearly all of them. Made into a [`CallInfo`]
/// when it is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Plain {
    pub call: Call,
    pub process: u32,
    pub pid: u32,
    pub tid: u32,
    /// Bytes of the slots with the payload that is told.
    pub payload_bytes: u32,
    pub start_ns: u64,
}

/// The call that slots begin with, its payload, and the slots behind that, if nothing else can belong to it: the
/// next call of the thread began when it was over, so it did not come in between.
#[inline]
pub(super) fn plain(slots: &[u8]) -> Option<(Call, &[u8], &[u8])> {
    let (record, behind_call) = Record::first(slots)?;
    let Commit { kind, state, flags, .. } = record.commit;
    if kind != KIND_CALL || state == STATE_ENTERED || flags & FLAG_COARSE != 0 {
        return None;
    }
    let call = Call::read(record.bytes)?;
    let (mut left, mut role) = (behind_call, None);
    loop {
        let (next, behind) = Record::first(left)?;
        match next.commit.kind {
            KIND_PAYLOAD => {
                let head = Extension::read(next.bytes)?;
                if head.seq != call.seq || *role.get_or_insert(head.role) != head.role {
                    return None;
                }
                left = behind;
            }
            KIND_CALL if next.commit.flags & FLAG_COARSE == 0 => {
                let begun = Call::read(next.bytes)?.start_ticks;
                let payload = behind_call.get(..behind_call.len() - left.len())?;
                let over = begun >= call.start_ticks.checked_add(call.duration_ticks)?;
                return (over && payload.len() <= MOST_PLAIN).then_some((call, payload, left));
            }
            _ => return None,
        }
    }
}

impl Plain {
    /// Whether it is of the same thread as another.
    #[inline]
    pub fn is_of_thread(&self, other: &Plain) -> bool {
        (self.process, self.pid, self.tid) == (other.process, other.pid, other.tid)
    }

    /// The call as everybody knows it.
    pub fn info(&self, payload: &[u8], clock: &Clock) -> CallInfo {
        let Plain { call, process, pid, tid, start_ns, .. } = *self;
        let (extensions, end_ns) = (Vec::new(), start_ns);
        let mut info = CallInfo { process, pid, tid, call, extensions, start_ns, end_ns, announced: false };
        self.tell(payload, clock, &mut info);
        info
    }

    /// The same in place of another one, whose room is used again.
    #[inline]
    pub fn tell(&self, payload: &[u8], clock: &Clock, place: &mut CallInfo) {
        (place.process, place.pid, place.tid) = (self.process, self.pid, self.tid);
        (place.call, place.announced) = (self.call, false);
        place.start_ns = self.start_ns;
        place.end_ns = self.start_ns.saturating_add(clock.duration_ns(self.call.duration_ticks));
        if payload.is_empty() {
            place.extensions.clear();
        } else {
            tell_payload(payload, &mut place.extensions);
        }
    }
}

/// Payload in one piece.
fn tell_payload(slots: &[u8], place: &mut Vec<OwnedExtension>) {
    place.truncate(1);
    let mut body = place.pop().map_or_else(Vec::new, |extension| extension.body);
    body.clear();
    let mut pieces = Records::of(slots).filter_map(|record| record.extension());
    if let Some((Extension { role, part, .. }, first)) = pieces.next() {
        body.extend_from_slice(first);
        pieces.for_each(|(_, piece)| body.extend_from_slice(piece));
        place.push(OwnedExtension { kind: KIND_PAYLOAD, role, part, body });
    }
}
