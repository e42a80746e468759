//! LZ4 blocks, unpacked.
//!
//! The planes of packed records are zeros for the greater part: matches that run into their own output, which
//! are copied here in as few pieces as they can be, and not byte by byte.

/// How many bytes one packed byte stands for at most: each byte of a match's length counts 255.
pub const MOST_PACKED: usize = 255;

/// What is short is copied as so many bytes: that takes no longer than to look how short it is.
const PIECE: usize = 32;

/// Unpacks a block that stands for `room` bytes at most, and gives what it stands for; None if it is damaged. `out` is
/// room that can be used again.
pub fn decompress<'a>(packed: &[u8], room: usize, out: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let room = room.min(packed.len().saturating_mul(MOST_PACKED));
    // Behind the end there is room for a piece. What was there before is written over.
    if out.len() < room + PIECE {
        out.resize(room + PIECE, 0);
    }
    let (mut at, mut left) = (0, packed);
    loop {
        let (token, rest) = left.split_first()?;
        left = rest;
        let literals = length(token >> 4, &mut left)?;
        if literals > left.len() || literals > room - at {
            return None;
        }
        match left.first_chunk::<PIECE>() {
            Some(piece) if literals <= PIECE => *out.get_mut(at..)?.first_chunk_mut()? = *piece,
            _ => out.get_mut(at..at + literals)?.copy_from_slice(left.get(..literals)?),
        }
        (at, left) = (at + literals, left.get(literals..)?);
        // The last sequence has no match.
        if left.is_empty() {
            return out.get(..at);
        }
        let (offset, rest) = left.split_first_chunk::<2>()?;
        left = rest;
        let offset = usize::from(u16::from_le_bytes(*offset));
        let bytes = length(token & 15, &mut left)?.checked_add(4)?;
        if offset == 0 || offset > at || bytes > room - at {
            return None;
        }
        repeat(out, at, offset, bytes)?;
        at += bytes;
    }
}

/// A length: 15 says that more follows, and so does 255 of that.
fn length(nibble: u8, left: &mut &[u8]) -> Option<usize> {
    let mut length = usize::from(nibble);
    if length == 15 {
        loop {
            let (more, rest) = left.split_first()?;
            *left = rest;
            length = length.checked_add(usize::from(*more))?;
            if *more != 255 {
                break;
            }
        }
    }
    Some(length)
}

/// Puts to `at` what stands `offset` bytes before it, and so on until that many bytes are there.
#[inline]
fn repeat(out: &mut [u8], at: usize, offset: usize, bytes: usize) -> Option<()> {
    let (from, end) = (at - offset, at + bytes);
    if offset == 1 {
        let last = *out.get(from)?;
        out.get_mut(at..end)?.fill(last);
    } else if offset >= PIECE && bytes <= 4 * PIECE {
        let mut done = 0;
        while done < bytes {
            let piece: [u8; PIECE] = *out.get(from + done..)?.first_chunk()?;
            *out.get_mut(at + done..)?.first_chunk_mut()? = piece;
            done += PIECE;
        }
    } else {
        let mut at = at;
        while at < end {
            // Each piece is as long as all that lies there by now.
            let piece = (end - at).min(at - from);
            out.get_mut(..at + piece)?.copy_within(from..from + piece, at);
            at += piece;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    fn decompress(packed: &[u8], room: usize) -> Option<Vec<u8>> {
        let mut out = vec![1, 2, 3];
        super::decompress(packed, room, &mut out).map(<[u8]>::to_vec)
    }

    #[test]
    fn blocks_are_what_they_were() {
        let mut number = crate::noise::noise();
        let mut below = |bound: u64| (number() >> 8) % bound;
        for case in 0..500 {
            let mut bytes = Vec::new();
            for _ in 0..below(40) {
                let (period, count) = (1 + below(9), below(700));
                let pattern: Vec<u8> = (0..period).map(|_| below(256) as u8).collect();
                bytes.extend(pattern.iter().cycle().take(count as usize));
            }
            let packed = lz4_flex::block::compress(&bytes);
            assert_eq!(decompress(&packed, bytes.len()).as_ref(), Some(&bytes), "case {case}");
            assert_eq!(decompress(&packed, bytes.len() + 9).as_ref(), Some(&bytes), "case {case}");
            if !bytes.is_empty() {
                assert_eq!(decompress(&packed, bytes.len() - 1), None, "case {case}");
                assert_eq!(decompress(&packed[..packed.len() - 1], bytes.len()), None, "case {case}");
            }
        }
    }

    #[test]
    fn damage_is_told_as_another_reader_tells_it() {
        let text: Vec<u8> = (0..600_u32).map(|i| ((i * i) >> 7) as u8).collect();
        let packed = lz4_flex::block::compress(&text);
        for at in 0..packed.len() {
            for flip in [1, 0x10, 0x55, 0xff] {
                let mut damaged = packed.clone();
                damaged[at] ^= flip;
                let theirs = lz4_flex::block::decompress(&damaged, text.len()).ok();
                assert_eq!(decompress(&damaged, text.len()), theirs, "{flip:x} at {at}");
            }
        }
    }
}
