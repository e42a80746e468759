//! Functions of libm that are linked into the tool: those that the crates it uses ask for, and no run calls. To load libm
//! for them takes 55 µs of every start, a sixth of what an empty program takes.
//!
//! The linker takes these definitions where it would have looked into libm. `tests/elf.rs` tells when another is needed.

/// log(3): the natural logarithm.
#[unsafe(no_mangle)]
extern "C" fn log(x: f64) -> f64 {
    libm::log(x)
}

/// log10(3): the logarithm to base 10.
#[unsafe(no_mangle)]
extern "C" fn log10(x: f64) -> f64 {
    libm::log10(x)
}

/// pow(3): `x` to the power of `y`.
#[unsafe(no_mangle)]
extern "C" fn pow(x: f64, y: f64) -> f64 {
    libm::pow(x, y)
}
