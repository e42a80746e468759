//! Finds the unwinder's tables, so that the tool starts without `libgcc_s`: to load it takes 110 µs of every start.
//!
//! The static half of libgcc that takes its place (build.rs) asks `_dl_find_object` where they are, if it was built for a
//! glibc that has the function, which is 2.35. The tool wants no newer one than the shim, so it brings its own, which is
//! asked for each frame of a panic or of a backtrace. It is slower, and nobody waits for it.
//!
//! In a build without link-time optimization the linker may take glibc's. And a `libgcc_s` that is loaded later, by a
//! thread that is cancelled, finds ours: it is exported because the dynamic linker has one of that name.

use std::ffi::{c_int, c_ulonglong, c_void};
use std::ptr::null_mut;

/// `struct dl_find_object` of dlfcn.h. libgcc reads `eh_frame` alone.
#[repr(C)]
pub struct Object {
    flags: c_ulonglong,
    map_start: *mut c_void,
    map_end: *mut c_void,
    link_map: *mut c_void,
    eh_frame: *mut c_void,
    reserved: [c_ulonglong; 7],
}

struct Search {
    address: usize,
    found: Option<Object>,
}

/// Describes the segment that `address` lies in, and where the tables of its object are: what libgcc needs of what glibc's
/// tells. 0, or -1 where there are none.
///
/// # Safety
///
/// `found` is a valid place.
#[unsafe(no_mangle)]
unsafe extern "C" fn _dl_find_object(address: *mut c_void, found: *mut Object) -> c_int {
    let mut search = Search { address: address as usize, found: None };
    // SAFETY: the callback is given the search, and nobody else has it.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut search).cast()) };
    let Some(object) = search.found else { return -1 };
    // SAFETY: the caller's promise.
    unsafe { found.write(object) };
    0
}

/// Ends the search with 1 at the object that holds the address.
unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _bytes: usize, search: *mut c_void) -> c_int {
    // SAFETY: dl_iterate_phdr(3) passes a description that holds while we run, and what it was given for us.
    let (info, search) = unsafe { (&*info, &mut *search.cast::<Search>()) };
    // SAFETY: so many headers are there.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let start = |header: &libc::Elf64_Phdr| info.dlpi_addr as usize + header.p_vaddr as usize;
    let holds = |header: &&libc::Elf64_Phdr| {
        header.p_type == libc::PT_LOAD
            && (start(header)..start(header) + header.p_memsz as usize).contains(&search.address)
    };
    let Some(segment) = headers.iter().find(holds) else { return 0 };
    let Some(tables) = headers.iter().find(|header| header.p_type == libc::PT_GNU_EH_FRAME) else { return 1 };
    search.found = Some(Object {
        flags: 0,
        map_start: start(segment) as *mut c_void,
        map_end: (start(segment) + segment.p_memsz as usize) as *mut c_void,
        link_map: null_mut(),
        eh_frame: start(tables) as *mut c_void,
        reserved: [0; 7],
    });
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::MaybeUninit;

    fn find(address: *const c_void) -> Option<Object> {
        let mut found = MaybeUninit::uninit();
        // SAFETY: the place is valid, and written to if 0 comes back.
        unsafe { (_dl_find_object(address.cast_mut(), found.as_mut_ptr()) == 0).then(|| found.assume_init()) }
    }

    #[test]
    fn code_is_found_with_the_tables_of_its_own_object() {
        let (ours, libcs) = (find as *const c_void, libc::getppid as *const c_void);
        let found = [ours, libcs].map(|code| {
            let object = find(code).expect("code has tables");
            assert!((object.map_start.cast_const()..object.map_end.cast_const()).contains(&code));
            // SAFETY: the tables are mapped. Version 1 of .eh_frame_hdr (LSB, 10.6.2).
            assert_eq!(unsafe { *object.eh_frame.cast::<u8>() }, 1);
            object.eh_frame
        });
        assert_ne!(found[0], found[1]);
        let on_the_stack = 0_u8;
        assert!(find((&raw const on_the_stack).cast()).is_none());
    }
}
