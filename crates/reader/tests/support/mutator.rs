//! Changes real files so that what is wrong with them lies deep: behind magic numbers, lengths and
//! checksums that are right.

use sockshim_format::region::{CHUNK_BYTES, Chunk, REGION_MAGIC, SLOT_BYTES};
use sockshim_format::trace::*;

/// Marsaglia's xorshift: enough to stir bytes, and the same every time.
pub struct Mutator(u64);

/// Where the blocks of a trace begin, and their headers; none in a region.
pub fn blocks(bytes: &[u8]) -> Vec<(usize, Block)> {
    let (mut found, mut at) = (Vec::new(), FileHeader::SIZE);
    while let Some(block) = bytes.get(at..).and_then(Block::read) {
        let end = at + Block::SIZE + block.stored_bytes as usize;
        if block.magic == BLOCK_MAGIC && end <= bytes.len() {
            found.push((at, block));
            at = end.next_multiple_of(8);
        } else {
            at += 8;
        }
    }
    found
}

/// Whether packing is what the payload deserves, and then how it looks: always by LZ4 alone, behind no
/// run, no plane of a call and no row, which every payload can be written as.
pub fn packed(payload: &[u8]) -> Option<Vec<u8>> {
    let mut plain = vec![0; 4 + 8 + 4 + 1];
    plain.extend_from_slice(payload);
    let packed = lz4_flex::block::compress(&plain);
    (packed.len() < payload.len()).then_some(packed)
}

/// Adds a block of records with a right header to a trace.
pub fn seal(bytes: &mut Vec<u8>, payload: &[u8], packed: Option<Vec<u8>>) {
    let codec = if packed.is_some() { CODEC_PACKED } else { CODEC_RAW };
    let stored = packed.unwrap_or_else(|| payload.to_vec());
    let header = Block {
        magic: BLOCK_MAGIC,
        kind: BLOCK_RECORDS,
        codec,
        stored_bytes: stored.len() as u32,
        raw_bytes: payload.len() as u32,
        crc32: crc32fast::hash(&stored),
        calls: 0,
        min_ticks: 0,
        max_ticks: 0,
        complete_ticks: 0,
    };
    bytes.extend_from_slice(&header.to_bytes());
    bytes.extend_from_slice(&stored);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
}

