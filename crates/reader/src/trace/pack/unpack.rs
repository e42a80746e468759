//! Packed records, as they were.

use super::super::lz4::decompress;
use super::rows::Told;
use super::{FIELDS, Field, Words, back, planes};
use sockshim_format::record::Commit;
use sockshim_format::region::SLOT_BYTES;
use sockshim_format::trace::{CODEC_PACKED, Run};

/// What was packed, in place of what was in `out`; `bytes` is how much that was. None if it cannot be that.
/// `unpacked` is room that can be used again.
pub fn unpack(codec: u16, packed: &[u8], bytes: usize, unpacked: &mut Vec<u8>, out: &mut Vec<u8>) -> Option<()> {
    // The list of runs says how many there are, the bits which slots are calls, codes and masks what is told: no more.
    let room = bytes.checked_add(bytes.div_ceil(SLOT_BYTES * 8))?.checked_add(bytes / SLOT_BYTES + 32)?;
    let unpacked = decompress(packed, room, unpacked)?;
    let (count, left) = unpacked.split_first_chunk::<4>()?;
    let (heads, left) = left.split_at_checked((u32::from_le_bytes(*count) as usize).checked_mul(Run::SIZE)?)?;
    let runs = || heads.chunks_exact(Run::SIZE).filter_map(Run::read);
    let slots = runs().try_fold(0usize, |sum, run| sum.checked_add(run.slots as usize))?;
    let (is_call, left) = left.split_at_checked(slots.div_ceil(8))?;
    let calls = is_call.iter().enumerate().map(|(i, bits)| {
        let those = (slots - i * 8).min(8);
        (bits & (0xff_u8 >> (8 - those))).count_ones() as usize
    });
    let calls = calls.sum::<usize>();
    let mut left = left;
    let planes = columns(codec, calls, &mut left)?;
    let mut others = match codec {
        CODEC_PACKED => Others::Told(Told::read(left)?),
        _ => Others::Plain(left),
    };

    // A promise that is not kept gets no room.
    let least = slots.checked_mul(SLOT_BYTES)?.checked_add(heads.len())?;
    if bytes < least || bytes - least > left.len() {
        return None;
    }
    out.clear();
    out.reserve_exact(bytes);
    let mut calls = Calls::new(planes);
    let mut at = 0;
    for (head, run) in heads.chunks_exact(Run::SIZE).zip(runs()) {
        out.extend_from_slice(head);
        let end = at + run.slots as usize;
        // Slots of a record that is no call, still to come.
        let mut inside = 0;
        while at < end {
            let (is_call, alike) = alike(is_call, at, end - at)?;
            if is_call {
                calls.give(alike, out)?;
            } else {
                others.give(alike, &mut inside, calls.last(), out)?;
            }
            at += alike;
        }
    }
    out.extend_from_slice(others.rest());
    (out.len() == bytes).then_some(())
}

/// The planes of the calls.
fn columns<'a>(codec: u16, calls: usize, left: &mut &'a [u8]) -> Option<Planes<'a>> {
    let mut planes = Planes::default();
    for word in &mut planes {
        if codec == CODEC_PACKED {
            *word = planes::take(calls, left)?;
            continue;
        }
        // In CODEC_PLANES all are there.
        for plane in word {
            (*plane, *left) = left.split_at_checked(calls)?;
        }
    }
    Some(planes)
}

/// Slots that are no calls.
enum Others<'a> {
    /// As they are.
    Plain(&'a [u8]),
    Told(Told<'a>),
}

impl<'a> Others<'a> {
    /// Adds the next slots, of which the first ones are `inside` of the record before; `before` names the call before.
    #[inline]
    fn give(&mut self, mut count: usize, inside: &mut usize, before: [u64; 2], out: &mut Vec<u8>) -> Option<()> {
        let told = match self {
            Others::Told(told) => told,
            Others::Plain(left) => {
                let (those, behind) = left.split_at_checked(count.checked_mul(SLOT_BYTES)?)?;
                put(out, those);
                *left = behind;
                return Some(());
            }
        };
        while count > 0 {
            let there = if *inside > 0 {
                let there = count.min(*inside);
                put(out, told.body(there)?);
                *inside -= there;
                there
            } else {
                let slot = told.next(before)?;
                *inside = usize::from(Commit::from_word(slot[0]).slots.max(1)) - 1;
                put(out, slot.map(u64::to_le_bytes).as_flattened());
                1
            };
            count -= there;
        }
        Some(())
    }

    fn rest(self) -> &'a [u8] {
        match self {
            Others::Plain(left) => left,
            Others::Told(told) => told.rest(),
        }
    }
}

/// Adds slots.
#[inline]
fn put(out: &mut Vec<u8>, slots: &[u8]) {
    // Between payload calls stand alone, and to copy a length that is known calls nobody.
    match <&[u8; SLOT_BYTES]>::try_from(slots) {
        Ok(slot) => out.extend_from_slice(slot),
        Err(_) => out.extend_from_slice(slots),
    }
}

