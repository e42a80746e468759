//! Records, packed: what the record before says left out, the same field of one after the other, then LZ4.
//!
//! A call is 64 bytes in the region, most of which say what those of the call before said. In a packed block the
//! calls stand as planes, the first bytes of all calls, then the second bytes, and so on; fields that count up are
//! differences, fields that repeat are exclusive ors, and of the planes that are zeros then, almost all, nothing is
//! kept. What is no call (payload, addresses) is told by what is known already, too: see [`rows`]. The bytes come back
//! exactly as they were, whatever they were.

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};
use planes::Planes;
use rows::Rows;
use sockshim_format::record::{Commit, FLAG_COARSE, KIND_CALL, KIND_COMPLETION, STATE_ENTERED};
use sockshim_format::region::SLOT_BYTES;
use sockshim_format::trace::{CODEC_PACKED, Run};
pub use unpack::unpack;

mod planes;
mod rows;
mod unpack;

/// How a word of a call is told by the word at the same place in the call before.
#[derive(Clone, Copy)]
enum Field {
    /// By the bits that differ.
    Changes,
    /// By how much it has grown.
    Grows,
    /// By itself.
    Plain,
    /// Two halves: the lower one grows, the upper one changes.
    GrowsAndChanges,
}

/// The words of a call, as `record::Call` lays them out.
const FIELDS: [Field; 8] = [
    Field::Changes,         // commit
    Field::Grows,           // start_ticks
    Field::Plain,           // duration_ticks
    Field::Changes,         // ret
    Field::Changes,         // socket
    Field::Changes,         // size
    Field::GrowsAndChanges, // seq, fd
    Field::Changes,         // op, errno, arg
];

type Words = [u64; 8];

fn words(slot: &[u8]) -> Words {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(slot.chunks_exact(8)) {
        *word = bytes.try_into().map_or(0, u64::from_le_bytes);
    }
    words
}

/// What is left of a word when the one before is known; `back` undoes it.
fn tell(field: Field, before: u64, now: u64) -> u64 {
    match field {
        Field::Changes => now ^ before,
        Field::Grows => now.wrapping_sub(before),
        Field::Plain => now,
        Field::GrowsAndChanges => u64::from((now as u32).wrapping_sub(before as u32)) | ((now ^ before) >> 32 << 32),
    }
}

fn back(field: Field, before: u64, told: u64) -> u64 {
    match field {
        Field::Changes => told ^ before,
        Field::Grows => told.wrapping_add(before),
        Field::Plain => told,
        Field::GrowsAndChanges => u64::from((told as u32).wrapping_add(before as u32)) | ((told ^ before) >> 32 << 32),
    }
}

/// What the calls of a block are, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    pub calls: u32,
    /// Those of them that are over: one that is told as entered is told again.
    pub ended: u32,
    /// When the first one began and the last one ended, of those whose ticks are the clock's: coarse ones are
    /// nanoseconds, and do not compare with the others.
    pub min_ticks: u64,
    pub max_ticks: u64,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally { calls: 0, ended: 0, min_ticks: u64::MAX, max_ticks: 0 }
    }
}

impl Tally {
    fn count(&mut self, commit: Commit, start_ticks: u64, duration_ticks: u64) {
        self.calls += 1;
        self.ended += u32::from(commit.state != STATE_ENTERED);
        if commit.flags & FLAG_COARSE == 0 {
            self.min_ticks = self.min_ticks.min(start_ticks);
            self.max_ticks = self.max_ticks.max(start_ticks.saturating_add(duration_ticks));
        }
    }
}

/// A block that is packed.
#[derive(Default)]
pub struct Packed {
    room: Vec<u8>,
    len: usize,
    /// What it stands for.
    pub payload_bytes: usize,
    pub tally: Tally,
}

impl Packed {
    pub fn bytes(&self) -> &[u8] {
        self.room.get(..self.len).unwrap_or(&[])
    }

    /// The payload as it was.
    pub fn unpack(&self) -> Option<Vec<u8>> {
        let mut payload = Vec::new();
        unpack(CODEC_PACKED, self.bytes(), self.payload_bytes, &mut Vec::new(), &mut payload)?;
        Some(payload)
    }
}

/// Packs blocks, one after the other in the same memory. Slots are taken apart as they come, so that they are looked at
/// while they are in the cache, and not collected.
#[derive(Default)]
pub struct Packer {
    heads: Vec<u8>,
    slots: usize,
    is_call: Vec<u8>,
    calls: Planes<8>,
    rows: Rows,
    /// The last call.
    before: Words,
    tally: Tally,
    told: Vec<u8>,
    table: CompressTable,
    /// Room of a block that has been written.
    spare: Vec<u8>,
}

