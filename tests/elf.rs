//! About the binaries that are given away: hardened, with no library but libc, and as old a glibc as
//! `docs/ABI.md` says.

#[path = "support/built.rs"]
mod built;

use built::{lines, shim, text, tool};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn readelf(what: &str, binary: &Path) -> Vec<String> {
    lines(Command::new("readelf").args([what, "-W"]).arg(binary))
}

fn all() -> [PathBuf; 3] {
    [shim(), tool(), shim().with_file_name("libsockshim_harness.so")]
}

/// Tag and value of each entry of the dynamic section: `NEEDED` and `libc.so.6`.
fn dynamic(binary: &Path) -> Vec<(String, String)> {
    // 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
    let entries = readelf("-d", binary).into_iter().filter_map(|line| {
        let (_, rest) = line.split_once(" (")?;
        let (tag, value) = rest.split_once(')')?;
        Some((tag.to_owned(), value.split(['[', ']']).nth(1).unwrap_or(value).trim().to_owned()))
    });
    entries.collect()
}

/// Type and flags of each segment: `GNU_STACK` and `RW`.
fn segments(binary: &Path) -> Vec<(String, String)> {
    // GNU_STACK      0x000000 0x0000000000000000 0x0000000000000000 0x000000 0x000000 RW  0x10
    let segments = readelf("-l", binary).into_iter().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let flags = words.get(6..words.len().checked_sub(1)?)?.concat();
        (words.get(1)?.starts_with("0x") && words.len() >= 8).then(|| (words[0].to_owned(), flags))
    });
    segments.collect()
}

#[test]
fn all_are_hardened() {
    for binary in all() {
        let (name, segments, dynamic) = (binary.display(), segments(&binary), dynamic(&binary));
        let flags = |kind: &'static str| {
            segments.iter().filter(move |(found, _)| found == kind).map(|(_, flags)| flags.as_str())
        };
        let has = |tag: &str| dynamic.iter().any(|(found, _)| found == tag);
        assert_eq!(flags("GNU_STACK").collect::<Vec<_>>(), ["RW"], "{name}: an executable stack");
        assert_eq!(flags("GNU_RELRO").count(), 1, "{name}: relocations stay writable");
        assert!(flags("LOAD").any(|flags| flags.contains('E')), "{name}: no code was found: {segments:?}");
        assert!(flags("LOAD").all(|flags| !(flags.contains('W') && flags.contains('E'))), "{name}: {segments:?}");
        let value = |tag: &str| dynamic.iter().find(|(found, _)| found == tag).map_or("", |(_, value)| value);
        assert!(value("FLAGS").contains("BIND_NOW"), "{name}: bound lazily: {dynamic:?}");
        for absent in ["RPATH", "RUNPATH", "TEXTREL"] {
            assert!(!has(absent), "{name} has {absent}");
        }
        let header = readelf("-h", &binary);
        assert!(header.iter().any(|line| line.contains("Type:") && line.contains("DYN")), "{name}: at a fixed address");
    }
}

#[test]
fn the_library_has_its_name_and_cannot_be_unloaded() {
    let dynamic = dynamic(&shim());
    let major = env!("CARGO_PKG_VERSION").split('.').next().unwrap();
    assert!(dynamic.contains(&("SONAME".into(), format!("libsockshim.so.{major}"))), "{dynamic:?}");
    assert!(dynamic.iter().any(|(tag, value)| tag == "FLAGS_1" && value.contains("NODELETE")), "{dynamic:?}");
}

/// src/layout.ld goes by the names of functions and files, which change. What it no longer finds lies anywhere again.
#[test]
fn what_runs_at_the_start_lies_together() {
    // 000000000000bc70 0000000000001cb3 t _ZN8sockshim9lifecycle5begin17h946cbcf54f02be7eE
    let symbols = lines(Command::new("nm").args(["--numeric-sort", "--print-size"]).arg(shim()));
    let sizes = symbols.iter().filter_map(|line| {
        let mut words = line.split(' ');
        let (at, bytes, _) = (words.next()?, words.next()?, words.next()?);
        Some((u64::from_str_radix(at, 16).ok()?, u64::from_str_radix(bytes, 16).ok()?, words.next()?))
    });
    let sizes: Vec<_> = sizes.collect();
    let of = |name: &str| sizes.iter().copied().filter(|(.., found)| found.contains(name)).collect::<Vec<_>>();
    let mut code = Vec::new();
    for name in
        ["9lifecycle5begin", "6config4read", "table11resolve_all", "tell_process", "process8announce", "6behind"]
    {
        let found = of(name);
        assert!(!found.is_empty(), "{name} is not in the library any more");
        code.extend(found.into_iter().filter(|(.., name)| !name.contains("HERE")));
    }
    let (begin, end) = (code.iter().map(|f| f.0).min().unwrap(), code.iter().map(|f| f.0 + f.1).max().unwrap());
    assert!(end - begin < 64 << 10, "{} bytes from the first to the last: {code:#?}", end - begin);

    let sections = readelf("-S", &shim());
    let bytes_of = |section: &str| {
        // [25] .bss.start NOBITS 000000000009c1f8 09b1f8 002118 00 WA 0 0 8
        let line = sections.iter().find(|line| line.contains(&format!(" {section} "))).expect(section);
        u64::from_str_radix(line.split_whitespace().rev().nth(5).unwrap(), 16).unwrap()
    };
    assert!(bytes_of(".bss.start") < 12 << 10, "a table that is to have the section .bss.table?");
    let (table, ..) = of("descriptors5table5TABLE")[0];
    assert!(of("lifecycle5BEGUN")[0].0 < table && of("recorder4MODE")[0].0 < table, "the tables lie in front");

    assert_eq!(bytes_of(".init_array"), 16, "more runs at the start than crt's function and ours");
}

#[test]
fn all_need_what_the_document_says() {
    let doc = text("docs/ABI.md");
    for binary in all() {
        for (_, library) in dynamic(&binary).iter().filter(|(tag, _)| tag == "NEEDED") {
            assert!(
                doc.contains(&format!("`{library}`")),
                "docs/ABI.md does not say that {} needs {library}",
                binary.display()
            );
        }
    }
}

#[test]
fn the_tool_starts_with_libc_alone() {
    let needed: Vec<_> =
        dynamic(&tool()).into_iter().filter(|(tag, _)| tag == "NEEDED").map(|(_, name)| name).collect();
    assert_eq!(needed, ["libc.so.6"], "crates/cli/src/math.rs and unwind.rs tell why");
}

/// Version numbers, so that 2.4 is older than 2.34.
fn version(text: &str) -> Vec<u32> {
    text.split('.').map(|part| part.parse().unwrap()).collect()
}

#[test]
fn the_oldest_glibc_is_the_one_that_the_document_names() {
    let doc = text("docs/ABI.md");
    let oldest = doc.split("glibc ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    let mut newest_needed = BTreeSet::new();
    for binary in all() {
        let lines = readelf("-V", &binary);
        let needed = lines.iter().flat_map(|line| line.split("Name: GLIBC_").skip(1));
        let needed: BTreeSet<Vec<u32>> = needed.map(|rest| version(rest.split_whitespace().next().unwrap())).collect();
        let newest = needed.last().expect("it needs libc").clone();
        assert!(newest <= version(oldest), "{} needs glibc {newest:?}, docs/ABI.md says {oldest}", binary.display());
        newest_needed.insert(newest);
    }
    assert_eq!(newest_needed.last(), Some(&version(oldest)), "docs/ABI.md asks for a newer glibc than is needed");
}
