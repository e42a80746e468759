//! What cargo-c installs, as far as the manifests say it: the names that `make install` installs.

use super::built::{root, text};
use super::{prefix, tree};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What stands behind `key = ` in a table of a manifest, as it is written there.
fn setting<'a>(manifest: &'a str, table: &str, key: &str) -> Option<&'a str> {
    let (_, rest) = manifest.split_once(&format!("[package.metadata.capi.{table}]\n"))?;
    let lines = rest.lines().take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| line.split_once(" = ")).find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// cargo-c (read: 0.10.24) installs what `[package.metadata.capi]` lists, if headers are enabled at all.
#[test]
fn cargo_c_would_install_the_headers_and_the_names_that_make_installs() {
    let manifest = text("Cargo.toml");
    assert_eq!(setting(&manifest, "header", "enabled").unwrap_or("true"), "true");
    assert_eq!(setting(&manifest, "header", "generation"), Some("false"));
    // `to` is "" then, and headers lie where `make install` puts them.
    assert_eq!(setting(&manifest, "header", "subdirectory"), Some("false"));
    let mut listed = BTreeSet::new();
    for line in manifest.lines().filter(|line| line.trim_start().starts_with("{ from = \"include/")) {
        let words: Vec<&str> = line.split('"').collect();
        let (from, to) = (words[1], words.get(3).unwrap_or(&""));
        match from.strip_suffix("*.h") {
            None => drop(listed.insert(Path::new(to).join(Path::new(from).file_name().unwrap()))),
            Some(folder) => {
                let there = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().file_name());
                listed.extend(there.map(|name| Path::new(to).join(name)));
            }
        }
    }
    let listed: BTreeSet<String> = listed.iter().map(|path| path.display().to_string()).collect();
    let mut installed = tree(&prefix().join("include"));
    installed.retain(|name| !name.ends_with('/'));
    assert_eq!(listed, installed);
    // One number behind `.so`, as in the SONAME.
    for (manifest, library) in
        [(manifest, "libsockshim.so.0"), (text("crates/harness/Cargo.toml"), "libsockshim_harness.so.0")]
    {
        assert_eq!(setting(&manifest, "library", "version_suffix_components"), Some("1"), "{library}");
        assert!(prefix().join("lib").join(library).is_symlink(), "{library}");
        assert!(manifest.contains("\ncapi = []\n"), "{library}");
    }
    assert!(prefix().join("lib/pkgconfig/sockshim-harness.pc").exists());
    let harness = text("crates/harness/Cargo.toml");
    assert_eq!(setting(&harness, "pkg_config", "filename"), Some("\"sockshim-harness\""));
}