impl Packer {
    /// Bytes of payload that were added since the last block.
    pub fn payload_bytes(&self) -> usize {
        self.heads.len() + self.slots * SLOT_BYTES
    }

    /// Adds a run to the block. The run says how many slots there are.
    pub fn add(&mut self, run: &Run, slots: &[u8]) {
        self.heads.extend_from_slice(&run.to_bytes());
        // Slots of a record that is no call, still to come.
        let mut inside = 0usize;
        for slot in slots.chunks_exact(SLOT_BYTES) {
            let (byte, bit) = (self.slots / 8, self.slots % 8);
            if bit == 0 {
                self.is_call.push(0);
            }
            self.slots += 1;
            if inside > 0 {
                inside -= 1;
                self.rows.add_body(slot);
                continue;
            }
            let now = words(slot);
            let commit = Commit::from_word(now[0]);
            if matches!(commit.kind, KIND_CALL | KIND_COMPLETION) {
                if let Some(byte) = self.is_call.get_mut(byte) {
                    *byte |= 1 << bit;
                }
                self.calls.add(std::array::from_fn(|i| tell(FIELDS[i], self.before[i], now[i])));
                self.tally.count(commit, now[1], now[2]);
                self.before = now;
            } else {
                inside = usize::from(commit.slots.max(1)) - 1;
                self.rows.add(&self.before, &now);
            }
        }
    }

    /// The block of what was added. To be given back when it is written.
    pub fn finish(&mut self) -> Packed {
        self.end(&[])
    }

    /// Takes a block back for its room.
    pub fn give_back(&mut self, packed: Packed) {
        self.spare = packed.room;
    }

    fn end(&mut self, rest: &[u8]) -> Packed {
        let payload_bytes = self.payload_bytes() + rest.len();
        let told = &mut self.told;
        told.clear();
        told.extend_from_slice(&((self.heads.len() / Run::SIZE) as u32).to_le_bytes());
        told.extend_from_slice(&self.heads);
        told.extend_from_slice(&self.is_call);
        self.calls.put(told);
        self.rows.put(told);
        told.extend_from_slice(rest);
        let mut room = std::mem::take(&mut self.spare);
        let most = get_maximum_output_size(told.len());
        if room.len() < most {
            room.resize(most, 0);
        }
        // There is room for whatever comes out.
        let len = compress_into_with_table(told, &mut room, &mut self.table).unwrap_or(0);
        self.heads.clear();
        self.is_call.clear();
        (self.slots, self.before) = (0, Words::default());
        Packed { room, len, payload_bytes, tally: std::mem::take(&mut self.tally) }
    }

