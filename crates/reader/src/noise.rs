//! Numbers without order, the same in every run, for tests of what must hold for any.

/// Xorshift, of 64 bits (Marsaglia, 2003).
pub fn noise() -> impl FnMut() -> u64 {
    let mut number = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        number ^= number << 13;
        number ^= number >> 7;
        number ^= number << 17;
        number
    }
}
