//! The interface to C only grows: whatever `tests/abi.symbols` records is in the header, with the same types and
//! places, and is exported. `docs/ABI.md` has the promise.
//!
//! `UPDATE_ABI=1 cargo test --test abi` adds what is new. What is gone stays on record until somebody takes
//! the line out by hand, which takes a new SONAME.

#[path = "support/built.rs"]
mod built;

use built::{lines, root, scratch, shim, succeed, text};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

const RECORD: &str = "tests/abi.symbols";

/// The headers, and what their guards are called.
const HEADERS: [(&str, &str); 2] =
    [("include/sockshim.h", "#ifndef SOCKSHIM_H\n"), ("include/sockshim/harness.h", "#ifndef SOCKSHIM_HARNESS_H\n")];

/// The code of the headers: no comments, no lines of the preprocessor, and not what stands in where the library is absent.
fn code() -> String {
    HEADERS.iter().map(|(path, guard)| code_of(path, guard)).collect()
}

fn code_of(path: &str, guard: &str) -> String {
    let header = text(path);
    let header = header.split("#ifdef SOCKSHIM_WEAK_H").next().unwrap_or_default();
    let (_, header) = header.split_once(guard).expect("the guard");
    let lines = header.lines().map(str::trim).filter(|line| !line.starts_with("//") && !line.starts_with('#'));
    lines.collect::<Vec<_>>().join(" ").replace("extern \"C\" {", "")
}

/// What stands before the name of a declarator, and the name: `const char *` and `text`, `char ` and `local` of
/// `char local[112]`.
fn split(declarator: &str) -> (&str, &str) {
    let (declarator, _) = declarator.split_once('[').unwrap_or((declarator, ""));
    // A pointer to a function: `void (*call)(int)`.
    if let Some((kind, rest)) = declarator.split_once("(*") {
        return (kind, rest.split(')').next().unwrap_or_default());
    }
    declarator.split_at(declarator.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |at| at + 1))
}

fn name(declarator: &str) -> &str {
    split(declarator).1
}

/// A parameter without its name, which is nobody's business.
fn kind(parameter: &str) -> &str {
    match split(parameter.trim()) {
        ("", kind) => kind,
        (kind, _) => kind.trim_end(),
    }
}

/// `int sockshim_log_to(int)`, a line for each function.
fn functions() -> BTreeSet<String> {
    let code = code();
    let statements = code.split(';').filter_map(|statement| {
        let (head, parameters) = statement.trim().strip_suffix(')')?.split_once('(')?;
        let parameters: Vec<&str> = parameters.split(',').map(kind).collect();
        let head = head.rsplit('}').next()?.split_whitespace().collect::<Vec<_>>().join(" ");
        name(&head).starts_with("sockshim_").then(|| format!("{head}({})", parameters.join(", ")))
    });
    statements.collect()
}

/// `sockshim_descriptor.cookie: uint64_t at 8`, a line for each member, as the compiler lays them out.
fn members() -> BTreeSet<String> {
    let code = code();
    let (mut program, mut count) = (
        String::from(
            "#include \"sockshim.h\"\n#include \"sockshim/harness.h\"\n#include <stdio.h>\nint main(void) {\n",
        ),
        0,
    );
    for part in code.split("typedef struct ").skip(1) {
        // One that is opaque has no members to tell of.
        let Some((head, rest)) = part.split_once('{').filter(|(head, _)| !head.contains(';')) else { continue };
        let (owner, body) = (head.trim(), rest.split('}').next().unwrap());
        for member in body.split(';').map(str::trim).filter(|member| !member.is_empty()) {
            let name = name(member);
            program += &format!("printf(\"{owner}.{name}: {member} at %zu\\n\", offsetof({owner}, {name}));\n");
            count += 1;
        }
    }
    let (source, binary) = (scratch("abi").join("members.c"), scratch("abi").join("members"));
    fs::write(&source, program + "return 0;\n}\n").unwrap();
    succeed(Command::new("gcc").arg("-I").arg(root().join("include")).arg(&source).arg("-o").arg(&binary));
    let members: BTreeSet<String> = lines(&mut Command::new(&binary)).into_iter().collect();
    assert_eq!(members.len(), count);
    members
}

