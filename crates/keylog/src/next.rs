//! Where the real functions of OpenSSL are.
//!
//! `dlsym(RTLD_NEXT)` is not enough: Python opens its `_ssl` module for itself alone, and libssl with it. Our
//! functions, being global, are found first there too, but a search that begins behind us finds none. So the
//! object that calls us is asked, which also tells the right one of two versions of OpenSSL.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicPtr, Ordering::*};

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dladdr(address: *const c_void, info: *mut libc::Dl_info) -> c_int;
}

/// dlfcn.h: the definition after the caller's own object.
const RTLD_NEXT: *mut c_void = -1isize as *mut c_void;
/// Under which names libssl may have been loaded by others than who calls us.
const NAMES: [&CStr; 2] = [c"libssl.so.3", c"libssl.so.1.1"];

/// The object in which something was found last: asked when libssl itself calls us, by way of ours.
static LAST: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());

/// The object that an address lies in: its base, and its file.
fn object(address: *const c_void) -> Option<(*mut c_void, *const c_char)> {
    // SAFETY: all zeros is a valid Dl_info.
    let mut info: libc::Dl_info = unsafe { core::mem::zeroed() };
    // SAFETY: `info` is ours; the address is only compared.
    let found = unsafe { dladdr(address, &mut info) } != 0;
    (found && !info.dli_fname.is_null()).then_some((info.dli_fbase, info.dli_fname))
}

fn is_ours(address: *const c_void) -> bool {
    let base = |address| object(address).map(|(base, _)| base);
    base(address) == base(is_ours as *const c_void)
}

/// A library, if it is loaded. Never closed: what is found in it is remembered.
fn loaded(file: *const c_char) -> *mut c_void {
    type Open = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;
    // SAFETY: the dlopen behind us, which is libc's and not the shim's: this is no call of the program's. dlopen
    // has that prototype, and `file` is a string.
    unsafe {
        let open = dlsym(RTLD_NEXT, c"dlopen".as_ptr());
        if open.is_null() {
            return open;
        }
        core::mem::transmute::<*mut c_void, Open>(open)(file, libc::RTLD_LAZY | libc::RTLD_NOLOAD)
    }
}

/// A function of the OpenSSL that `caller` uses. Never one of ours: libssl's `SSL_CTX_new` goes on to
/// `SSL_CTX_new_ex` by a jump, and then it looks as if we had called ourselves.
pub fn find(caller: *const c_void, name: &CStr) -> Option<*mut c_void> {
    let within = |handle: *mut c_void| {
        // SAFETY: a handle that dlopen gave, or RTLD_NEXT, and a string.
        let found = unsafe { dlsym(handle, name.as_ptr()) };
        (!found.is_null() && !is_ours(found)).then_some(found)
    };
    let within_loaded = |handle: *mut c_void| {
        let found = if handle.is_null() { None } else { within(handle) };
        found.inspect(|_| LAST.store(handle, Release))
    };
    let of_caller = || {
        let (_, file) = object(caller).filter(|_| !is_ours(caller))?;
        within_loaded(loaded(file))
    };
    of_caller()
        .or_else(|| within(RTLD_NEXT))
        .or_else(|| within_loaded(LAST.load(Acquire)))
        .or_else(|| NAMES.iter().find_map(|name| within_loaded(loaded(name.as_ptr()))))
}
