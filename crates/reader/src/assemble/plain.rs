//! Calls that nothing belongs to but what they carried.

use crate::clock::Clock;
use crate::event::{CallInfo, OwnedExtension};
use crate::records::{Record, Records};
use sockshim_format::record::*;
use sockshim_format::region::SLOT_BYTES;

/// Bytes of payload, with its heads, that a plain call may have: a chunk has no more.
const MOST_PLAIN: usize = 1 << 12;

/// One slot, as it lies.
pub(crate) type Slot = [u8; SLOT_BYTES];

/// A call that is done, and that nothing belongs to but what it carried: nearly all of them. Made into a [`CallInfo`]
/// when it is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Plain<'a> {
    pub slot: &'a Slot,
    pub start_ns: u64,
}

/// Who makes calls.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Who {
    pub process: u32,
    pub pid: u32,
    pub tid: u32,
}

/// A word of a call, as [`Call`] lays them out.
#[inline]
pub(crate) fn word(slot: &Slot, word: usize) -> u64 {
    slot.as_chunks().0.get(word).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
/// Which word of a call that is.
pub(crate) const START_TICKS: usize = 1;
pub(crate) const DURATION_TICKS: usize = 2;

/// The call that slots begin with, its payload, and the slots behind that, if nothing else can belong to it: the
/// next call of the thread began when it was over, so it did not come in between.
#[inline]
pub(super) fn plain(slots: &[u8]) -> Option<(&Slot, &[u8], &[u8])> {
    let call = slots.first_chunk()?;
    let Commit { kind, slots: count, state, flags, .. } = Commit::from_word(word(call, 0));
    if kind != KIND_CALL || state == STATE_ENTERED || flags & FLAG_COARSE != 0 {
        return None;
    }
    let behind_call = slots.get(usize::from(count.max(1)) * SLOT_BYTES..)?;
    let (mut left, mut role) = (behind_call, None);
    loop {
        let (next, behind) = Record::first(left)?;
        match next.commit.kind {
            KIND_PAYLOAD => {
                let (head, seq) = (Extension::read(next.bytes)?, Call::read(call)?.seq);
                if head.seq != seq || *role.get_or_insert(head.role) != head.role {
                    return None;
                }
                left = behind;
            }
            KIND_CALL if next.commit.flags & FLAG_COARSE == 0 => {
                let begun = word(next.bytes.first_chunk()?, START_TICKS);
                let payload = behind_call.get(..behind_call.len() - left.len())?;
                let over = begun >= word(call, START_TICKS).checked_add(word(call, DURATION_TICKS))?;
                return (over && payload.len() <= MOST_PLAIN).then_some((call, payload, left));
            }
            _ => return None,
        }
    }
}

impl Plain<'_> {
    /// The call as everybody knows it.
    pub fn info(&self, who: Who, payload: &[u8], clock: &Clock) -> CallInfo {
        let mut info = CallInfo::none();
        (info.process, info.pid, info.tid, info.start_ns) = (who.process, who.pid, who.tid, self.start_ns);
        info.call = Call::read(self.slot).unwrap_or(info.call);
        info.end_ns = self.start_ns.saturating_add(clock.duration_ns(info.call.duration_ticks));
        tell_payload(payload, &mut info.extensions);
        info
    }
}

/// Payload in one piece.
pub(crate) fn tell_payload(slots: &[u8], place: &mut Vec<OwnedExtension>) {
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
