//! Tests in C get answers: the same as `sockshim check` gives, in the words of each framework, with the shim linked,
//! preloaded, and absent.

#[path = "support/built.rs"]
mod built;
#[path = "support/there.rs"]
mod there;

use built::{lines, root, scratch, shim, succeed, text, tool};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use there::there;

const HEADER: &str = "include/sockshim/harness.h";
const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-pedantic", "-Werror"];
/// Compiler, language, standard.
const LANGUAGES: [[&str; 3]; 3] =
    [["gcc", "-xc", "-std=c99"], ["gcc", "-xc", "-std=c11"], ["g++", "-xc++", "-std=c++17"]];

/// Compiles a test, and links it with the harness: and with the shim, if it is to be.
fn build(source: &str, name: &str, flags: &[&str], linked: bool) -> PathBuf {
    let (program, folder) = (scratch("harness").join(name), shim().parent().unwrap().to_owned());
    let cpp = flags.contains(&"-xc++");
    let mut command = Command::new(if cpp { "g++" } else { "gcc" });
    command.args(WARNINGS).args(flags).arg("-D_GNU_SOURCE");
    command.arg("-I").arg(root().join("include")).arg("-I").arg(root().join("c-tests/adapters"));
    command.arg(root().join(source)).arg("-o").arg(&program).arg("-L").arg(&folder);
    command.args(["-xnone", "-Wl,--no-as-needed", "-lsockshim_harness", "-lpthread"]);
    command.args(linked.then_some("-lsockshim")).args(libraries(name));
    succeed(command.arg(format!("-Wl,-rpath,{}", folder.display())));
    program
}

