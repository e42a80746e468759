//! The functions that are looked through and not recorded.

use std::collections::BTreeSet;

/// Their names: a row in `src/abi/openers.rs` each.
pub fn openers() -> BTreeSet<String> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/abi/openers.rs");
    let source = std::fs::read_to_string(source).expect("src/abi/openers.rs can be read");
    let names = source.lines().filter_map(|line| line.split_once(" => fn ")?.1.split_once('('));
    // But for the macro, which has no name yet.
    let names: BTreeSet<String> =
        names.map(|(name, _)| name.to_owned()).filter(|name| !name.starts_with('$')).collect();
    assert!(names.contains("open"), "openers.rs has no row for open: {names:?}");
    names
}
