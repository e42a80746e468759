//! The libraries that a program is going to load, found as the dynamic linker would (ld.so(8)), without
//! running anything. What it opens by itself later, with `dlopen`, is not among them.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use crate::target::Elf;

/// Where libraries are looked for in the end, besides what /etc/ld.so.conf says: Debian's places
/// first, then everybody's.
const DEFAULT_FOLDERS: &[&str] =
    &["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"];
/// Files that include files that include files.
const INCLUDES_MAX: usize = 8;
/// Libraries of one program. LibreOffice has 200.
const LIBRARIES_MAX: usize = 4096;

/// The libraries of a program.
#[derive(Debug, Default)]
pub struct Libraries {
    /// Where each was found, by the name that it is asked for by, in the order of loading.
    pub found: Vec<(String, PathBuf)>,
    /// Those that are nowhere, and who needs them.
    pub missing: Vec<(String, PathBuf)>,
}

impl Libraries {
    /// Of a program, or of several that are loaded together.
    pub fn of(program: &Path, elf: &Elf) -> Libraries {
        let mut folders: Vec<PathBuf> = split(std::env::var("LD_LIBRARY_PATH").ok().as_deref(), Path::new("/"));
        configured(Path::new("/etc/ld.so.conf"), &mut folders, INCLUDES_MAX);
        folders.extend(DEFAULT_FOLDERS.iter().map(PathBuf::from));
        let mut libraries = Libraries::default();
        let mut known = BTreeSet::new();
        // A library's own RUNPATH is for what it needs itself; a program's RPATH is for all.
        let inherited = if elf.runpath.is_none() { split(elf.rpath.as_deref(), program) } else { Vec::new() };
        let mut waiting = VecDeque::from([(program.to_owned(), elf.needed.clone(), own_folders(program, elf))]);
        while let Some((who, needed, own)) = waiting.pop_front() {
            for name in needed {
                if !known.insert(name.clone()) || known.len() > LIBRARIES_MAX {
                    continue;
                }
                let places = own.iter().chain(&inherited).chain(&folders).map(|folder| folder.join(&name));
                // A name with a slash is a path.
                let places = places.filter(|_| !name.contains('/')).chain([PathBuf::from(&name)]);
                let fits = |path: PathBuf| Some((Elf::of_our_machine(&path)?, path));
                match places.filter(|path| path.has_root()).find_map(fits) {
                    Some((elf, path)) => {
                        waiting.push_back((path.clone(), elf.needed.clone(), own_folders(&path, &elf)));
                        libraries.found.push((name, path));
                    }
                    None => libraries.missing.push((name, who.clone())),
                }
            }
        }
        libraries
    }
}

fn own_folders(path: &Path, elf: &Elf) -> Vec<PathBuf> {
    split(elf.runpath.as_deref().or(elf.rpath.as_deref()), path)
}

/// The folders of a search path in a file. `$ORIGIN` is where the file is.
fn split(folders: Option<&str>, file: &Path) -> Vec<PathBuf> {
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let origin = file.parent().unwrap_or(Path::new("/")).to_string_lossy();
    let folders = folders.unwrap_or_default().split([':', ';']).filter(|folder| !folder.is_empty());
    folders.map(|folder| folder.replace("$ORIGIN", &origin).replace("${ORIGIN}", &origin).into()).collect()
}

/// The folders that a configuration file of ldconfig's names.
fn configured(file: &Path, folders: &mut Vec<PathBuf>, depth: usize) {
    let Ok(text) = fs::read_to_string(file) else { return };
    for line in text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        match line.strip_prefix("include").map(str::trim) {
            Some(pattern) if depth > 0 => included(pattern, folders, depth - 1),
            None if line.starts_with('/') => folders.push(line.into()),
            _ => {}
        }
    }
}

/// The files of a pattern with one star in its last part, which is what distributions use.
fn included(pattern: &str, folders: &mut Vec<PathBuf>, depth: usize) {
    let pattern = Path::new("/etc").join(pattern);
    let (Some(folder), Some(name)) = (pattern.parent(), pattern.file_name().and_then(|name| name.to_str())) else {
        return;
    };
    let Some((before, after)) = name.split_once('*') else { return configured(&pattern, folders, depth) };
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    names.sort();
    let fits = |path: &&PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(before) && name.ends_with(after)
    };
    names.iter().filter(fits).for_each(|file| configured(file, folders, depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_needs_libc_and_its_loader() {
        let program = std::env::current_exe().unwrap();
        let libraries = Libraries::of(&program, &Elf::of_our_machine(&program).unwrap());
        assert!(libraries.found.iter().any(|(name, path)| name == "libc.so.6" && path.exists()), "{libraries:?}");
        assert!(libraries.missing.is_empty(), "{libraries:?}");
    }

    #[test]
    fn origin_is_where_the_file_is() {
        let folders = split(Some("$ORIGIN/../lib:/opt/lib"), Path::new("/nowhere/bin/app"));
        assert_eq!(folders, [PathBuf::from("/nowhere/bin/../lib"), "/opt/lib".into()]);
    }

    #[test]
    fn configurations_include_others() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: String| {
            fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        file("b.conf", "/second # with a remark\n".into());
        file("a.conf", "/first\nrelative\n".into());
        let top = file("top", format!("include {}/*.conf\n/third\n", folder.path().display()));
        let mut folders = Vec::new();
        configured(&top, &mut folders, INCLUDES_MAX);
        assert_eq!(folders, [PathBuf::from("/first"), "/second".into(), "/third".into()]);
    }
}