/// What a framework is linked with, by the name of the test.
fn libraries(name: &str) -> Vec<String> {
    match name {
        _ if name.contains("cmocka") => vec!["-lcmocka".into()],
        _ if name.contains("check") => {
            let told = lines(Command::new("pkg-config").args(["--libs", "check"]));
            told.iter().flat_map(|line| line.split_whitespace()).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether the headers of a framework are installed.
fn framework(name: &str) -> bool {
    name != "cmocka" && name != "check" || {
        let header = format!("/usr/include/{name}.h");
        let found = Path::new(&header).exists() && there("pkg-config");
        let required = std::env::var_os("SOCKSHIM_REQUIRE_PROGRAMS").is_some_and(|value| value == "1");
        assert!(found || !required, "{header} is missing: run `make packages`");
        if !found {
            println!("SKIPPED: {header} is not installed");
        }
        found
    }
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The functions that the header declares.
fn declared() -> BTreeSet<String> {
    let header = text(HEADER);
    let code = header.lines().filter(|line| !line.starts_with("//") && !line.starts_with([' ', '#', '/']));
    let names = code.filter_map(|line| line.get(..line.find('(')?)?.rsplit([' ', '*']).next().map(str::to_owned));
    names.filter(|name| name.starts_with("sockshim_") && !name.ends_with("_or_skip")).collect()
}

#[test]
fn the_library_exports_the_header() {
    let library = shim().with_file_name("libsockshim_harness.so");
    let exported: BTreeSet<String> = lines(Command::new("nm").args(["-D", "--defined-only"]).arg(&library))
        .iter()
        .filter_map(|line| line.rsplit(' ').next()?.split_once("@@SOCKSHIM_0").map(|(name, _)| name.to_owned()))
        .collect();
    assert_eq!(exported, declared());
    let (header, manual) = (text(HEADER), text("docs/man/sockshim-harness.3"));
    for name in declared() {
        assert!(manual.contains(&format!("{name}(")), "the manual does not have {name}");
        assert!(header.contains(&format!("#pragma weak {name}\n")), "{name} is not weak");
    }
    let needed = lines(Command::new("readelf").args(["-dW"]).arg(&library));
    assert!(needed.iter().any(|line| line.contains("soname: [libsockshim_harness.so.0]")), "{needed:#?}");
    assert!(!needed.iter().any(|line| line.contains("[libsockshim.so")), "it links the shim: {needed:#?}");
}

#[test]
fn callbacks_facts_and_stories_in_every_way() {
    for language in LANGUAGES {
        let name = format!("watch{}", language[2]);
        let program = build("tests/harness/watch.c", &name, &language[1..], false);
        let folder = scratch(&format!("harness/{name}.files"));
        let (copy, trace) = (folder.join("copy.sst"), folder.join("trace.sst"));
        let run = |variables: &[(&str, &Path)]| {
            let _ = fs::remove_file(&trace);
            let output = succeed(Command::new(&program).arg(&copy).envs(variables.iter().copied()));
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
        };
        let (said, _) = run(&[]);
        assert!(said.starts_with("sockshim is absent: ") && said.contains("LD_PRELOAD"), "{said}");
        // Lines would go to stderr, if nothing were said of it, up to the moment when it records into memory.
        let shim = shim();
        assert_eq!(run(&[("LD_PRELOAD", &shim)]), ("all told\n".into(), "".into()), "{language:?}");
        let off = ("SOCKSHIM_LOG", Path::new("off"));
        assert_eq!(run(&[("LD_PRELOAD", &shim), off]), ("all told\n".into(), "".into()), "{language:?}");
        let (said, log) = run(&[("LD_PRELOAD", &shim), ("SOCKSHIM_LOG", Path::new("stderr"))]);
        assert!(said == "all told\n" && log.contains("connect("), "{language:?}: {said}{log}");
        // Its numbers for sockets are not the kernel's then, and ends of connections are not known.
        let mut without_edges = Command::new(&program);
        without_edges.env("LD_PRELOAD", &shim).env("SOCKSHIM_EDGES", "off");
        assert_eq!(told(&succeed(&mut without_edges)), "all told\n", "{language:?}");
        assert_eq!(run(&[("LD_PRELOAD", &shim), ("SOCKSHIM_TRACE", &trace)]).0, "all told\n", "{language:?}");
        for file in [&copy, &trace] {
            let report = succeed(Command::new(tool()).args(["report", "--color", "never"]).arg(file));
            assert!(told(&report).contains("server closed first"), "{}", told(&report));
        }
    }
    let program = build("tests/harness/watch.c", "watch.linked", &["-std=c11"], true);
    assert_eq!(told(&succeed(Command::new(&program).arg(program.with_extension("copy.sst")))), "all told\n");
}

#[test]
fn the_tool_answers_from_the_trace_that_it_keeps() {
    let program = build("tests/harness/watch.c", "watch.run", &["-std=c11"], true);
    let (trace, copy) = (program.with_extension("sst"), program.with_extension("copy"));
    let run = |flags: &[&Path]| {
        let output = Command::new(tool()).args(["run", "-q"]).args(flags).arg("--").arg(&program).arg(&copy).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert_eq!(run(&[]), "sockshim run keeps no trace that could be asked: give it -o FILE\n");
    assert_eq!(run(&[Path::new("-o"), &trace]), "all told\n");
    for file in [&trace, &copy] {
        let report = succeed(Command::new(tool()).args(["report", "--color", "never"]).arg(file));
        assert!(told(&report).contains("server closed first"), "{}", told(&report));
    }
    // A program that is preloaded and not linked, and what fails: the words are those that there are without the tool.
    let fails = build("tests/harness/fails.c", "fails.run", &["-std=gnu11"], false);
    let mut command = Command::new(tool());
    let output = command
        .args(["run", "-q", "-o"])
        .arg(&trace)
        .arg("--")
        .arg(&fails)
        .arg("closes-first client")
        .output()
        .unwrap();
    assert!(!told(&output).contains("SKIP") && told(&output).contains("does not hold"), "{}", told(&output));
}

#[test]
fn each_framework_has_an_example() {
    let passes = [
        ("cmocka", "[  PASSED  ] 2 test(s)"),
        ("check", "100%: Checks: 2"),
        ("tap", "ok 4 - no-leaks\n1..4"),
        ("assert", ""),
    ];
    for (name, says) in passes.into_iter().filter(|(name, _)| framework(name)) {
        let source = format!("c-tests/adapters/with_{name}.c");
        let output = succeed(&mut Command::new(build(&source, &format!("with_{name}"), &["-std=gnu11"], true)));
        assert!(told(&output).contains(says), "{name}: {}", told(&output));
        assert!(!told(&output).contains("SKIP"), "{name}: {}", told(&output));
        // Under the tool as well, from the trace that it keeps.
        let (program, trace) = (scratch("harness").join(format!("with_{name}")), scratch("harness").join("kept.sst"));
        let mut run = Command::new(tool());
        let output = succeed(run.args(["run", "-q", "-o"]).arg(trace).arg("--").arg(program));
        assert!(told(&output).contains(says) && !told(&output).contains("SKIP"), "{name}: {}", told(&output));
        // Without the shim it says that nobody was asked, and passes.
        let output = succeed(&mut Command::new(build(&source, &format!("with_{name}.absent"), &["-std=gnu11"], false)));
        let skips = if name == "tap" { "# SKIP sockshim is absent" } else { "sockshim is absent" };
        assert!(told(&output).contains(skips), "{name}: {}", told(&output));
    }
}

#[test]
fn what_fails_tells_the_story_in_each_framework() {
    let says = [
        ("cmocka", "fails.c:35: error"),
        ("check", "fails.c:46:F:"),
        ("tap", "not ok 1 - "),
        ("assert", "fails.c:75: "),
    ];
    for (name, place) in says.into_iter().filter(|(name, _)| framework(name)) {
        let framework = format!("-D{}", name.to_uppercase());
        let program = build("tests/harness/fails.c", &format!("fails_{name}"), &["-std=gnu11", &framework], true);
        let output = Command::new(&program).arg("closes-first client").output().unwrap();
        let said = told(&output);
        assert!(!output.status.success() && said.contains(place), "{name}: {said}");
        for part in ["closes-first client does not hold:", "reset by the ", "read(", "ECONNRESET", "\"0123456789\""] {
            assert!(said.contains(part), "{name}: no {part} in {said}");
        }
        let said = told(&Command::new(&program).arg("closes-furst client").output().unwrap());
        assert!(said.contains("there is no --closes-furst"), "{name}: {said}");
        let output = succeed(Command::new(&program).arg("closes-first server"));
        assert!(!told(&output).contains("SKIP"), "{name}: {}", told(&output));
    }
}

/// Lengths of time are nearly the same: who asks later knows the clock better, in the fourth digit.
fn without_times(text: &str) -> String {
    let is_time = |word: &&str| {
        let word = word.trim_end_matches([';', ',']);
        word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with('s')
    };
    text.split_whitespace().filter(|word| !is_time(word)).collect::<Vec<_>>().join(" ")
}

#[test]
fn check_says_the_same_of_the_same_trace() {
    let program = build("tests/harness/fails.c", "fails_agree", &["-std=gnu11"], true);
    let trace = scratch("harness").join("agree.sst");
    for expectation in
        ["closes-first client", "no-errors", "connects-to example.com:80", "connections 2", "max-connect 1ns"]
    {
        let _ = fs::remove_file(&trace);
        let output = Command::new(&program).arg(expectation).env("SOCKSHIM_TRACE", &trace).output().unwrap();
        let said = told(&output);
        let (flag, value) = expectation.split_once(' ').unwrap_or((expectation, ""));
        let mut check = Command::new(tool());
        check.args(["check", "--color", "never"]).arg(format!("--{flag}"));
        let checked = told(&check.args((!value.is_empty()).then_some(value)).arg(&trace).output().unwrap());
        assert!(!output.status.success() && checked.contains("does not hold"), "{expectation}: {said}{checked}");
        for line in checked.lines().filter(|line| line.starts_with("  ")) {
            assert!(
                without_times(&said).contains(&without_times(line)),
                "{expectation}: check says {line:?}, and the test {said}"
            );
        }
    }
}

#[test]
fn expectations_in_code_that_is_shipped() {
    for language in LANGUAGES {
        let source = scratch("harness").join(format!("shipped{}.c", language[2]));
        let code = "#include <sockshim/weak.h>\n#include <sockshim/assert.h>\nint main(void) {\n\
                    sockshim_test_begin(\"shipped\");\nsockshim_assert(\"no-leaks\");\nreturn 0;\n}\n";
        fs::write(&source, code).unwrap();
        let program = source.with_extension("");
        let mut command = Command::new(language[0]);
        command.args(&language[1..]).args(WARNINGS).args(["-D_GNU_SOURCE", "-fPIE", "-pie", "-I"]);
        succeed(command.arg(root().join("include")).arg(&source).arg("-o").arg(&program));
        let said = told(&succeed(&mut Command::new(&program)));
        assert!(said.contains("SKIPPED: no-leaks: sockshim is absent"), "{language:?}: {said}");
        let harness = shim().with_file_name("libsockshim_harness.so");
        let preload = format!("{} {}", shim().display(), harness.display());
        assert_eq!(told(&succeed(Command::new(&program).env("LD_PRELOAD", preload))), "", "{language:?}");
    }
}

#[test]
fn what_found_no_room_is_no_answer() {
    let source = scratch("harness").join("full.c");
    let code = "#include <sockshim.h>\n#include <sockshim/harness.h>\n#include <stdio.h>\n#include <unistd.h>\n\
                int main(void) {\nchar why[256];\nint pair[2];\nsockshim_record(1);\nsockshim_test_begin(\"full\");\n\
                for (int i = 0; i < 20000; i++) { if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return 1; close(pair[0]); \
                close(pair[1]); }\nint verdict = sockshim_expect(NULL, \"no-leaks\", why, sizeof why);\n\
                printf(\"%d %s\", verdict, why);\nreturn 0;\n}\n";
    fs::write(&source, code).unwrap();
    let program = build(source.to_str().unwrap(), "full", &["-std=gnu11"], true);
    let said = told(&succeed(&mut Command::new(program)));
    assert!(said.starts_with("0 ") && said.contains("calls found no room to be recorded"), "{said}");
}

#[test]
fn the_memory_is_replaced_under_threads_and_signals() {
    let program = build("tests/harness/switch.c", "switch", &["-std=gnu11"], true);
    for round in 0..8 {
        let mut command = Command::new(&program);
        let output = succeed(command.env("SOCKSHIM_LOG", "/dev/null"));
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, "0 wrong, child 0, 1200 connections, verdict 1 no-leaks holds\n", "round {round}");
    }
}

/// The clock of the memory that could not be had would tell of days.
#[test]
fn where_there_is_no_memory_the_log_keeps_its_clock() {
    let program = build("tests/harness/refused.c", "refused", &["-std=gnu11"], true);
    let output = succeed(Command::new(program).env("SOCKSHIM_LOG", "off"));
    let log = String::from_utf8_lossy(&output.stderr);
    let seconds: Vec<f64> = log
        .lines()
        .filter_map(|line| line.split_whitespace().find_map(|word| word.strip_prefix('+'))?.parse().ok())
        .collect();
    assert!(seconds.len() == 3 && seconds.iter().all(|at| *at < 60.0), "{log}");
}

#[test]
fn every_header_stands_in_every_language() {
    let before = [
        ("harness", ""),
        ("assert", ""),
        ("tap", ""),
        ("check", "#include <check.h>\n"),
        (
            "cmocka",
            "#include <setjmp.h>\n#include <stdarg.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <cmocka.h>\n",
        ),
    ];
    for (name, before) in before.into_iter().filter(|(name, _)| framework(name)) {
        let source = scratch("harness").join(format!("alone_{name}.c"));
        let include = format!("#include <sockshim/{name}.h>\n");
        fs::write(&source, format!("{before}{include}{include}int main(void) {{ return 0; }}\n")).unwrap();
        for language in LANGUAGES {
            let mut command = Command::new(language[0]);
            command.args(&language[1..]).args(WARNINGS).args(["-D_POSIX_C_SOURCE=200809L", "-fsyntax-only", "-I"]);
            succeed(command.arg(root().join("include")).arg(&source));
        }
    }
}
