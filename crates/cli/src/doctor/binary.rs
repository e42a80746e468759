//! One ELF file: what it imports and defines, and the system calls that it makes by itself.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use object::elf::PF_X;
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSegment, ObjectSymbol, ReadCache, SegmentFlags};

/// How much of a file is looked at in one piece.
const PIECE_BYTES: usize = 1 << 20;
/// How far in front of the instruction its number may stand.
const BEFORE_BYTES: usize = 24;

/// What the names in a file say.
#[derive(Debug, Default)]
pub struct Binary {
    /// Dynamic symbols that somebody else has to define.
    pub imports: BTreeSet<String>,
    /// Dynamic symbols that it defines.
    pub exports: BTreeSet<String>,
    /// Socket and io_uring calls that it makes without libc, by name.
    pub own_calls: BTreeSet<&'static str>,
}

impl Binary {
    /// Reads a file; nothing of it is run.
    pub fn read(path: &Path) -> io::Result<Binary> {
        let file = File::open(path)?;
        let cache = ReadCache::new(&file);
        let elf = ElfFile64::<Endianness, _>::parse(&cache).map_err(io::Error::other)?;
        let mut binary = Binary::default();
        for symbol in elf.dynamic_symbols() {
            let Ok(name) = symbol.name().map(str::to_owned) else { continue };
            match symbol.is_undefined() {
                true => binary.imports.insert(name),
                false => binary.exports.insert(name),
            };
        }
        for segment in elf.segments() {
            if matches!(segment.flags(), SegmentFlags::Elf { p_flags, .. } if p_flags.contains(PF_X)) {
                let (offset, len) = segment.file_range();
                binary.scan(&file, offset, len);
            }
        }
        Ok(binary)
    }

    /// Looks for system calls in code, piece by piece.
    fn scan(&mut self, file: &File, mut offset: u64, len: u64) {
        let end = offset.saturating_add(len);
        let mut piece = vec![0; PIECE_BYTES];
        while offset < end {
            let wanted = PIECE_BYTES.min(usize::try_from(end - offset).unwrap_or(PIECE_BYTES));
            let Ok(got) = file.read_at(&mut piece[..wanted], offset) else { return };
            self.own_calls.extend(own_calls(&piece[..got]));
            if got <= BEFORE_BYTES {
                return;
            }
            // The next piece begins a little sooner, lest a call lies across.
            offset += if got as u64 >= end - offset { got as u64 } else { (got - BEFORE_BYTES) as u64 };
        }
    }
}

/// Each `syscall` instruction in front of which the number of a socket call is loaded into eax. What
/// loads it from elsewhere, as libc's own `syscall` does, is not recognized.
fn own_calls(code: &[u8]) -> impl Iterator<Item = &'static str> {
    const SYSCALL: [u8; 2] = [0x0f, 0x05];
    const MOV_EAX: u8 = 0xb8;
    let instructions = code.windows(2).enumerate().filter(|(_, two)| *two == SYSCALL).map(|(at, _)| at);
    instructions.filter_map(|at| {
        let before = &code[at.saturating_sub(BEFORE_BYTES)..at];
        let loads = before.windows(5).filter(|load| load[0] == MOV_EAX);
        let mut numbers = loads.map(|load| u32::from_le_bytes([load[1], load[2], load[3], load[4]]));
        // The nearest counts; what is larger than any number is the middle of something else.
        numbers.rfind(|number| *number < 1024).and_then(name)
    })
}

/// The socket calls among the system calls of x86-64, by which no file or pipe can be meant.
fn name(number: u32) -> Option<&'static str> {
    Some(match number {
        41 => "socket",
        42 => "connect",
        43 => "accept",
        44 => "sendto",
        45 => "recvfrom",
        46 => "sendmsg",
        47 => "recvmsg",
        48 => "shutdown",
        49 => "bind",
        50 => "listen",
        53 => "socketpair",
        288 => "accept4",
        299 => "recvmmsg",
        307 => "sendmmsg",
        425 => "io_uring_setup",
        426 => "io_uring_enter",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_in_front_of_the_instruction_is_a_call() {
        // mov eax, 44; xor r9d, r9d; syscall. A static that is read from memory: as constants in the code of
        // this program they would be such a call, and the test below finds it.
        static CODE: [u8; 12] = [0x90, 0xb8, 44, 0, 0, 0, 0x45, 0x31, 0xc9, 0x0f, 0x05, 0xc3];
        let call = std::hint::black_box(&CODE);
        assert_eq!(own_calls(call).collect::<Vec<_>>(), ["sendto"]);
        // mov eax, 202 (futex); syscall; and one without a number
        let code = [0xb8, 202, 0, 0, 0, 0x0f, 0x05, 0x0f, 0x05];
        assert_eq!(own_calls(&code).count(), 0);
        let far = [&call[1..6], &[0x90; BEFORE_BYTES], &call[9..11]].concat();
        assert_eq!(own_calls(&far).count(), 0);
    }

    #[test]
    fn this_program_imports_and_calls_through_libc() {
        let binary = Binary::read(&std::env::current_exe().unwrap()).unwrap();
        assert!(binary.imports.contains("write") && !binary.exports.contains("write"));
        assert_eq!(binary.own_calls, BTreeSet::new());
        assert!(Binary::read(Path::new("/dev/null")).is_err());
    }
}
