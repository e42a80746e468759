//! The bodies of functions that cannot have a frame of the compiler's: see `abi::naked` and `stack`.

/// Makes a frame of so many bytes, with the return address in it.
macro_rules! enter {
    ($bytes:literal) => {
        concat!(
            "stp x29, x30, [sp, #-",
            $bytes,
            "]!\n",
            ".cfi_adjust_cfa_offset ",
            $bytes,
            "\n",
            ".cfi_rel_offset x29, 0\n",
            ".cfi_rel_offset x30, 8",
        )
    };
}

/// Undoes what `enter` did.
macro_rules! leave {
    ($bytes:literal) => {
        concat!(
            "ldp x29, x30, [sp], #",
            $bytes,
            "\n",
            ".cfi_adjust_cfa_offset -",
            $bytes,
            "\n",
            ".cfi_restore x29\n",
            ".cfi_restore x30",
        )
    };
}

/// The body of a function without arguments: calls `$before` and jumps to what it returned, with the return
/// address as it was.
macro_rules! jump_after {
    ($before:ident) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            $crate::arch::enter!("16"),
            "bl {before}",
            "mov x16, x0",
            $crate::arch::leave!("16"),
            "br x16",
            ".cfi_endproc",
            before = sym $before,
        )
    };
}

/// The same with three argument registers, which are kept. x16 is nobody's.
macro_rules! jump_after_with_arguments {
    ($before:ident) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            $crate::arch::enter!("48"),
            "stp x0, x1, [sp, #16]",
            "str x2, [sp, #32]",
            "bl {before}",
            "mov x16, x0",
            "ldr x2, [sp, #32]",
            "ldp x0, x1, [sp, #16]",
            $crate::arch::leave!("48"),
            "br x16",
            ".cfi_endproc",
            before = sym $before,
        )
    };
}

/// The body of a variadic function whose variable arguments are pointers: hands its named argument, the
/// variable ones of the registers, and those of the caller's stack to `$collect`.
macro_rules! collect_pointers {
    ($collect:ident) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            $crate::arch::enter!("80"),
            "stp x1, x2, [sp, #16]",
            "stp x3, x4, [sp, #32]",
            "stp x5, x6, [sp, #48]",
            "str x7, [sp, #64]",
            "add x1, sp, #16",
            "add x2, sp, #80",
            "bl {collect}",
            $crate::arch::leave!("80"),
            "ret",
            ".cfi_endproc",
            collect = sym $collect,
        )
    };
}

/// The body of a variadic function with two or three named arguments: hands them and a va_list to
/// `$collected` (AAPCS64, appendix B). The va_list is 32 bytes at sp + 16, then come the eight general
/// registers and at sp + 112 the eight of vectors.
macro_rules! collect_variable {
    ($collected:ident, 2) => {
        $crate::arch::collect_variable!($collected, "-48", "x2")
    };
    ($collected:ident, 3) => {
        $crate::arch::collect_variable!($collected, "-40", "x3")
    };
    // Minus the bytes of the general registers that are variable arguments, and the register that passes
    // the va_list on.
    ($collected:ident, $gr:literal, $into:literal) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            $crate::arch::enter!("240"),
            "stp x2, x3, [sp, #64]",
            "stp x4, x5, [sp, #80]",
            "stp x6, x7, [sp, #96]",
            "stp q0, q1, [sp, #112]",
            "stp q2, q3, [sp, #144]",
            "stp q4, q5, [sp, #176]",
            "stp q6, q7, [sp, #208]",
            "add x9, sp, #240",   // the arguments on the stack, and the end of the vectors
            "add x10, sp, #112",  // the end of the general registers
            "stp x9, x10, [sp, #16]",
            "str x9, [sp, #32]",
            concat!("mov w9, #", $gr),
            "mov w10, #-128",
            "stp w9, w10, [sp, #40]",
            concat!("add ", $into, ", sp, #16"),
            "bl {collected}",
            $crate::arch::leave!("240"),
            "ret",
            ".cfi_endproc",
            collected = sym $collected,
        )
    };
}

/// The body of `fn(bytes, run, body)`: makes room below the caller's frame, page by page so that the guard
/// page is met where there is one, and calls `run(room, body)`.
macro_rules! make_room {
    () => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            $crate::arch::enter!("16"),
            "mov x29, sp",
            ".cfi_def_cfa_register x29",
            "add x0, x0, #15",
            "and x0, x0, #-16",
            "2:",
            "cmp x0, #4096",
            "b.lo 3f",
            "sub sp, sp, #4096",
            "str xzr, [sp]",
            "sub x0, x0, #4096",
            "b 2b",
            "3:",
            "sub sp, sp, x0",
            "mov x3, x1",
            "mov x0, sp",
            "mov x1, x2",
            "blr x3",
            "mov sp, x29",
            "ldp x29, x30, [sp], #16",
            ".cfi_def_cfa sp, 0",
            ".cfi_restore x29",
            ".cfi_restore x30",
            "ret",
            ".cfi_endproc",
        )
    };
}

pub(crate) use {collect_pointers, collect_variable, enter, jump_after, jump_after_with_arguments, leave, make_room};
