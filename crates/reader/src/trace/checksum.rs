//! The sum that a block is checked by: CRC-32 (ISO 3309, as in gzip).

/// Most runs of small programs write no block that is longer.
const FEW_BYTES: usize = 256;

/// Before its first sum crc32fast asks the processor which instructions it has, and on a virtual machine the hypervisor
/// answers each question: 86 µs of a run, where few bytes are summed bit by bit in one or two.
pub fn crc32(bytes: &[u8]) -> u32 {
    if bytes.len() <= FEW_BYTES { of_few(bytes) } else { crc32fast::hash(bytes) }
}

fn of_few(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let shift = |sum: u32, _| (sum >> 1) ^ (POLYNOMIAL & (sum & 1).wrapping_neg());
    !bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_bytes_are_summed_alike() {
        // The check value of the standard's catalogue.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let bytes: Vec<u8> = (0..2 * FEW_BYTES as u32).map(|i| ((i * i) >> 3) as u8).collect();
        for len in 0..bytes.len() {
            assert_eq!(crc32(&bytes[..len]), crc32fast::hash(&bytes[..len]), "{len} bytes");
        }
    }
}
