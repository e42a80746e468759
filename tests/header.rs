//! `include/sockshim.h` is what the build makes of the sources, every compiler takes it, and every
//! function in it is there.
//!
//! `UPDATE_HEADER=1 cargo test --test header the_committed` writes the committed file anew.
#![cfg(feature = "header")]

#[path = "support/built.rs"]
mod built;

use built::{declared, root, scratch, shim, succeed, text};
use std::fs;
use std::process::Command;

const HEADER: &str = "include/sockshim.h";
const CALLER: &str = "tests/header/every_function.c";
const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-pedantic", "-Werror"];
/// Compiler, language, standard.
const LANGUAGES: [[&str; 3]; 3] =
    [["gcc", "-xc", "-std=c99"], ["gcc", "-xc", "-std=c11"], ["g++", "-xc++", "-std=c++17"]];

#[test]
fn the_committed_header_is_the_generated_one() {
    let generated = fs::read_to_string(concat!(env!("OUT_DIR"), "/sockshim.h")).unwrap();
    if std::env::var_os("UPDATE_HEADER").is_some() {
        fs::write(root().join(HEADER), &generated).unwrap();
    }
    let committed = fs::read_to_string(root().join(HEADER)).unwrap_or_default();
    let differs = committed.lines().zip(generated.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or(committed.lines().count().min(generated.lines().count())) + 1;
    assert!(committed == generated, "{HEADER} is out of date, from line {line} on: run `make header`");
}

#[test]
fn the_header_stands_alone() {
    let source = scratch("header").join("alone.c");
    fs::write(&source, "#include \"sockshim.h\"\n#include \"sockshim.h\"\nint main(void) { return 0; }\n").unwrap();
    for language in LANGUAGES {
        let mut command = Command::new(language[0]);
        command.args(&language[1..]).args(WARNINGS).arg("-fsyntax-only");
        succeed(command.arg("-I").arg(root().join("include")).arg(&source));
    }
}

#[test]
fn every_function_can_be_called() {
    let shim = shim();
    let folder = shim.parent().unwrap();
    for language in LANGUAGES {
        let program = scratch("header").join(language[2].trim_start_matches("-std="));
        let mut command = Command::new(language[0]);
        command.args(&language[1..]).args(WARNINGS).arg("-I").arg(root().join("include"));
        command.arg(root().join(CALLER)).arg("-o").arg(&program);
        command.arg("-L").arg(folder).arg("-lsockshim").arg(format!("-Wl,-rpath,{}", folder.display()));
        succeed(&mut command);
        let output = succeed(Command::new(&program).env("SOCKSHIM_LOG", "off"));
        let said = format!("sockshim {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(String::from_utf8_lossy(&output.stdout), said, "{language:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{language:?}");
    }
}

#[test]
fn every_function_is_called() {
    let caller = text(CALLER);
    let missing: Vec<String> = declared().into_iter().filter(|name| !caller.contains(&format!("{name}("))).collect();
    assert!(missing.is_empty(), "{CALLER} does not call {missing:?}");
}
