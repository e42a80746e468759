//! The functions that open files. They are called far more often than sockets are made, and are no calls of ours: nothing is
//! recorded. But what they return is a file, and where that is known nobody need ask the kernel what it is when it is read
//! or closed, which took a fiftieth of the speed of a server of small files.
//!
//! What is opened in other ways (`fopen`, `opendir`, `pipe`) is asked about once, as ever.
//!
//! # Safety
//! As the table's: a slot holds the next definition of the name in its row, whose prototype the row repeats.

use crate::next::{Behind, Slot, name};
use crate::recorder::{self, descriptors};
use core::ffi::{c_char, c_int};
use libc::mode_t;

/// Declares them. Two are variadic in C: the mode is passed on as the register that it came in, whatever that holds where
/// there is none (System V ABI, AAPCS64).
macro_rules! openers {
    ($($slot:ident $kind:ident => fn $name:ident($($arg:ident: $type:ty),*);)*) => {
        $(
            static $slot: Slot = Slot::$kind(name(concat!(stringify!($name), "\0")));

            #[doc = concat!("Stands in front of `", stringify!($name), "`.")]
            ///
            /// # Safety
            /// As the function that it stands in front of.
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub unsafe extern "C-unwind" fn $name($($arg: $type),*) -> c_int {
                // SAFETY: the slot holds the next definition of this name; the caller's own arguments, unchanged.
                let fd = unsafe {
                    let next: unsafe extern "C-unwind" fn($($type),*) -> c_int = core::mem::transmute($slot.get());
                    next($($arg),*)
                };
                // Not in a child of vfork, whose descriptors are its own and whose memory is not.
                if recorder::is_plain() {
                    descriptors::opened(fd);
                }
                fd
            }
        )*

        #[cfg(test)]
        pub const SLOTS: &[&Slot] = &[$(&$slot),*];

        /// Looks every name up.
        pub fn resolve_all(behind: &Behind) {
            $($slot.resolve_in(behind);)*
        }
    };
}

#[rustfmt::skip]
openers! {
    OPEN             opens_here => fn open(path: *const c_char, flags: c_int, mode: mode_t);
    OPEN_64          opens_here => fn open64(path: *const c_char, flags: c_int, mode: mode_t);
    OPEN_CHECKED     opens_here => fn __open_2(path: *const c_char, flags: c_int);
    OPEN_64_CHECKED  opens_here => fn __open64_2(path: *const c_char, flags: c_int);
    OPENAT           opens_at => fn openat(folder: c_int, path: *const c_char, flags: c_int, mode: mode_t);
    OPENAT_64        opens_at => fn openat64(folder: c_int, path: *const c_char, flags: c_int, mode: mode_t);
    OPENAT_CHECKED   opens_at => fn __openat_2(folder: c_int, path: *const c_char, flags: c_int);
    OPENAT_64_CHECKED opens_at => fn __openat64_2(folder: c_int, path: *const c_char, flags: c_int);
}