/// Whether there is a call at a place, and how many slots from there on are told to be alike: as many as one word of
/// the bits tells of, and no more than `most`.
#[inline]
fn alike(is_call: &[u8], at: usize, most: usize) -> Option<(bool, usize)> {
    let bytes = is_call.get(at / 8..)?;
    let word = bytes.first_chunk().map(|word| u64::from_le_bytes(*word));
    let (bits, there) = word.map_or((u64::from(*bytes.first()?), 8), |word| (word, 64));
    let bits = bits >> (at % 8);
    let (first, others) = (bits & 1 != 0, if bits & 1 != 0 { !bits } else { bits });
    Some((first, (others.trailing_zeros() as usize).min(there - at % 8).min(most)))
}

/// Calls that are put together from their planes at a time: few enough for the fastest cache.
const TILE: usize = 64;

/// A call, word by word.
type Slot = [[u8; 8]; SLOT_BYTES / 8];

/// The planes of each word; one that is not there is empty.
type Planes<'a> = [[&'a [u8]; 8]; SLOT_BYTES / 8];

/// The calls of a block, out of their planes.
struct Calls<'a> {
    planes: Planes<'a>,
    /// The first call that is not in the tile.
    behind: usize,
    tile: [Slot; TILE],
    /// How many of the tile have been given.
    given: usize,
    before: Words,
    /// Of which words the tile has the same in all calls: that of the one before.
    same: [bool; SLOT_BYTES / 8],
}

impl<'a> Calls<'a> {
    fn new(planes: Planes<'a>) -> Calls<'a> {
        let tile = [Slot::default(); TILE];
        Calls { planes, behind: 0, tile, given: TILE, before: Words::default(), same: [true; SLOT_BYTES / 8] }
    }

    /// What names the last call that was given: its words 0 and 6; zeros if there was none.
    #[inline]
    fn last(&self) -> [u64; 2] {
        // A tile is filled when its first call is given.
        let slot = self.tile.get(self.given.wrapping_sub(1));
        slot.map_or([0; 2], |slot| [u64::from_le_bytes(slot[0]), u64::from_le_bytes(slot[6])])
    }

    /// Adds the next calls.
    #[inline]
    fn give(&mut self, mut count: usize, out: &mut Vec<u8>) -> Option<()> {
        while count > 0 {
            if self.given == TILE {
                self.fill();
            }
            let there = count.min(TILE - self.given);
            let slots = self.tile.get(self.given..self.given + there)?;
            put(out, slots.as_flattened().as_flattened());
            (self.given, count) = (self.given + there, count - there);
        }
        Some(())
    }

    fn fill(&mut self) {
        for (word, field) in FIELDS.into_iter().enumerate() {
            let Some(told) = self.told(word) else {
                self.repeat(word, field);
                continue;
            };
            self.same[word] = false;
            // Each with a loop of its own.
            match field {
                Field::Changes => self.put(word, &told, |before, told| back(Field::Changes, before, told)),
                Field::Grows => self.put(word, &told, |before, told| back(Field::Grows, before, told)),
                Field::Plain => self.put(word, &told, |before, told| back(Field::Plain, before, told)),
                Field::GrowsAndChanges => {
                    self.put(word, &told, |before, told| back(Field::GrowsAndChanges, before, told));
                }
            }
        }
        (self.behind, self.given) = (self.behind + TILE, 0);
    }

    /// What is told of a word of the calls that are next; None if that is nothing in all of them.
    #[inline]
    fn told(&self, word: usize) -> Option<[u64; TILE]> {
        let mut told = None;
        for (byte, plane) in self.planes.get(word)?.iter().enumerate() {
            let Some(plane) = plane.get(self.behind..).filter(|plane| !plane.is_empty()) else { continue };
            let mut last = [0; TILE];
            // What stands behind the last call is told of none.
            let plane: &[u8; TILE] = plane.first_chunk().unwrap_or_else(|| {
                last.iter_mut().zip(plane).for_each(|(place, bits)| *place = *bits);
                &last
            });
            // Most planes say that nothing has changed.
            if plane.iter().fold(0, |all, bits| all | bits) != 0 {
                let told: &mut [u64; TILE] = told.get_or_insert([0; TILE]);
                told.iter_mut().zip(plane).for_each(|(told, bits)| *told |= u64::from(*bits) << (byte * 8));
            }
        }
        told
    }

    /// Fills in a word of which nothing is told in all calls: where it is not there from the calls before.
    #[inline]
    fn repeat(&mut self, word: usize, field: Field) {
        let Some((before, same)) = self.before.get_mut(word).zip(self.same.get_mut(word)) else { return };
        if matches!(field, Field::Plain) && *before != 0 {
            (*before, *same) = (0, false);
        }
        if !*same {
            let bytes = before.to_le_bytes();
            self.tile.iter_mut().filter_map(|slot| slot.get_mut(word)).for_each(|place| *place = bytes);
            *same = true;
        }
    }

    /// Fills in the same word of all calls.
    #[inline]
    fn put(&mut self, word: usize, told: &[u64; TILE], back: impl Fn(u64, u64) -> u64) {
        let Some(before) = self.before.get_mut(word) else { return };
        for (slot, told) in self.tile.iter_mut().zip(told) {
            *before = back(*before, *told);
            if let Some(place) = slot.get_mut(word) {
                *place = before.to_le_bytes();
            }
        }
    }
}
