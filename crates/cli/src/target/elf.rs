//! The few facts of an ELF file that decide whether the shim can be loaded into it.
//!
//! Only headers, the dynamic section and some names are read, by position: a browser's executable
//! has 200 MB. Every number in the file is somebody else's, so a fact that lies outside the file is
//! a fact that is missing, and no table longer than [`TABLE_BYTES_MAX`] is read.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Far above any real table (Chromium's section names have 600 bytes, its dynamic section 1 KB).
const TABLE_BYTES_MAX: u64 = 1 << 20;
/// Longest name of a library or of a loader that is looked at (PATH_MAX).
const NAME_BYTES_MAX: u64 = 4096;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
const SHT_NOBITS: u32 = 8;

/// What an ELF file says about itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Elf {
    /// 32 or 64.
    pub bits: u8,
    /// `e_machine`, such as 62 for x86-64.
    pub machine: u16,
    /// Whether numbers are stored the way this machine stores them. Nothing below is known if not.
    pub native_order: bool,
    /// `PT_INTERP`: the loader. A file without one is linked statically, or is a library.
    pub loader: Option<PathBuf>,
    /// `DT_NEEDED`, in order.
    pub needed: Vec<String>,
    /// `DT_SONAME`: the file is a library, or the loader itself.
    pub soname: Option<String>,
    /// `DT_RPATH`: where its libraries and those of its libraries are looked for first.
    pub rpath: Option<String>,
    /// `DT_RUNPATH`: where its libraries are looked for first; then `DT_RPATH` counts for nothing.
    pub runpath: Option<String>,
    /// Built by the Go toolchain.
    pub go: bool,
}

impl Elf {
    /// Reads the facts; `Ok(None)` if the file does not begin with the magic number of ELF.
    pub fn read(file: &File) -> io::Result<Option<Elf>> {
        let mut ident = [0; 20];
        match file.read_exact_at(&mut ident, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        if ident[..4] != *b"\x7fELF" {
            return Ok(None);
        }
        let order = if cfg!(target_endian = "little") { 1 } else { 2 };
        let mut elf =
            Elf { bits: if ident[4] == 2 { 64 } else { 32 }, native_order: ident[5] == order, ..Elf::default() };
        let machine = [ident[18], ident[19]];
        elf.machine = if ident[5] == 2 { u16::from_be_bytes(machine) } else { u16::from_le_bytes(machine) };
        // A file of the other class is refused for that alone, so only 64-bit tables are parsed.
        if elf.native_order && elf.bits == 64 {
            elf.read_tables(&Tables { file });
        }
        Ok(Some(elf))
    }

    /// A file that can be loaded on this machine.
    pub fn of_our_machine(path: &Path) -> Option<Elf> {
        let elf = Elf::read(&File::open(path).ok()?).ok()??;
        (elf.bits == 64 && elf.native_order && elf.machine == super::OUR_MACHINE).then_some(elf)
    }

    fn read_tables(&mut self, tables: &Tables) {
        let Some(header) = tables.bytes(0, 64) else { return };
        let (offset, entry, count) = (u64_at(&header, 32), u16_at(&header, 54), u16_at(&header, 56));
        let Some(programs) = tables.bytes(offset, u64::from(entry) * u64::from(count)) else {
            return;
        };
        if entry >= 56 {
            let programs: Vec<Segment> = programs.chunks_exact(usize::from(entry)).map(Segment::parse).collect();
            for segment in &programs {
                match segment.sort {
                    PT_INTERP => self.loader = tables.name(segment.offset).map(PathBuf::from),
                    PT_DYNAMIC => self.read_dynamic(tables, segment, &programs),
                    PT_NOTE => self.go |= has_go_note(tables, segment),
                    _ => {}
                }
            }
        }
        // Linked by the system's linker (cgo), it may have lost the note; this section stays.
        self.go |= has_section(tables, &header, b".go.buildinfo");
    }

    fn read_dynamic(&mut self, tables: &Tables, dynamic: &Segment, programs: &[Segment]) {
        let Some(entries) = tables.bytes(dynamic.offset, dynamic.file_bytes) else { return };
        let entries = || entries.chunks_exact(16).map(|entry| (u64_at(entry, 0), u64_at(entry, 8)));
        let Some((_, strings)) = entries().find(|(tag, _)| *tag == DT_STRTAB) else { return };
        // DT_STRTAB is an address; the segment loaded there says where it is in the file.
        let Some(strings) = programs.iter().find_map(|segment| segment.offset_of(strings)) else {
            return;
        };
        let name = |at: u64| Some(tables.name(strings.checked_add(at)?)?.to_string_lossy().into_owned());
        self.needed = entries().filter(|(tag, _)| *tag == DT_NEEDED).filter_map(|(_, at)| name(at)).collect();
        let only = |wanted: u64| entries().find(|(tag, _)| *tag == wanted).and_then(|(_, at)| name(at));
        (self.soname, self.rpath, self.runpath) = (only(DT_SONAME), only(DT_RPATH), only(DT_RUNPATH));
    }
}

/// One program header.
struct Segment {
    sort: u32,
    offset: u64,
    address: u64,
    file_bytes: u64,
}

impl Segment {
    /// `entry` has at least the 56 bytes of an `Elf64_Phdr`.
    fn parse(entry: &[u8]) -> Segment {
        Segment {
            sort: u32_at(entry, 0),
            offset: u64_at(entry, 8),
            address: u64_at(entry, 16),
            file_bytes: u64_at(entry, 32),
        }
    }

