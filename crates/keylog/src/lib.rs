//! Collects session keys inside programs that use OpenSSL: `sockshim run --tls-keys` preloads it behind the
//! shim, of which it is no part. Programs that are not asked for keys never load it.
//!
//! OpenSSL hands its key log, line by line, to a callback that belongs to a context (`SSL_CTX`). So every
//! context that is made gets one of ours. The program may set its own: ours calls it after each line, and the
//! program, when it asks, is told of its own alone.
//!
//! The shim's rules hold here too (src/lib.rs there): no allocation, no lock of ours, no stdio, no descriptor
//! kept, nothing that can panic. What goes wrong means that there are no keys; the program runs on.
#![cfg_attr(not(test), no_std)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

// Linked for its unwinder and its panic handler, which the linker then throws away: nothing here can panic.
#[cfg(not(test))]
extern crate std as _;

mod next;
mod ring;

use core::arch::naked_asm;
use core::ffi::{CStr, c_char, c_int, c_long, c_void};
use core::mem::transmute;
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering::*};
use sockshim_format::keys::VARIABLE;

type Pointer = *mut c_void;
type Callback = unsafe extern "C-unwind" fn(ssl: Pointer, line: *const c_char);
type Set = unsafe extern "C-unwind" fn(context: Pointer, callback: Pointer);
type Get = unsafe extern "C-unwind" fn(context: Pointer) -> Pointer;
type ContextOf = unsafe extern "C" fn(ssl: Pointer) -> Pointer;
type GetData = unsafe extern "C" fn(context: Pointer, index: c_int) -> Pointer;
type SetData = unsafe extern "C" fn(context: Pointer, index: c_int, data: Pointer) -> c_int;
type NewIndex =
    unsafe extern "C" fn(class: c_int, c_long, argument: Pointer, new: Pointer, dup: Pointer, free: Pointer) -> c_int;

/// crypto.h: data of contexts.
const CRYPTO_EX_INDEX_SSL_CTX: c_int = 1;
const NONE: c_int = -1;

/// The functions of an OpenSSL that this process has loaded, 0 before they are known, and under which index its
/// contexts keep the program's callback.
struct Library {
    set: AtomicUsize,
    context_of: AtomicUsize,
    get_data: AtomicUsize,
    set_data: AtomicUsize,
    index: AtomicI32,
}

/// Each has a callback of its own, which thereby knows whose functions to call. Few programs have two.
static LIBRARIES: [Library; 2] = [const { Library::unknown() }; 2];
const CALLBACKS: [Callback; 2] = [line::<0>, line::<1>];

impl Library {
    const fn unknown() -> Library {
        let [set, context_of, get_data, set_data] = [const { AtomicUsize::new(0) }; 4];
        Library { set, context_of, get_data, set_data, index: AtomicI32::new(NONE) }
    }

    /// The one that `caller` uses, with our callback for it. None where it lacks a function: OpenSSL before
    /// 1.1.1, or another library with the same names.
    fn of(caller: *const c_void) -> Option<(&'static Library, Callback)> {
        let find = |name| next::find(caller, name).map(|found| found as usize);
        let set = find(c"SSL_CTX_set_keylog_callback")?;
        let (context_of, get_data) = (find(c"SSL_get_SSL_CTX")?, find(c"SSL_CTX_get_ex_data")?);
        let (set_data, new_index) = (find(c"SSL_CTX_set_ex_data")?, find(c"CRYPTO_get_ex_new_index")?);
        let is_it = |known: &Library| {
            known.set.load(Acquire) == set || known.set.compare_exchange(0, set, AcqRel, Acquire) == Ok(0)
        };
        let (library, callback) = LIBRARIES.iter().zip(CALLBACKS).find(|(library, _)| is_it(library))?;
        // Several threads may be here at once: they store the same, but for the index, of which the first counts.
        library.context_of.store(context_of, Release);
        library.get_data.store(get_data, Release);
        library.set_data.store(set_data, Release);
        if library.index.load(Acquire) == NONE {
            let none = core::ptr::null_mut();
            // SAFETY: CRYPTO_get_ex_new_index(3) has this prototype; nothing is to be done for the data.
            let index =
                unsafe { transmute::<usize, NewIndex>(new_index)(CRYPTO_EX_INDEX_SSL_CTX, 0, none, none, none, none) };
            let _ = library.index.compare_exchange(NONE, index, AcqRel, Acquire);
        }
        (library.index.load(Acquire) != NONE).then_some((library, callback))
    }

    /// The callback that the program has set for a context; null if none.
    unsafe fn theirs(&self, context: Pointer) -> Pointer {
        // SAFETY: `of` has stored the function of that name; the context is alive, as our caller's is.
        unsafe { transmute::<usize, GetData>(self.get_data.load(Acquire))(context, self.index.load(Acquire)) }
    }
}

