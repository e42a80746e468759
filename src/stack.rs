//! Memory on the stack, of a size that is known only at run time: what C has as a variable length array.
//!
//! For the arrays of `exec` and its kind, where nothing may be allocated: a vfork child shares its parent's
//! heap, and what it mapped would stay mapped there for ever.

use core::arch::naked_asm;
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

/// Makes room below the caller's frame, page by page so that the guard page is met where there is one,
/// and calls `run(room, body)`.
#[unsafe(naked)]
unsafe extern "C-unwind" fn below(bytes: usize, run: Run, body: *const c_void) -> usize {
    naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "add rdi, 15",
        "and rdi, -16",
        "2:",
        "cmp rdi, 4096",
        "jb 3f",
        "sub rsp, 4096",
        "or qword ptr [rsp], 0",
        "sub rdi, 4096",
        "jmp 2b",
        "3:",
        "sub rsp, rdi",
        "mov rax, rsi",
        "mov rdi, rsp",
        "mov rsi, rdx",
        "call rax",
        "leave",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
    )
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
