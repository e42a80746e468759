//! Where the things are that `make build` has built, and a place for what tests make.
#![allow(dead_code)] // each test uses some of it

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder that cargo builds into.
fn target() -> PathBuf {
    // target/debug/deps/source-0123456789abcdef
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}

fn release(variable: &str, name: &str) -> PathBuf {
    let path = std::env::var_os(variable).map_or_else(|| target().join("release").join(name), PathBuf::from);
    fs::canonicalize(&path).unwrap_or_else(|e| panic!("{}: {e}: run `make build`, or set {variable}", path.display()))
}

/// The shared library.
pub fn shim() -> PathBuf {
    release("SOCKSHIM_SHIM", "libsockshim.so")
}

/// The static library.
pub fn archive() -> PathBuf {
    release("SOCKSHIM_ARCHIVE", "libsockshim.a")
}

/// The tool.
pub fn tool() -> PathBuf {
    release("SOCKSHIM_TOOL", "sockshim")
}

/// A folder for what a test makes.
pub fn scratch(test: &str) -> PathBuf {
    let folder = target().join("tests").join(test);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The sources.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file of the sources.
pub fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Runs a command that has to succeed.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    output
}

/// The lines that a command prints.
pub fn lines(command: &mut Command) -> Vec<String> {
    String::from_utf8(succeed(command).stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The functions that `include/sockshim.h` declares.
pub fn declared() -> BTreeSet<String> {
    let header = text("include/sockshim.h");
    let code = header.lines().filter(|line| !line.starts_with("//") && !line.starts_with(" *"));
    code.filter_map(|line| {
        let name = line.get(..line.find('(')?)?.rsplit([' ', '*']).next()?;
        name.starts_with("sockshim_").then(|| name.to_owned())
    })
    .collect()
}