/// What OpenSSL calls with each line: hands it to the tool, then to the program.
unsafe extern "C-unwind" fn line<const LIBRARY: usize>(ssl: Pointer, line: *const c_char) {
    // SAFETY: OpenSSL's promise to a keylog callback: a connection that is alive, and a string. It was set by
    // `context_made`, behind `of`, which has stored the functions. What the program has set is a Callback.
    unsafe {
        ring::write(line);
        let Some(library) = LIBRARIES.get(LIBRARY) else { return };
        let context = transmute::<usize, ContextOf>(library.context_of.load(Acquire))(ssl);
        let theirs = library.theirs(context);
        if !theirs.is_null() {
            transmute::<Pointer, Callback>(theirs)(ssl, line);
        }
    }
}

/// A context has been made, of which the program has no pointer yet.
unsafe fn context_made(context: Pointer, caller: *const c_void) -> Pointer {
    if !context.is_null()
        && ring::is_mapped()
        && let Some((library, callback)) = Library::of(caller)
    {
        // SAFETY: `of` has found the function of that name.
        unsafe { transmute::<usize, Set>(library.set.load(Acquire))(context, callback as Pointer) };
    }
    context
}

unsafe extern "C-unwind" fn context_new(method: Pointer, caller: *const c_void) -> Pointer {
    type New = unsafe extern "C-unwind" fn(Pointer) -> Pointer;
    let Some(new) = next::find(caller, c"SSL_CTX_new") else { return core::ptr::null_mut() };
    // SAFETY: SSL_CTX_new(3) has this prototype.
    unsafe { context_made(transmute::<Pointer, New>(new)(method), caller) }
}

unsafe extern "C-unwind" fn context_new_ex(
    library: Pointer,
    properties: *const c_char,
    method: Pointer,
    caller: *const c_void,
) -> Pointer {
    type New = unsafe extern "C-unwind" fn(Pointer, *const c_char, Pointer) -> Pointer;
    let Some(new) = next::find(caller, c"SSL_CTX_new_ex") else { return core::ptr::null_mut() };
    // SAFETY: SSL_CTX_new_ex(3) has this prototype.
    unsafe { context_made(transmute::<Pointer, New>(new)(library, properties, method), caller) }
}

unsafe extern "C-unwind" fn set_callback(context: Pointer, callback: Pointer, caller: *const c_void) {
    // SAFETY: SSL_CTX_set_keylog_callback(3) and SSL_CTX_set_ex_data(3) have these prototypes.
    unsafe {
        if ring::is_mapped()
            && let Some((library, ours)) = Library::of(caller)
        {
            let set_data = transmute::<usize, SetData>(library.set_data.load(Acquire));
            if set_data(context, library.index.load(Acquire), callback) == 1 {
                transmute::<usize, Set>(library.set.load(Acquire))(context, ours as Pointer);
                return;
            }
        }
        if let Some(set) = next::find(caller, c"SSL_CTX_set_keylog_callback") {
            transmute::<Pointer, Set>(set)(context, callback);
        }
    }
}

unsafe extern "C-unwind" fn get_callback(context: Pointer, caller: *const c_void) -> Pointer {
    let Some(get) = next::find(caller, c"SSL_CTX_get_keylog_callback") else { return core::ptr::null_mut() };
    // SAFETY: SSL_CTX_get_keylog_callback(3) has this prototype.
    unsafe {
        let set = transmute::<Pointer, Get>(get)(context);
        match Library::of(caller) {
            Some((library, ours)) if set == ours as Pointer => library.theirs(context),
            _ => set,
        }
    }
}

/// A function of OpenSSL's, which goes on in one of ours with one argument more: the return address, by which
/// that one knows who calls.
macro_rules! interpose {
    ($($name:ident $register:literal $ours:ident;)*) => {$(
        #[allow(non_snake_case, missing_docs)]
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub extern "C-unwind" fn $name() {
            naked_asm!(concat!("mov ", $register, ", qword ptr [rsp]"), "jmp {}", sym $ours)
        }
    )*};
}
interpose! {
    SSL_CTX_new "rsi" context_new;
    SSL_CTX_new_ex "rcx" context_new_ex;
    SSL_CTX_set_keylog_callback "rdx" set_callback;
    SSL_CTX_get_keylog_callback "rsi" get_callback;
}

/// The constructor: finds the file that the tool has made, before the program runs. A program with more
/// privilege than its user gets no answer from `secure_getenv`, and so collects nothing.
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCT: extern "C" fn() = {
    extern "C" fn construct() {
        unsafe extern "C" {
            fn secure_getenv(name: *const c_char) -> *const c_char;
        }
        const NAME: [u8; VARIABLE.len() + 1] = {
            let mut name = [0; VARIABLE.len() + 1];
            name.split_at_mut(VARIABLE.len()).0.copy_from_slice(VARIABLE.as_bytes());
            name
        };
        // SAFETY: NAME ends with a zero; what comes back is null or a string of the environment's.
        unsafe {
            let path = secure_getenv(NAME.as_ptr().cast());
            if !path.is_null() {
                ring::map(CStr::from_ptr(path));
            }
        }
    }
    construct
};