impl Mutator {
    /// One for each case.
    pub fn new(case: u64) -> Mutator {
        // The state may never be zero, and neighbours shall differ in many bits.
        Mutator((case + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`; 0 when that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 8) as usize % bound.max(1)
    }

    /// A number that is likely to lie at the edge of something.
    pub fn value(&mut self) -> u64 {
        match self.below(6) {
            0 => 0,
            1 => u64::MAX >> self.below(64),
            2 => 1 << self.below(64),
            3 => self.below(16) as u64,
            4 => self.below(1 << 20) as u64,
            _ => self.next(),
        }
    }

    /// A real file, changed a few times.
    pub fn mutate(&mut self, sources: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = sources[self.below(sources.len())].clone();
        for _ in 0..1 + self.below(4) {
            if bytes.starts_with(&REGION_MAGIC.to_le_bytes()) {
                self.change_region(&mut bytes);
            } else {
                self.change_trace(&mut bytes, sources);
            }
        }
        bytes
    }

    /// Changes some bytes: bits, small numbers, whole fields.
    pub fn stir(&mut self, bytes: &mut [u8]) {
        for _ in 0..1 + self.below(12) {
            let at = self.below(bytes.len());
            let width = 1 << self.below(4);
            let value = self.value().to_le_bytes();
            // Fields lie at multiples of their width.
            let at = at / width * width;
            if let Some(place) = bytes.get_mut(at..at + width) {
                match self.below(3) {
                    0 => place[0] ^= 1 << self.below(8),
                    _ => place.copy_from_slice(&value[..width]),
                }
            }
        }
    }

    /// Overwrites one field of a header that begins at `start`.
    fn field(&mut self, bytes: &mut [u8], start: usize, size: usize) {
        let width = 2 << self.below(3);
        let at = start + self.below(size / width) * width;
        let value = self.value().to_le_bytes();
        if let Some(place) = bytes.get_mut(at..at + width) {
            place.copy_from_slice(&value[..width]);
        }
    }

    fn change_region(&mut self, bytes: &mut Vec<u8>) {
        let chunks = bytes.len() / CHUNK_BYTES;
        let chunk = self.below(chunks) * CHUNK_BYTES;
        match self.below(8) {
            // The first 16 bytes are the door: hostile.rs has what happens there.
            0 => self.field(bytes, 16, 432),
            1 | 2 => self.field(bytes, chunk, Chunk::SIZE),
            3 => bytes.truncate(self.below(bytes.len())),
            4 => {
                // The same chunk twice: two owners that are one.
                let (from, to) = (self.below(chunks) * CHUNK_BYTES, chunk);
                if to + CHUNK_BYTES <= bytes.len() && from + CHUNK_BYTES <= bytes.len() {
                    bytes.copy_within(from..from + CHUNK_BYTES, to);
                }
            }
            _ => {
                let end = (chunk + CHUNK_BYTES).min(bytes.len());
                if let Some(slots) = bytes.get_mut(chunk + SLOT_BYTES..end) {
                    self.stir(slots);
                }
            }
        }
    }

    fn change_trace(&mut self, bytes: &mut Vec<u8>, sources: &[Vec<u8>]) {
        let blocks = blocks(bytes);
        let Some(&(at, block)) = blocks.get(self.below(blocks.len())) else { return self.stir(bytes) };
        let payload = at + Block::SIZE..at + Block::SIZE + block.stored_bytes as usize;
        match self.below(12) {
            0 => self.field(bytes, 16, FileHeader::SIZE - 16),
            1 => self.stir(bytes),
            2 => bytes.truncate(self.below(bytes.len())),
            3 => self.field(bytes, at, Block::SIZE),
            4 => {
                // Part of another file, at a place where a block may begin.
                let other = &sources[self.below(sources.len())];
                let (from, to) = (self.below(other.len()) & !7, self.below(bytes.len()) & !7);
                let part = &other[from..from + self.below(other.len() - from)];
                bytes.splice(to..to, part.iter().copied());
            }
            5 => {
                // A block again, and again.
                let again = bytes[at..payload.end.next_multiple_of(8).min(bytes.len())].to_vec();
                for _ in 0..1 + self.below(8) {
                    bytes.extend_from_slice(&again);
                }
            }
            6 => {
                let end = (at + self.below(4096)).min(bytes.len());
                for byte in &mut bytes[at..end] {
                    *byte = self.next() as u8;
                }
            }
            7 | 8 => self.change_packed(bytes, at, block),
            _ => {
                self.stir(&mut bytes[payload.clone()]);
                let crc32 = crc32fast::hash(&bytes[payload]);
                bytes[at..at + Block::SIZE].copy_from_slice(&Block { crc32, ..block }.to_bytes());
            }
        }
    }

    /// Changes what a packed block holds behind LZ4: counts, bits, planes.
    fn change_packed(&mut self, bytes: &mut Vec<u8>, at: usize, block: Block) {
        let stored = &bytes[at + Block::SIZE..at + Block::SIZE + block.stored_bytes as usize];
        let room = (block.raw_bytes as usize).min(1 << 20) * 2 + 1024;
        let Ok(mut plain) = lz4_flex::block::decompress(stored, room) else { return };
        match self.below(3) {
            // The count of runs, and their heads.
            0 => {
                let front = plain.len().min(4 + 4 * Run::SIZE);
                self.stir(&mut plain[..front]);
            }
            1 => plain.truncate(self.below(plain.len())),
            _ => self.stir(&mut plain),
        }
        let packed = lz4_flex::block::compress(&plain);
        let raw = if self.below(4) == 0 { self.value() as u32 } else { block.raw_bytes };
        bytes.truncate(at);
        seal(bytes, &vec![0; raw.min(1 << 20) as usize], Some(packed));
    }
}
