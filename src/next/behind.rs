//! The objects behind us in link order, and a look into their symbols: what `dlsym` with RTLD_NEXT finds, for a
//! tenth of what it takes. There are a hundred and fifty names to find at the start of every program.
//!
//! The tables are those of the System V ABI and of its GNU extensions, as the dynamic linker reads them. Wherever
//! there is a doubt, nothing is said to be found, and `dlsym` decides.

use super::address;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr::null;
use libc::{Elf64_Phdr, Elf64_Sym, dl_phdr_info};

unsafe extern "C" {
    fn dl_iterate_phdr(
        each: unsafe extern "C" fn(*mut dl_phdr_info, usize, *mut c_void) -> c_int,
        data: *mut c_void,
    ) -> c_int;
}

/// Objects that are looked into. A program that has more behind us asks `dlsym` for what is in those.
const MOST: usize = 48;

/// What a name hashes to in a GNU hash table.
pub const fn hash(name: &CStr) -> u32 {
    let bytes = name.to_bytes();
    let (mut hash, mut i) = (5381u32, 0);
    while i < bytes.len() {
        #[expect(clippy::indexing_slicing, reason = "the compiler makes the statics, and `i` is below the length")]
        let byte = bytes[i];
        hash = hash.wrapping_mul(33).wrapping_add(byte as u32);
        i += 1;
    }
    hash
}

/// The objects behind us, in link order.
pub struct Behind {
    objects: [MaybeUninit<Object>; MOST],
    count: usize,
    /// Whether our own object has come.
    past_us: bool,
}

/// What the dynamic section of an object says about its symbols.
#[derive(Clone, Copy)]
struct Object {
    base: usize,
    symbols: *const Elf64_Sym,
    names: *const c_char,
    /// Null where symbols have no versions.
    versions: *const u16,
    /// Null where there is no GNU hash table.
    hashes: *const u32,
}

/// What an object says of a name.
enum Answer {
    At(usize),
    Absent,
    /// It has the name, or may have it, and what that means is for the dynamic linker to say.
    AskTheLinker,
}

impl Behind {
    /// None yet. (In two steps, so that it is not moved: it would be on the stack twice.)
    pub const NONE: Behind = Behind { objects: [MaybeUninit::uninit(); MOST], count: 0, past_us: false };

    /// All that are loaded now. For the constructor: another thread could unload one of them.
    pub fn find(&mut self) {
        // SAFETY: the callback takes what is handed over with it. An object stays mapped while it is told about.
        unsafe { dl_iterate_phdr(Behind::see, (&raw mut *self).cast()) };
    }

    /// dl_iterate_phdr(3): one object, in link order.
    unsafe extern "C" fn see(info: *mut dl_phdr_info, _: usize, behind: *mut c_void) -> c_int {
        static HERE: u8 = 0;
        // SAFETY: libc hands over an object that is mapped, and what `find` has handed it; program headers say
        // where the object and its dynamic section lie.
        unsafe {
            let (info, behind) = (&*info, &mut *behind.cast::<Behind>());
            let base = info.dlpi_addr as usize;
            if !behind.past_us {
                behind.past_us = segments(info).any(|segment| {
                    let begin = base.wrapping_add(segment.p_vaddr as usize);
                    segment.p_type == libc::PT_LOAD && address!(HERE).wrapping_sub(begin) < segment.p_memsz as usize
                });
                return 0;
            }
            let Some(place) = behind.objects.get_mut(behind.count) else { return 1 };
            let dynamic = segments(info).find(|segment| segment.p_type == libc::PT_DYNAMIC);
            if let Some(dynamic) = dynamic {
                place.write(Object::read(base, base.wrapping_add(dynamic.p_vaddr as usize) as *const Entry));
                behind.count += 1;
            }
            0
        }
    }

    /// The address of a function, as the first object says that has it. 0 where `dlsym` is to be asked.
    pub fn address_of(&self, name: &CStr, hash: u32) -> usize {
        for object in self.objects.iter().take(self.count) {
            // SAFETY: the first `count` are written, each from a dynamic section.
            match unsafe { object.assume_init_ref().find(name, hash) } {
                Answer::At(address) => return address,
                Answer::Absent => {}
                Answer::AskTheLinker => break,
            }
        }
        0
    }
}

fn segments(info: &dl_phdr_info) -> impl Iterator<Item = &Elf64_Phdr> {
    // SAFETY: as many headers as libc says, of an object that stays mapped meanwhile.
    (0..info.dlpi_phnum as usize).map(|i| unsafe { &*info.dlpi_phdr.add(i) })
}

/// An entry of a dynamic section.
#[repr(C)]
struct Entry {
    tag: usize,
    value: usize,
}

const DT_STRTAB: usize = 5;
const DT_SYMTAB: usize = 6;
const DT_GNU_HASH: usize = 0x6fff_fef5;
const DT_VERSYM: usize = 0x6fff_fff0;

