//! What differs between processors: how the kernel is asked, where a thread's storage is, the clock that is a
//! register, and the rows that are assembly. A file for each processor, and a folder for the functions
//! without a frame, with the same names in both.
//!
//! Nothing else in the shim may ask which processor it runs on; a test keeps it so.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

#[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), target_os = "linux")))]
compile_error!("sockshim's shim runs on Linux on x86-64 and aarch64: src/arch says what another processor needs");

// 64 zero bytes for each thread: see `recorder::thread`.
core::arch::global_asm!(
    ".section .tbss.sockshim_thread,\"awT\",%nobits",
    ".balign 64",
    ".globl sockshim_thread",
    ".hidden sockshim_thread",
    ".type sockshim_thread,%object",
    ".size sockshim_thread,64",
    "sockshim_thread: .zero 64",
    ".text",
);
