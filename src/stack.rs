//! Memory on the stack, of a size that is known only at run time: what C has as a variable length array.
//!
//! For the arrays of `exec` and its kind, where nothing may be allocated: a vfork child shares its parent's
//! heap, and what it mapped would stay mapped there for ever.

use crate::arch::make_room;
use core::ffi::c_void;

/// Runs `body` on so many bytes, aligned to 16, which are given back when it returns. Not zeroed.
///
/// # Safety
/// `body` writes no further than `bytes`.
pub unsafe fn with<F: Fn(*mut u8) -> usize>(bytes: usize, body: &F) -> usize {
    unsafe extern "C-unwind" fn run<F: Fn(*mut u8) -> usize>(memory: *mut u8, body: *const c_void) -> usize {
        // SAFETY: `body` below, which outlives the call.
        unsafe { (*body.cast::<F>())(memory) }
    }
    // SAFETY: the caller's promise; `run` takes what `below` hands on.
    unsafe { below(bytes, run::<F>, (&raw const *body).cast()) }
}

type Run = unsafe extern "C-unwind" fn(*mut u8, *const c_void) -> usize;

/// Calls `run(room, body)`.
#[unsafe(naked)]
unsafe extern "C-unwind" fn below(bytes: usize, run: Run, body: *const c_void) -> usize {
    make_room!()
}

#[cfg(test)]
mod tests {
    #[test]
    fn memory_is_aligned_and_ours() {
        for bytes in [0, 1, 16, 4095, 4096, 4097, 100_000] {
            let body = |memory: *mut u8| {
                assert_eq!(memory as usize % 16, 0);
                // SAFETY: so many bytes were asked for.
                unsafe { memory.write_bytes(7, bytes) };
                bytes + 1
            };
            // SAFETY: the body writes what it asked for.
            assert_eq!(unsafe { super::with(bytes, &body) }, bytes + 1);
        }
    }
}
