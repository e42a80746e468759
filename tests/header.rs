//! `include/sockshim.h` is what the build makes of the sources, every compiler takes it, and every
//! function in it is there.
//!
//! `UPDATE_HEADER=1 cargo test --test header the_committed` writes the committed file anew.
#![cfg(feature = "header")]

#[path = "support/built.rs"]
mod built;

use built::{declared, lines, root, scratch, shim, succeed, text};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
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
fn headers_stand_alone() {
    for (header, source) in [("sockshim.h", "alone.c"), ("sockshim/peer.h", "peer.c")] {
        let source = scratch("header").join(source);
        let twice = format!("#include \"{header}\"\n").repeat(2);
        fs::write(&source, twice + "int main(void) { return 0; }\n").unwrap();
        for language in LANGUAGES {
            let mut command = Command::new(language[0]);
            command.args(&language[1..]).args(WARNINGS).arg("-fsyntax-only");
            succeed(command.arg("-I").arg(root().join("include")).arg(&source));
        }
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

/// Compiles a file of `tests/header/` in each language, and tells which functions the object file asks for.
fn asks_for(source: &str, flags: &[&str]) -> Vec<(String, BTreeSet<String>)> {
    LANGUAGES
        .iter()
        .map(|language| {
            let object = scratch("header").join(format!("{source}.{}.o", language[2]));
            let mut command = Command::new(language[0]);
            command.args(&language[1..]).args(WARNINGS).args(flags).arg("-c").arg("-I").arg(root().join("include"));
            succeed(command.arg(root().join("tests/header").join(source)).arg("-o").arg(&object));
            let names = lines(Command::new("nm").arg("-u").arg(&object));
            let names = names.iter().filter_map(|line| line.split_whitespace().last().map(str::to_owned));
            (language.join(" "), names.collect())
        })
        .collect()
}

fn plain() -> BTreeSet<String> {
    declared().iter().map(|name| name.trim_start_matches("sockshim_").to_owned()).collect()
}

#[test]
fn redirect_takes_every_plain_name() {
    for flags in [&["-O2"][..], &["-O2", "-D_FORTIFY_SOURCE=2"], &["-D_FILE_OFFSET_BITS=64"]] {
        let (flags, plain) = ([flags, &["-D_GNU_SOURCE"]].concat(), plain());
        for (language, names) in asks_for("redirected.c", &flags) {
            let left: Vec<_> = names.intersection(&plain).collect();
            assert!(left.is_empty(), "{language} {flags:?}: still libc's: {left:?}");
            let control = [
                "mark",
                "start",
                "stop",
                "version",
                "log_to",
                "describe",
                "span_begin",
                "span_end",
                "record",
                "region",
                "inject",
                "filter",
            ]
            .map(|name| format!("sockshim_{name}"));
            let missing: Vec<_> =
                declared().into_iter().filter(|name| !names.contains(name) && !control.contains(name)).collect();
            assert!(missing.is_empty(), "{language} {flags:?}: not redirected: {missing:?}");
        }
    }
}

#[test]
fn redirected_programs_are_recorded_where_the_plain_names_are_not_ours() {
    // The methods and members of the same names are left alone: it would not compile.
    let folder = scratch("header");
    let names: String = plain().iter().map(|name| format!("{name}\n")).collect();
    let all = sockshim_format::op::Op::ALL.iter().map(|op| format!("{}\n", op.symbol())).collect::<String>();
    let (list, library) = (folder.join("plain-names"), folder.join("libnames.a"));
    fs::write(&list, names + &all).unwrap();
    let mut command = Command::new("objcopy");
    succeed(command.arg(format!("--localize-symbols={}", list.display())).arg(built::archive()).arg(&library));
    for (compiler, source) in [("gcc", "redirect.c"), ("g++", "redirect.cc")] {
        let program = folder.join(source).with_extension("static");
        let mut command = Command::new(compiler);
        command.args(["-O2", "-static", "-I"]).arg(root().join("include"));
        succeed(command.arg(root().join("tests/header").join(source)).arg("-o").arg(&program).arg(&library));
        let log = succeed(Command::new(&program).env("SOCKSHIM_LOG", "stderr"));
        let log = String::from_utf8_lossy(&log.stderr);
        for call in ["socketpair(AF_UNIX", "write(3", "read(4", "close(3"] {
            assert!(log.contains(call), "{source}: no {call} in {log}");
        }
    }
}

#[test]
fn redirect_says_what_to_do_where_it_comes_too_late() {
    let late = scratch("header").join("late.c");
    fs::write(&late, "#include <unistd.h>\n#include <sockshim/redirect.h>\nint main(void) { return 0; }\n").unwrap();
    let mut command = Command::new("gcc");
    command.args(["-O2", "-D_FORTIFY_SOURCE=2", "-fsyntax-only", "-I"]).arg(root().join("include")).arg(&late);
    let output = command.output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("include sockshim/redirect.h first"), "{output:?}");
}

#[test]
fn weak_covers_every_function() {
    let weak = text("include/sockshim/weak.h");
    for name in declared() {
        assert!(weak.contains(&format!("#pragma weak {name}\n")), "weak.h does not have {name}");
        assert!(weak.contains(&format!("#define {name}(")), "weak.h has no macro {name}");
    }
    for (language, names) in asks_for("weak.c", &["-D_GNU_SOURCE"]) {
        assert!(names.contains("sockshim_mark") && names.contains("close"), "{language}: {names:?}");
    }
}

/// Runs a program of `tests/header/weak.c`, which prints the version that it finds, and tells its log too.
fn weak(program: &Path, preload: bool) -> (String, String) {
    let mut command = Command::new(program);
    if preload {
        command.env("LD_PRELOAD", shim());
    }
    let output = succeed(command.env("SOCKSHIM_LOG", "stderr"));
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn weak_programs_run_with_and_without_the_library() {
    let (absent, version) = ("ping none\n".to_owned(), format!("ping {}\n", env!("CARGO_PKG_VERSION")));
    let folder = shim().parent().unwrap().to_owned();
    for language in LANGUAGES {
        let build = |way: &str, flags: &[&str]| {
            let program = scratch("header").join(format!("weak.{way}{}", language[2]));
            let mut command = Command::new(language[0]);
            command.args(&language[1..]).args(WARNINGS).arg("-D_GNU_SOURCE").arg("-I").arg(root().join("include"));
            succeed(command.arg(root().join("tests/header/weak.c")).arg("-o").arg(&program).args(flags));
            program
        };
        let program = build("", &["-fPIE", "-pie"]);
        assert_eq!(weak(&program, false), (absent.clone(), String::new()), "{language:?}");
        let (said, log) = weak(&program, true);
        assert_eq!(said, version, "{language:?}");
        assert!(log.contains("mark \"begin\"") && log.contains("close(3"), "{language:?}: {log}");

        let rpath = format!("-Wl,-rpath,{}", folder.display());
        let linked = ["-Wl,--no-as-needed", "-L", folder.to_str().unwrap(), "-lsockshim", &rpath];
        let (said, log) = weak(&build("linked", &linked), false);
        assert_eq!(said, version, "{language:?}");
        assert!(log.contains("mark \"begin\""), "{language:?}: {log}");

        // At fixed addresses it is settled at link time: no marks, and the plain names are recorded all the same.
        let (said, log) = weak(&build("fixed", &["-fno-pie", "-no-pie"]), true);
        assert_eq!(said, absent, "{language:?}");
        assert!(!log.contains("mark") && log.contains("close(3"), "{language:?}: {log}");
        assert_eq!(weak(&build("static", &["-static"]), true), (absent.clone(), String::new()), "{language:?}");
    }
}
