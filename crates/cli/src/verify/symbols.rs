//! Which public function an address lies in. libc's static functions are none, and strace names
//! them after whatever lies in front of them, so the symbol table is read here, with its sizes.

use std::collections::HashMap;

use object::{Object, ObjectSegment, ObjectSymbol};

/// Public functions of the files that were asked about.
#[derive(Debug, Default)]
pub struct Symbols {
    files: HashMap<String, Functions>,
}

#[derive(Debug, Default)]
struct Functions {
    /// First address, the address behind the last, name.
    functions: Vec<(u64, u64, String)>,
    /// Offset in the file, bytes, address.
    segments: Vec<(u64, u64, u64)>,
}

impl Symbols {
    /// All names of the function that holds an offset of a file; none if that is not public.
    pub fn at(&mut self, file: &str, offset: u64) -> Vec<&str> {
        let file = self.files.entry(file.to_owned()).or_insert_with(|| Functions::read(file));
        let segment = file.segments.iter().find(|(start, size, _)| (*start..start + size).contains(&offset));
        let Some((start, _, base)) = segment else { return Vec::new() };
        let address = offset - start + base;
        let holds = file.functions.iter().filter(|(first, end, _)| (*first..*end).contains(&address));
        holds.map(|(.., name)| name.as_str()).collect()
    }
}

impl Functions {
    /// Of a file that is gone, or is none, nothing is known.
    fn read(file: &str) -> Functions {
        let data = std::fs::read(file).unwrap_or_default();
        let Ok(elf) = object::File::parse(&*data) else { return Functions::default() };
        let functions = elf.dynamic_symbols().filter(|symbol| symbol.is_definition() && symbol.size() > 0);
        let named = functions.filter_map(|symbol| {
            let (address, name) = (symbol.address(), symbol.name().ok()?);
            Some((address, address.saturating_add(symbol.size()), name.to_owned()))
        });
        let segments = elf.segments().map(|segment| {
            let (offset, bytes) = segment.file_range();
            (offset, bytes, segment.address())
        });
        Functions { functions: named.collect(), segments: segments.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libc_has_its_functions_where_it_says() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.ends_with("/libc.so.6")).expect("this test runs on libc");
        let file = line.split_whitespace().last().unwrap();
        let base = u64::from_str_radix(line.split('-').next().unwrap(), 16).unwrap();
        let address = libc::send as *const () as u64 - base;
        let mut symbols = Symbols::default();
        // libc's text lies in its file as it does in memory.
        assert!(symbols.at(file, address + 4).contains(&"send"), "{file} {address:x}");
        assert!(symbols.at(file, 0).is_empty());
        assert!(symbols.at("/no/such/file", 4).is_empty());
    }
}
