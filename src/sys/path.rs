//! A path that outlasts the environment that it came from, which programs write over.

use core::cell::UnsafeCell;
use core::ffi::CStr;

/// A path, empty at first.
pub struct KeptPath(UnsafeCell<[u8; 4096]>);

// SAFETY: `keep` is called only while nobody reads, as its callers promise.
unsafe impl Sync for KeptPath {}

impl KeptPath {
    /// None yet.
    pub const fn new() -> KeptPath {
        KeptPath(UnsafeCell::new([0; 4096]))
    }

    /// Keeps a path; false if it is too long.
    ///
    /// # Safety
    /// Nobody calls `get` meanwhile, nor has what it returned.
    pub unsafe fn keep(&self, path: &CStr) -> bool {
        let bytes = path.to_bytes_with_nul();
        // SAFETY: the caller's promise.
        let place = unsafe { &mut *self.0.get() }.get_mut(..bytes.len());
        place.is_some_and(|place| {
            place.copy_from_slice(bytes);
            true
        })
    }

    /// What was kept.
    pub fn get(&self) -> &CStr {
        // SAFETY: nobody writes, as the callers of `keep` promise.
        CStr::from_bytes_until_nul(unsafe { &*self.0.get() }).unwrap_or_default()
    }
}