    fn offset_of(&self, address: u64) -> Option<u64> {
        let within = address.checked_sub(self.address)?;
        (self.sort == PT_LOAD && within < self.file_bytes).then(|| self.offset.checked_add(within))?
    }
}

/// Whether the build id of the Go linker is in the segment: owner "Go", note type 4.
fn has_go_note(tables: &Tables, segment: &Segment) -> bool {
    let Some(notes) = tables.bytes(segment.offset, segment.file_bytes) else { return false };
    notes.windows(8).any(|window| window == b"\x04\0\0\0Go\0\0")
}

fn has_section(tables: &Tables, header: &[u8], wanted: &[u8]) -> bool {
    let (offset, entry) = (u64_at(header, 40), u16_at(header, 58));
    let (count, names) = (u16_at(header, 60), u16_at(header, 62));
    let Some(sections) = tables.bytes(offset, u64::from(entry) * u64::from(count)) else {
        return false;
    };
    if entry < 64 {
        return false;
    }
    let Some(names) = sections.chunks_exact(usize::from(entry)).nth(usize::from(names)) else {
        return false;
    };
    if u32_at(names, 4) == SHT_NOBITS {
        return false;
    }
    let Some(names) = tables.bytes(u64_at(names, 24), u64_at(names, 32)) else { return false };
    names.split(|&byte| byte == 0).any(|name| name == wanted)
}

/// Reads by position.
struct Tables<'a> {
    file: &'a File,
}

impl Tables<'_> {
    fn bytes(&self, offset: u64, len: u64) -> Option<Vec<u8>> {
        if len > TABLE_BYTES_MAX {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    }

    /// The string that begins at `offset` and ends with a zero.
    fn name(&self, offset: u64) -> Option<OsString> {
        let mut bytes = vec![0; NAME_BYTES_MAX as usize];
        let mut got = 0;
        while got < bytes.len() {
            match self.file.read_at(&mut bytes[got..], offset.checked_add(got as u64)?).ok()? {
                0 => break,
                more => got += more,
            }
        }
        bytes.truncate(bytes[..got].iter().position(|&byte| byte == 0)?);
        Some(OsString::from_vec(bytes))
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(array_at(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(array_at(bytes, at))
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes is an array of N bytes")
}
