//! What is no call, by what is known already.
//!
//! Payload, addresses and the like stand behind the call that they belong to, and much of what they say has been said
//! before: the request that is made again and again, the descriptors that were waited for. So the first slot of such a
//! record is told in two parts. What names its call is told by the call in front of it, which is zeros in order. The
//! other 56 bytes, a row, are looked for in a table of rows that were told in full, and are then one byte; else by what
//! differs from the last one that was told so.

use super::Words;
use super::planes::{self, Planes};
use sockshim_format::region::SLOT_BYTES;

/// Rows of the table.
const ROWS: usize = 128;
/// Set in the code of a row that is not in the table.
const NEW: u8 = 0x80;
/// Words of a row.
const WORDS: usize = 7;
/// Powers of an odd number, which mix the words of a row.
const MIX: [u64; WORDS] = {
    let mut mix = [0x9e37_79b9_7f4a_7c15_u64; WORDS];
    let mut i = 1;
    while i < WORDS {
        mix[i] = mix[i - 1].wrapping_mul(mix[0]);
        i += 1;
    }
    mix
};

/// All of a slot but what names its call: the lower half of the commit word and the upper half of the second word, and
/// the six words behind.
type Row = [u64; WORDS];

const LOWER: u64 = 0xffff_ffff;

/// A slot, as the name of its call, in the words of the call before it, and the row.
fn apart(before: &Words, now: &Words) -> (u64, Row) {
    let [commit, second, behind @ ..] = *now;
    let seq = (second as u32).wrapping_sub(before[6] as u32);
    let mut row = Row::default();
    row[0] = commit & LOWER | second & !LOWER;
    row[1..].copy_from_slice(&behind);
    ((commit ^ before[0]) & !LOWER | u64::from(seq), row)
}

/// The rows that are known, which who packs and who unpacks both keep.
struct Table {
    rows: [Row; ROWS],
    /// The last one that was new.
    last: Row,
}

impl Table {
    fn new() -> Table {
        Table { rows: [Row::default(); ROWS], last: Row::default() }
    }

    /// Where a row stands, if it stands there.
    fn place(row: &Row) -> usize {
        let mixed = row.iter().zip(MIX).fold(0u64, |sum, (word, mix)| sum.wrapping_add(word.wrapping_mul(mix)));
        (mixed >> 57) as usize
    }
}

/// Rows that are told.
pub struct Rows {
    table: Box<Table>,
    names: Planes<1>,
    codes: Vec<u8>,
    bodies: Vec<u8>,
}

impl Default for Rows {
    fn default() -> Rows {
        Rows { table: Box::new(Table::new()), names: Planes::default(), codes: Vec::new(), bodies: Vec::new() }
    }
}

impl Rows {
    /// Adds the first slot of a record, behind a call.
    pub fn add(&mut self, before: &Words, now: &Words) {
        let table = &mut *self.table;
        let (name, row) = apart(before, now);
        self.names.add([name]);
        let place = Table::place(&row);
        let Some(known) = table.rows.get_mut(place) else { return };
        // Compared in place: that takes a few instructions, and to call memcmp as many again.
        if known.iter().zip(&row).fold(0, |differ, (known, word)| differ | known ^ word) == 0 {
            self.codes.push(place as u8);
            return;
        }
        let mut code = NEW;
        for (i, (word, last)) in row.iter().zip(&table.last).enumerate() {
            if word != last {
                code |= 1 << i;
                self.bodies.extend_from_slice(&word.to_le_bytes());
            }
        }
        self.codes.push(code);
        (*known, table.last) = (row, row);
    }

    /// Adds a later slot of the record.
    pub fn add_body(&mut self, slot: &[u8]) {
        self.bodies.extend_from_slice(slot);
    }

    /// Puts down all that was added, and begins anew: a block is complete in itself.
    pub fn put(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.codes.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.codes);
        self.names.put(out);
        out.extend_from_slice(&self.bodies);
        *self.table = Table::new();
        self.codes.clear();
        self.bodies.clear();
    }
}

/// Told rows, as they were.
pub struct Told<'a> {
    table: Box<Table>,
    names: [&'a [u8]; 8],
    codes: &'a [u8],
    at: usize,
    bodies: &'a [u8],
}

impl<'a> Told<'a> {
    /// What [`Rows::put`] has put down, and whatever is behind it.
    pub fn read(told: &'a [u8]) -> Option<Told<'a>> {
        let (count, left) = told.split_first_chunk::<4>()?;
        let count = u32::from_le_bytes(*count) as usize;
        let (codes, mut left) = left.split_at_checked(count)?;
        let names = planes::take(count, &mut left)?;
        Some(Told { table: Box::new(Table::new()), names, codes, at: 0, bodies: left })
    }

    /// The first slot of the next record, behind a call.
    pub fn next(&mut self, before: [u64; 2]) -> Option<Words> {
        let code = *self.codes.get(self.at)?;
        let row = if code & NEW == 0 {
            *self.table.rows.get(usize::from(code))?
        } else {
            for (i, word) in self.table.last.iter_mut().enumerate() {
                if code >> i & 1 != 0 {
                    let (bytes, left) = self.bodies.split_first_chunk::<8>()?;
                    (*word, self.bodies) = (u64::from_le_bytes(*bytes), left);
                }
            }
            let row = self.table.last;
            *self.table.rows.get_mut(Table::place(&row))? = row;
            row
        };
        let name =
            self.names.iter().enumerate().fold(0, |name, (byte, plane)| {
                name | u64::from(plane.get(self.at).copied().unwrap_or(0)) << (byte * 8)
            });
        self.at += 1;
        let mut now = Words::default();
        now[0] = row[0] & LOWER | (name ^ before[0]) & !LOWER;
        now[1] = row[0] & !LOWER | u64::from((name as u32).wrapping_add(before[1] as u32));
        now[2..].copy_from_slice(&row[1..]);
        Some(now)
    }

    /// A number of slots behind it.
    pub fn body(&mut self, slots: usize) -> Option<&'a [u8]> {
        let (body, left) = self.bodies.split_at_checked(slots.checked_mul(SLOT_BYTES)?)?;
        self.bodies = left;
        Some(body)
    }

    /// What is behind all rows.
    pub fn rest(self) -> &'a [u8] {
        self.bodies
    }
}
