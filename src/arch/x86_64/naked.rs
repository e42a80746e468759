//! The bodies of functions that cannot have a frame of the compiler's: see `abi::naked` and `stack`.

/// The body of a function without arguments: calls `$before` and jumps to what it returned, so that only
/// the stack's alignment matters.
macro_rules! jump_after {
    ($before:ident) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "sub rsp, 8",
            ".cfi_adjust_cfa_offset 8",
            "call {before}",
            "add rsp, 8",
            ".cfi_adjust_cfa_offset -8",
            "jmp rax",
            ".cfi_endproc",
            before = sym $before,
        )
    };
}

/// The same with three argument registers, which are kept. r11 is nobody's.
macro_rules! jump_after_with_arguments {
    ($before:ident) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "push rdi", "push rsi", "push rdx",
            ".cfi_adjust_cfa_offset 24",
            "call {before}",
            "mov r11, rax",
            "pop rdx", "pop rsi", "pop rdi",
            ".cfi_adjust_cfa_offset -24",
            "jmp r11",
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
            "sub rsp, 40",
            ".cfi_adjust_cfa_offset 40",
            "mov [rsp], rsi", "mov [rsp + 8], rdx", "mov [rsp + 16], rcx",
            "mov [rsp + 24], r8", "mov [rsp + 32], r9",
            "mov rsi, rsp",
            "lea rdx, [rsp + 48]",
            "call {collect}",
            "add rsp, 40",
            ".cfi_adjust_cfa_offset -40",
            "ret",
            ".cfi_endproc",
            collect = sym $collect,
        )
    };
}

/// The body of a variadic function with two or three named arguments: hands them and a va_list to
/// `$collected` (System V ABI, 3.5.7). 24 bytes of va_list at rsp, then the register save area of 176 bytes
/// at rsp + 32.
macro_rules! collect_variable {
    ($collected:ident, 2) => {
        $crate::arch::collect_variable!($collected, "16", "rdx")
    };
    ($collected:ident, 3) => {
        $crate::arch::collect_variable!($collected, "24", "rcx")
    };
    // The offset in the area of the first register that is a variable argument, and the register that
    // passes the va_list on.
    ($collected:ident, $gp:literal, $into:literal) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "sub rsp, 216",
            ".cfi_adjust_cfa_offset 216",
            "mov [rsp + 48], rdx", "mov [rsp + 56], rcx", "mov [rsp + 64], r8", "mov [rsp + 72], r9",
            "test al, al",
            "je 2f",
            "movaps [rsp + 80], xmm0", "movaps [rsp + 96], xmm1", "movaps [rsp + 112], xmm2",
            "movaps [rsp + 128], xmm3", "movaps [rsp + 144], xmm4", "movaps [rsp + 160], xmm5",
            "movaps [rsp + 176], xmm6", "movaps [rsp + 192], xmm7",
            "2:",
            concat!("mov dword ptr [rsp], ", $gp),
            "mov dword ptr [rsp + 4], 48",
            "lea rax, [rsp + 224]",
            "mov [rsp + 8], rax",
            "lea rax, [rsp + 32]",
            "mov [rsp + 16], rax",
            concat!("mov ", $into, ", rsp"),
            "call {collected}",
            "add rsp, 216",
            ".cfi_adjust_cfa_offset -216",
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
    };
}

pub(crate) use {collect_pointers, collect_variable, jump_after, jump_after_with_arguments, make_room};