#[test]
fn what_is_recorded_is_still_there() {
    let now: BTreeSet<String> = functions().into_iter().chain(members()).collect();
    assert!(now.iter().any(|line| line == "void sockshim_mark(const char *)"), "{now:#?}");
    assert!(now.iter().any(|line| line == "sockshim_descriptor.cookie: uint64_t cookie at 8"), "{now:#?}");
    let recorded: BTreeSet<String> =
        fs::read_to_string(root().join(RECORD)).unwrap_or_default().lines().map(str::to_owned).collect();
    let gone: Vec<&String> = recorded.difference(&now).collect();
    assert!(gone.is_empty(), "programs that are built already need {gone:#?}, which is gone or changed");
    let new: Vec<&String> = now.difference(&recorded).collect();
    if std::env::var_os("UPDATE_ABI").is_some() {
        fs::write(root().join(RECORD), now.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        return;
    }
    assert!(new.is_empty(), "not on record: {new:#?}: UPDATE_ABI=1 cargo test --test abi");
}

/// What a library exports: the name, and its version if it has one.
fn exported(library: &Path) -> BTreeMap<String, Option<String>> {
    // 0000000000012340 T sockshim_mark@@SOCKSHIM_0
    let symbols = lines(Command::new("nm").args(["-D", "--defined-only"]).arg(library));
    // The name of the version is a symbol of its own.
    let names = symbols.iter().filter_map(|line| line.rsplit(' ').next()).filter(|name| *name != version());
    let names = names.map(|name| match name.split_once("@@") {
        Some((name, version)) => (name.to_owned(), Some(version.to_owned())),
        None => (name.to_owned(), None),
    });
    names.collect()
}

/// `SOCKSHIM_0`.
fn version() -> String {
    format!("SOCKSHIM_{}", env!("CARGO_PKG_VERSION").split('.').next().unwrap())
}

#[test]
fn what_is_recorded_is_exported_by_its_version() {
    let libraries = [shim(), shim().with_file_name("libsockshim_harness.so")];
    let exported: BTreeMap<_, _> = libraries.iter().flat_map(|library| exported(library)).collect();
    let record = text(RECORD);
    // A member that is a function has no name there.
    let names = record.lines().filter_map(|line| line.split_once('(').map(|(head, _)| name(head)));
    let names: BTreeSet<&str> = names.filter(|name| name.starts_with("sockshim_")).collect();
    assert!(names.contains("sockshim_socket"));
    let wrong: Vec<_> = names.iter().filter(|name| exported.get(**name) != Some(&Some(version()))).collect();
    assert!(wrong.is_empty(), "recorded in {RECORD}, and not exported as @@{}: {wrong:?}", version());
    // A plain name has to stand for libc's, whatever version is asked for.
    let others = exported.iter().filter(|(name, _)| !names.contains(name.as_str()));
    let (plain, versioned): (Vec<_>, Vec<_>) =
        others.partition(|(name, of)| of.is_none() && !name.starts_with("sockshim"));
    assert!(plain.iter().any(|(name, _)| *name == "connect"), "{plain:?}");
    assert!(versioned.is_empty(), "exported, and not on record: {versioned:?}");
}

/// A program says which version it was linked with; one that was linked when there were none finds its functions.
#[test]
fn programs_with_and_without_versions_find_their_functions() {
    let folder = scratch("abi.versions");
    let (source, library) = (folder.join("program.c"), folder.join("libsockshim.so"));
    fs::write(&source, "#include <sockshim.h>\nint main(void) { sockshim_mark(\"here\"); return 0; }\n").unwrap();
    fs::write(folder.join("old.c"), "void sockshim_mark(const char *text) { (void)text; }\n").unwrap();
    let soname = format!("-Wl,-soname,libsockshim.so.{}", env!("CARGO_PKG_VERSION").split('.').next().unwrap());
    succeed(Command::new("gcc").args(["-shared", "-fPIC", &soname, "-o"]).arg(&library).arg(folder.join("old.c")));
    for (linked_with, versioned) in [(shim(), true), (library, false)] {
        let program = folder.join(if versioned { "new" } else { "old" });
        let include = root().join("include");
        succeed(Command::new("gcc").arg("-I").arg(&include).arg(&source).arg(&linked_with).arg("-o").arg(&program));
        let asks = lines(Command::new("nm").arg("-D").arg(&program));
        let asked = format!("U sockshim_mark@{}", version());
        assert_eq!(asks.iter().any(|line| line.trim() == asked), versioned, "{asks:#?}");
        let log = folder.join("log");
        let _ = fs::remove_file(&log);
        let mut run = Command::new(&program);
        succeed(run.env("LD_LIBRARY_PATH", shim().parent().unwrap()).env("LD_BIND_NOW", "1").env("SOCKSHIM_LOG", &log));
        assert!(fs::read_to_string(&log).unwrap().contains("here"), "{}", program.display());
    }
}