const STT_FUNC: u8 = 2;
const STB_GLOBAL: u8 = 1;
const STB_WEAK: u8 = 2;
/// A version that is not the one that a name without a version means.
const VERSION_HIDDEN: u16 = 0x8000;

impl Object {
    /// # Safety
    /// `entry` is the first of the dynamic section of an object that is mapped at `base`.
    unsafe fn read(base: usize, mut entry: *const Entry) -> Object {
        let mut object = Object { base, symbols: null(), names: null(), versions: null(), hashes: null() };
        // SAFETY: the caller's promise; DT_NULL, 0, is the last.
        while let Entry { tag: tag @ 1.., value } = unsafe { &*entry } {
            // glibc writes addresses there, on most architectures; else it is how far they are from the base.
            let at = if *value < base { base.wrapping_add(*value) } else { *value };
            match *tag {
                DT_STRTAB => object.names = at as *const c_char,
                DT_SYMTAB => object.symbols = at as *const Elf64_Sym,
                DT_GNU_HASH => object.hashes = at as *const u32,
                DT_VERSYM => object.versions = at as *const u16,
                _ => {}
            }
            // SAFETY: this was not the last.
            entry = unsafe { entry.add(1) };
        }
        object
    }

    /// # Safety
    /// The object is mapped, and its tables are whole.
    unsafe fn find(&self, name: &CStr, hash: u32) -> Answer {
        if self.hashes.is_null() || self.symbols.is_null() || self.names.is_null() {
            return Answer::AskTheLinker;
        }
        // SAFETY: the caller's promise. The table: its four sizes, a Bloom filter of words, the first symbol of each
        // bucket, and the hash of each symbol from `first` on, odd where it is the last of its bucket.
        unsafe {
            let [buckets, first, words, shift] = *self.hashes.cast::<[u32; 4]>();
            if buckets == 0 || words == 0 {
                return Answer::AskTheLinker;
            }
            let filter = self.hashes.add(4).cast::<u64>();
            let word = *filter.add((hash as usize / 64) & (words as usize - 1));
            if word >> (hash % 64) & word >> ((hash >> (shift % 32)) % 64) & 1 == 0 {
                return Answer::Absent;
            }
            let bucket = filter.add(words as usize).cast::<u32>();
            let chain = bucket.add(buckets as usize);
            let mut at = *bucket.add((hash % buckets) as usize);
            while at >= first {
                let of_symbol = *chain.add((at - first) as usize);
                if of_symbol | 1 == hash | 1 {
                    let symbol = &*self.symbols.add(at as usize);
                    if same(self.names.add(symbol.st_name as usize), name) {
                        let hidden = !self.versions.is_null() && *self.versions.add(at as usize) & VERSION_HIDDEN != 0;
                        if !hidden {
                            return self.answer(symbol);
                        }
                    }
                }
                if of_symbol & 1 != 0 {
                    break;
                }
                at += 1;
            }
            Answer::Absent
        }
    }

    fn answer(&self, symbol: &Elf64_Sym) -> Answer {
        let defined = symbol.st_shndx != 0 && symbol.st_value != 0;
        match (symbol.st_info & 0xf, symbol.st_info >> 4) {
            (STT_FUNC, STB_GLOBAL | STB_WEAK) if defined => {
                Answer::At(self.base.wrapping_add(symbol.st_value as usize))
            }
            // What the program is to choose itself (IFUNC), and whatever else there may be.
            _ => Answer::AskTheLinker,
        }
    }
}

/// Whether a string of an object's is this name. Read up to where they differ: it may lie at the end of what is mapped.
unsafe fn same(string: *const c_char, name: &CStr) -> bool {
    // SAFETY: zero-terminated, and nothing is read behind a byte that differs.
    name.to_bytes_with_nul().iter().enumerate().all(|(i, byte)| unsafe { *string.add(i) as u8 == *byte })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_the_linker() {
        // Of the GNU hash table's specification.
        for (name, expected) in
            [(c"", 0x1505), (c"printf", 0x156b_2bb8), (c"exit", 0x7c96_7e3f), (c"syscall", 0xbac2_12a0)]
        {
            assert_eq!(hash(name), expected, "{name:?}");
        }
    }

    #[test]
    fn finds_what_dlsym_finds() {
        let mut behind = Behind::NONE;
        behind.find();
        assert!(behind.count > 0, "libc is behind us");
        let mut found = 0;
        for name in [c"socket", c"read", c"write", c"__read_chk", c"sendmmsg", c"execvpe", c"epoll_wait", c"open64"] {
            // SAFETY: a zero-terminated name.
            let expected = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) } as usize;
            let address = behind.address_of(name, hash(name));
            assert_eq!(address, expected, "{name:?}");
            found += usize::from(address != 0);
        }
        assert_eq!(found, 8);
        // IFUNCs, variables and what is not there are left to dlsym.
        for name in [c"memcpy", c"environ", c"no_such_function_at_all"] {
            assert_eq!(behind.address_of(name, hash(name)), 0, "{name:?}");
        }
    }
}