    /// Packs a payload that is there as a whole. What does not make a run any more is told as it is.
    pub fn pack(&mut self, payload: &[u8]) -> Packed {
        let mut left = payload;
        while let Some((head, behind)) = left.split_at_checked(Run::SIZE)
            && let Some(run) = Run::read(head)
            && let Some((slots, rest)) = behind.split_at_checked((run.slots as usize).saturating_mul(SLOT_BYTES))
        {
            self.add(&run, slots);
            left = rest;
        }
        self.end(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockshim_format::record::{Call, Extension, KIND_PAYLOAD, STATE_DONE};

    fn unpack(packed: &[u8], bytes: usize) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        super::unpack(CODEC_PACKED, packed, bytes, &mut Vec::new(), &mut out).map(|()| out)
    }

    fn pack(payload: &[u8]) -> Vec<u8> {
        // What was packed before does not matter.
        let mut packer = Packer::default();
        let before = packer.pack(&ordinary(600));
        packer.give_back(before);
        packer.pack(payload).bytes().to_vec()
    }

    fn commit(kind: u8, slots: u8) -> u64 {
        Commit { generation: 7, kind, slots, state: STATE_DONE, flags: 0 }.word()
    }

    /// Reads and writes on a connection, with a preview now and then, in runs of two threads.
    fn ordinary(calls: u32) -> Vec<u8> {
        let mut payload = Vec::new();
        let mut noise = 1u64;
        for run in 0..calls / 60 {
            let mut slots = Vec::new();
            for i in 0..60 {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let seq = run * 60 + i;
                let (op, ret) = if i % 2 == 0 { (20, 1 + i64::from(i % 3)) } else { (26, 128) };
                let call = Call {
                    commit: commit(KIND_CALL, 1),
                    start_ticks: 1_000_000 + u64::from(seq) * 3_000 + (noise >> 54),
                    duration_ticks: 2_000 + (noise >> 56),
                    ret,
                    socket: 4711,
                    size: 128,
                    seq,
                    fd: 5,
                    op,
                    errno: 0,
                    arg: 0,
                };
                slots.extend_from_slice(&call.to_bytes());
            }
            let head = Run { process: 1, tid: 100 + run % 2, slots: 60, lost: 0 };
            payload.extend_from_slice(&head.to_bytes());
            payload.extend_from_slice(&slots);
        }
        payload
    }

    #[test]
    fn a_call_takes_a_few_bytes() {
        let payload = ordinary(6000);
        let packed = pack(&payload);
        assert_eq!(unpack(&packed, payload.len()).unwrap(), payload);
        assert!(packed.len() < 6000 * 8, "{} bytes a call", packed.len() as f64 / 6000.0);
    }

    /// Calls that send and receive the same few things again and again, each behind the call.
    fn repeated(calls: u32, body: impl Fn(u32) -> [u8; 48]) -> Vec<u8> {
        let plain = ordinary(calls);
        let mut payload = Run { process: 1, tid: 100, slots: calls * 2, lost: 0 }.to_bytes().to_vec();
        let slots = plain.chunks_exact(Run::SIZE + 60 * SLOT_BYTES).flat_map(|run| run[Run::SIZE..].chunks_exact(64));
        for (seq, slot) in (0..).zip(slots) {
            payload.extend_from_slice(slot);
            let head = Extension { commit: commit(KIND_PAYLOAD, 1), seq, len: 48, role: 1 + (seq % 2) as u8, part: 0 };
            payload.extend_from_slice(&head.to_bytes());
            payload.extend_from_slice(&body(seq));
        }
        payload
    }

    #[test]
    fn what_was_said_before_takes_next_to_nothing() {
        let mut noise = crate::noise::noise();
        let said: Vec<[u8; 48]> = (0..20).map(|_| std::array::from_fn(|_| noise() as u8)).collect();
        let payload = repeated(6000, |seq| said[seq as usize / 2 % said.len()]);
        let packed = pack(&payload);
        assert_eq!(unpack(&packed, payload.len()).unwrap(), payload);
        assert!(packed.len() < 6000 * 8, "{} bytes a call", packed.len() as f64 / 6000.0);
        // What is sent is received, and nothing is said twice.
        let fresh: Vec<[u8; 48]> = (0..3000).map(|_| std::array::from_fn(|_| noise() as u8)).collect();
        let payload = repeated(6000, |seq| fresh[seq as usize / 2]);
        let packed = pack(&payload);
        assert_eq!(unpack(&packed, payload.len()).unwrap(), payload);
        assert!(packed.len() < 6000 * (8 + 24 + 4), "{} bytes a call", packed.len() as f64 / 6000.0);
    }

    #[test]
    fn whatever_the_bytes_they_come_back() {
        let mut noise = crate::noise::noise();
        for len in [0, 1, 15, 16, 17, 79, 80, 81, 1000, 70_000] {
            let random: Vec<u8> = (0..len).map(|_| noise() as u8).collect();
            assert_eq!(unpack(&pack(&random), len).unwrap(), random, "{len} bytes of noise");
            // Runs that are in order, with slots that are not.
            let slots = len / SLOT_BYTES;
            let mut payload = Run { process: 9, tid: 9, slots: slots as u32, lost: 0 }.to_bytes().to_vec();
            payload.extend_from_slice(&random[..slots * SLOT_BYTES]);
            for slot in payload[Run::SIZE..].chunks_exact_mut(SLOT_BYTES) {
                let kind = if slot[20] & 1 == 0 { KIND_CALL } else { KIND_PAYLOAD };
                let word = commit(kind, slot[21] % 5);
                slot[..8].copy_from_slice(&word.to_le_bytes());
            }
            assert_eq!(unpack(&pack(&payload), payload.len()).unwrap(), payload, "{slots} slots");
        }
    }

    #[test]
    fn what_was_not_packed_is_refused() {
        let payload = ordinary(120);
        let packed = pack(&payload);
        assert!(unpack(&packed, payload.len() - 1).is_none());
        assert!(unpack(&packed, payload.len() + 64).is_none());
        assert!(unpack(&packed[..packed.len() - 1], payload.len()).is_none());
        assert!(unpack(&[], 0).is_none());
        for at in 0..packed.len() {
            let mut damaged = packed.clone();
            damaged[at] ^= 0x55;
            let _ = unpack(&damaged, payload.len());
        }
    }
}
