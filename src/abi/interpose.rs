//! The macro behind the rows of the table: the only thing that exports a libc name.

use crate::lifecycle;
use crate::next;
use crate::recorder::{self, MODE, MODE_UNKNOWN};
use core::sync::atomic::Ordering::Relaxed;

/// Whether the call that is just coming in is to be recorded.
#[inline(always)]
pub fn recording() -> bool {
    if MODE.load(Relaxed) == MODE_UNKNOWN {
        if !next::relocated() {
            return false;
        }
        lifecycle::begin();
    }
    recorder::gate()
}

/// The arguments of a call as words, whatever their types.
macro_rules! words {
    ($($arg:ident),*) => {{
        let mut words = [0usize; 8];
        words.iter_mut().zip([$($arg as usize),*]).for_each(|(word, argument)| *word = argument);
        words
    }};
}

/// Passes a call on that is not recorded: to what its row has behind `else`, or straight to the next
/// definition.
macro_rules! unrecorded {
    (; $next:ident $(, $arg:ident)*) => { $next($($arg),*) };
    ($unrecorded:path; $($next_and_arg:ident),*) => { $unrecorded($($next_and_arg),*) };
}

/// Whether the call is about a descriptor that is known to be no socket.
macro_rules! names_other {
    () => {
        false
    };
    ($fd:ident) => {
        crate::recorder::descriptors::is_other($fd)
    };
}

/// Declares the interposed functions. A row: operation, `libc` where the libc crate knows the
/// prototype (the compiler then compares), the prototype as the manual page has it, the hook; behind `if`,
/// the descriptor without which the call is none of ours, so that one which is known to be no socket is
/// passed on at once; and, behind `else`, what stands between the caller and the next definition even when
/// the call is not recorded.
///
/// What happens all the time is a few loads and a jump. Everything else is in a function of its own:
/// were it called from the middle, the arguments would be saved for it each time.
///
/// Outside of tests the function is exported under its own name. In tests it is not: an export in a
/// test binary would interpose the test harness.
macro_rules! interpose {
    ($($op:ident $($libc:ident)? => fn $name:ident($($arg:ident: $type:ty),* $(,)?) -> $ret:ty
        => $hook:path $(, if $fd:ident)? $(, else $unrecorded:path)?;)*) => {
        /// Where the next definitions are kept.
        #[allow(non_upper_case_globals, missing_docs)]
        pub mod slots {
            use crate::next::{Slot, name};
            use sockshim_format::op::Op;
            $(pub static $op: Slot = Slot::new(Op::$op, name(concat!(stringify!($name), "\0")));)*
        }

        #[allow(dead_code)]
        mod prototypes {
            use super::*;
            $(pub type $op = unsafe extern "C" fn($($type),*) -> $ret;)*
        }
        $($(
            #[allow(clippy::disallowed_methods)]
            const _: prototypes::$op = $libc::$name;
        )?)*

        $(
            #[doc = concat!("Stands in front of `", stringify!($name), "`.")]
            ///
            /// # Safety
            /// As the function that it stands in front of.
            #[cfg_attr(not(test), unsafe(no_mangle))]
            #[allow(unreachable_code, clippy::diverging_sub_expression)] // for the functions that never return
            pub unsafe extern "C-unwind" fn $name($($arg: $type),*) -> $ret {
                #[cold]
                unsafe extern "C-unwind" fn faulty(
                    a: usize, b: usize, c: usize, d: usize, e: usize, f: usize, g: usize, h: usize,
                ) -> usize {
                    let words = [a, b, c, d, e, f, g, h];
                    // SAFETY: the hook's own arguments, for the next definition of this name.
                    unsafe { crate::inject::around(sockshim_format::op::Op::$op, slots::$op.get(), words) }
                }
                #[cold]
                #[inline(never)]
                unsafe extern "C-unwind" fn rarely($($arg: $type),*) -> $ret {
                    let next: unsafe extern "C-unwind" fn($($type),*) -> $ret =
                        // SAFETY: the slot holds the next definition of this name, whose prototype this row repeats.
                        unsafe { core::mem::transmute(slots::$op.get()) };
                    if !crate::abi::interpose::recording() {
                        // SAFETY: the caller's own arguments, unchanged.
                        return unsafe { unrecorded!($($unrecorded)?; next $(, $arg)*) };
                    }
                    let mut row = crate::recorder::call::Row::of(sockshim_format::op::Op::$op);
                    row.left_out = crate::filter::is_there() && crate::filter::leaves_out(row.op, &words!($($arg),*));
                    // What is not recorded is not made to fail.
                    if !row.left_out && crate::inject::concerns(row.op) {
                        let next: unsafe extern "C-unwind" fn($($type),*) -> $ret =
                            // SAFETY: it takes every register that arguments come in, and returns in the one that
                            // results of all rows are returned in.
                            unsafe { core::mem::transmute(faulty as *const ()) };
                        // SAFETY: as below.
                        return unsafe {
                            crate::recorder::verdict::expecting(|| $hook(row, next, $($arg),*))
                        };
                    }
                    // SAFETY: as above, and `recording` has settled the thread's state.
                    unsafe { $hook(row, next, $($arg),*) }
                }
                let address = slots::$op.peek();
                if address != 0 {
                    let next: unsafe extern "C-unwind" fn($($type),*) -> $ret =
                        // SAFETY: as in `rarely`.
                        unsafe { core::mem::transmute(address) };
                    if names_other!($($fd)?) {
                        // SAFETY: the caller's own arguments, unchanged.
                        return unsafe { next($($arg),*) };
                    }
                    if crate::recorder::is_plain() {
                        // SAFETY: the caller's own arguments, and the thread's state is settled.
                        return unsafe {
                            $hook(crate::recorder::call::Row::plain(sockshim_format::op::Op::$op), next, $($arg),*)
                        };
                    }
                    if crate::recorder::is_off() {
                        // SAFETY: the caller's own arguments, unchanged.
                        return unsafe { unrecorded!($($unrecorded)?; next $(, $arg)*) };
                    }
                }
                // A plain call would look the address up in a table, which is not there before we are relocated.
                let rarely: unsafe extern "C-unwind" fn($($type),*) -> $ret =
                    // SAFETY: the address is that of the function, whose prototype is this row's.
                    unsafe { core::mem::transmute(crate::next::address!(rarely)) };
                // SAFETY: the caller's own arguments, unchanged.
                unsafe { rarely($($arg),*) }
            }
        )*

        /// The operations that have a row here.
        #[cfg(test)]
        pub const ROWS: &[sockshim_format::op::Op] = &[$(sockshim_format::op::Op::$op),*];

        #[cfg(test)]
        pub const SLOTS: &[&crate::next::Slot] = &[$(&slots::$op),*];

        /// Looks every name up.
        pub fn resolve_all(behind: &crate::next::Behind) {
            $(slots::$op.resolve_in(behind);)*
        }
    };
}
