//! Numbers as planes: the first bytes of all of them, then the second bytes, and so on.

/// Numbers that are turned into planes at a time: few enough for the fastest cache.
const TILE: usize = 64;

/// Columns of numbers, told as planes. Of a plane that is zeros nothing is kept.
pub struct Planes<const COLUMNS: usize> {
    planes: [[Vec<u8>; 8]; COLUMNS],
    /// Numbers of a column that are in the planes; one that ends sooner ends in zeros.
    count: usize,
    /// The numbers behind those.
    tile: [[[u8; 8]; TILE]; COLUMNS],
    filled: usize,
}

impl<const COLUMNS: usize> Default for Planes<COLUMNS> {
    fn default() -> Self {
        let planes = std::array::from_fn(|_| Default::default());
        Planes { planes, count: 0, tile: [[[0; 8]; TILE]; COLUMNS], filled: 0 }
    }
}

impl<const COLUMNS: usize> Planes<COLUMNS> {
    /// Adds a number to each column.
    #[inline]
    pub fn add(&mut self, numbers: [u64; COLUMNS]) {
        for (column, number) in self.tile.iter_mut().zip(numbers) {
            column[self.filled % TILE] = number.to_le_bytes();
        }
        self.filled += 1;
        if self.filled == TILE {
            self.turn();
        }
    }

    /// Turns what was added into planes.
    #[inline(never)]
    fn turn(&mut self) {
        for (column, planes) in self.tile.iter().zip(&mut self.planes) {
            let column = column.get(..self.filled).unwrap_or(column);
            let all = column.iter().fold(0, |all, number| all | u64::from_ne_bytes(*number)).to_ne_bytes();
            for (byte, (plane, all)) in planes.iter_mut().zip(all).enumerate() {
                if all != 0 {
                    plane.resize(self.count, 0);
                    plane.extend(column.iter().map(|number| number[byte]));
                }
            }
        }
        (self.count, self.filled) = (self.count + self.filled, 0);
    }

    /// Puts the columns down, one after the other: which of the eight planes there are, a bit each, and those. Then
    /// there is nothing in them any more.
    pub fn put(&mut self, out: &mut Vec<u8>) {
        self.turn();
        for planes in &mut self.planes {
            let there = planes.iter().enumerate().map(|(byte, plane)| u8::from(!plane.is_empty()) << byte);
            out.push(there.sum());
            for plane in planes.iter_mut().filter(|plane| !plane.is_empty()) {
                out.extend_from_slice(plane);
                out.resize(out.len() + self.count - plane.len(), 0);
                plane.clear();
            }
        }
        self.count = 0;
    }
}

/// Takes a column of so many numbers off what [`Planes::put`] has put down: a plane that is not there is empty.
pub fn take<'a>(count: usize, left: &mut &'a [u8]) -> Option<[&'a [u8]; 8]> {
    let (there, behind) = left.split_first()?;
    *left = behind;
    let mut planes: [&[u8]; 8] = [&[]; 8];
    for (byte, place) in planes.iter_mut().enumerate() {
        if there >> byte & 1 != 0 {
            (*place, *left) = left.split_at_checked(count)?;
        }
    }
    Some(planes)
}
