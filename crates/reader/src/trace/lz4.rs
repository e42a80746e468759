//! LZ4 blocks, unpacked.
//!
//! The planes of packed records are zeros for the greater part: matches that run into their own output, which
//! are copied here in as few pieces as they can be, and not byte by byte.

/// Unpacks a block that stands for `room` bytes at most, in place of what was in `out`; None if it is damaged.
pub fn decompress(packed: &[u8], room: usize, out: &mut Vec<u8>) -> Option<()> {
    out.clear();
    out.reserve_exact(room);
    let mut left = packed;
    loop {
        let (token, rest) = left.split_first()?;
        left = rest;
        let literals = length(token >> 4, &mut left)?;
        let (those, rest) = left.split_at_checked(literals)?;
        if literals > room - out.len() {
            return None;
        }
        out.extend_from_slice(those);
        left = rest;
        // The last sequence has no match.
        if left.is_empty() {
            return Some(());
        }
        let (offset, rest) = left.split_first_chunk::<2>()?;
        left = rest;
        let offset = usize::from(u16::from_le_bytes(*offset));
        let bytes = length(token & 15, &mut left)?.checked_add(4)?;
        if offset == 0 || offset > out.len() || bytes > room - out.len() {
            return None;
        }
        repeat(out, offset, bytes);
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

/// Adds what stands `offset` bytes before the end, and so on until that many bytes are added.
fn repeat(out: &mut Vec<u8>, offset: usize, bytes: usize) {
    if let (1, Some(last)) = (offset, out.last().copied()) {
        return out.resize(out.len() + bytes, last);
    }
    let (from, end) = (out.len() - offset, out.len() + bytes);
    while out.len() < end {
        // Each piece is as long as all that lies there by now.
        let piece = (end - out.len()).min(out.len() - from);
        out.extend_from_within(from..from + piece);
    }
}

#[cfg(test)]
mod tests {
    fn decompress(packed: &[u8], room: usize) -> Option<Vec<u8>> {
        let mut out = vec![1, 2, 3];
        super::decompress(packed, room, &mut out).map(|()| out)
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
