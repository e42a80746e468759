//! Every program of `c-tests/` runs six times: without us, preloaded, by the tool, that without edges, linked, and
//! with the text log.
//! It must behave the same each time, and its trace must hold what it says in its comments.
//!
//! `C_TESTS=udp,poll cargo test --test c_tests` takes only some of them.

#[path = "support/c_programs.rs"]
mod c_programs;
#[path = "support/expectations.rs"]
mod expectations;
#[path = "support/openers.rs"]
mod openers;

use c_programs::{Build, Outcome, Program, for_each, imports, scratch, shim};
use expectations::Recorded;
use sockshim_format::op::Op;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Rows that no trace of these programs names, each with its reason.
const NEVER_RECORDED: &[(&str, &str)] =
    &[("syscall", "recorded as the call that it makes, with FLAG_SYSCALL; io_uring_setup is left to tests/doctor.rs")];

fn programs() -> &'static [Program] {
    static PROGRAMS: OnceLock<Vec<Program>> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let mut all = Program::all();
        if let Ok(some) = std::env::var("C_TESTS") {
            all.retain(|program| some.split(',').any(|name| name == program.name));
        }
        all
    })
}

/// The programs, compiled.
fn binaries(build: Build) -> &'static [PathBuf] {
    static PLAIN: OnceLock<Vec<PathBuf>> = OnceLock::new();
    static LINKED: OnceLock<Vec<PathBuf>> = OnceLock::new();
    let place = if build == Build::Plain { &PLAIN } else { &LINKED };
    place.get_or_init(|| {
        let (built, wrong): (Vec<_>, Vec<_>) =
            for_each(programs(), |program| program.build(build)).into_iter().partition(Result::is_ok);
        assert!(wrong.is_empty(), "\n{}", wrong.into_iter().filter_map(Result::err).collect::<String>());
        built.into_iter().flatten().collect()
    })
}

/// A program, its plain or linked binary, and what it does without us.
type Case = (&'static Program, &'static Path, &'static Outcome);

fn cases(build: Build) -> Vec<Case> {
    let binaries = binaries(build).iter().map(|path| &**path);
    programs().iter().zip(binaries).zip(native()).map(|((program, binary), native)| (program, binary, native)).collect()
}

/// What each program does without us.
fn native() -> &'static [Outcome] {
    static NATIVE: OnceLock<Vec<Outcome>> = OnceLock::new();
    NATIVE.get_or_init(|| {
        let pairs: Vec<_> = programs().iter().zip(binaries(Build::Plain)).collect();
        for_each(&pairs, |(program, binary)| program.run(&[binary], "native", &[]))
    })
}

/// What a traced run gave.
#[derive(Default)]
struct Traced {
    /// The symbols in its trace.
    symbols: BTreeSet<&'static str>,
    /// What was wrong.
    wrong: Option<String>,
}

/// Where the traces of linked programs go: in memory the shim gives a file its room bit by bit.
fn in_memory() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = PathBuf::from(format!("/dev/shm/sockshim-c-tests-{}", std::process::id()));
        match fs::create_dir(&folder) {
            Ok(()) => folder,
            Err(why) => {
                println!("SKIPPED: no trace is in memory: {}: {why}", folder.display());
                scratch("run/linked")
            }
        }
    });
    folder.clone()
}

/// Runs a program with a trace, and compares both the run and the trace.
fn trace((program, binary, native): Case, build: Build, mode: &str) -> Traced {
    let folder = if build == Build::Linked { in_memory() } else { scratch(&format!("run/{mode}")) };
    let file = folder.join(format!("{}.{}.sst", program.name, std::process::id()));
    let shim = shim();
    let mut variables = vec![("SOCKSHIM_TRACE", &*file)];
    variables.extend(
        program
            .lines("// settings:")
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name, Path::new(value))),
    );
    if build == Build::Plain {
        variables.push(("LD_PRELOAD", &*shim));
    }
    let outcome = program.run(&[binary], mode, &variables);
    kept_if_wrong(program, native, &outcome, build == Build::Linked, &file)
}

/// Runs a program by the tool, which empties chunks and hands them out again meanwhile.
fn trace_by_tool((program, binary, native): Case, edges: bool) -> Option<String> {
    let mode = if edges { "tool" } else { "edges" };
    let file = scratch(&format!("run/{mode}")).join(format!("{}.{}.sst", program.name, std::process::id()));
    let tool = shim().with_file_name("sockshim");
    let mut words = vec![&*tool, Path::new("run"), Path::new("-q")];
    let mut edges_off = !edges;
    for setting in program.lines("// settings:") {
        match setting.split_once('=') {
            Some(("SOCKSHIM_SIZE", size)) => words.extend([Path::new("--region-size"), Path::new(size)]),
            Some(("SOCKSHIM_EDGES", "off")) => edges_off = true,
            _ => panic!("{}: no option of the tool is {setting}", program.name),
        }
    }
    words.extend(edges_off.then_some(Path::new("--no-edges")));
    words.extend([Path::new("-o"), &file, Path::new("--"), binary]);
    let outcome = program.run(&words, mode, &[("SOCKSHIM_LIB", &shim())]);
    match program.lines("// without edges:").next() {
        Some(why) if !edges => {
            println!("{}: only its behaviour is compared without edges: {why}", program.name);
            outcome.differs(native, true)
        }
        _ => kept_if_wrong(program, native, &outcome, false, &file).wrong,
    }
}

/// Compares, and keeps the trace for whoever wants to know why it did not fit.
fn kept_if_wrong(program: &Program, native: &Outcome, outcome: &Outcome, linked: bool, file: &Path) -> Traced {
    let mut traced = Traced::default();
    match judge(program, native, outcome, linked, file, &mut traced.symbols) {
        Ok(()) => _ = fs::remove_file(file),
        // The trace is kept for whoever wants to know why.
        Err(wrong) => traced.wrong = Some(format!("{wrong}  trace: {}\n", file.display())),
    }
    traced
}

fn judge(
    program: &Program,
    native: &Outcome,
    outcome: &Outcome,
    linked: bool,
    file: &Path,
    symbols: &mut BTreeSet<&'static str>,
) -> Result<(), String> {
    // A linked program finds its settings in its environment, and nowhere else; without, it logs.
    let followed = !linked || program.lines("// linked:").all(|line| line != "not followed");
    if let Some(difference) = outcome.differs(native, followed) {
        return Err(difference);
    }
    if native.skipped() {
        return Ok(());
    }
    let recorded = Recorded::read(file)?;
    *symbols = recorded.symbols();
    if !followed {
        return Ok(());
    }
    let gaps = program.lines("// gaps:").next().is_some();
    expectations::sane(&recorded, outcome.began_ns, outcome.ended_ns, gaps)?;
    expectations::check(&program.text, &recorded)
}

fn preloaded() -> &'static [Traced] {
    static PRELOADED: OnceLock<Vec<Traced>> = OnceLock::new();
    PRELOADED.get_or_init(|| for_each(&cases(Build::Plain), |case| trace(*case, Build::Plain, "preloaded")))
}

/// Fails with everything that is wrong, by program.
fn report(what: &str, results: impl Iterator<Item = Option<String>>) {
    let wrong: Vec<String> = programs()
        .iter()
        .zip(results)
        .filter_map(|(program, wrong)| wrong.map(|wrong| format!("=== {}\n{wrong}", program.name)))
        .collect();
    let skipped: Vec<&str> =
        programs().iter().zip(native()).filter(|(_, n)| n.skipped()).map(|(p, _)| &*p.name).collect();
    println!("{what}: {} programs, {} wrong, skipped here: {skipped:?}", programs().len(), wrong.len());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn natively_ok() {
    report(
        "native",
        native().iter().map(|outcome| {
            let good = outcome.status.success() || outcome.skipped();
            (!good).then(|| format!("{}\n{}", outcome.ending(), String::from_utf8_lossy(&outcome.stdout)))
        }),
    );
}

#[test]
fn preloaded_is_the_same_and_recorded() {
    report("preloaded", preloaded().iter().map(|traced| traced.wrong.clone()));
}

#[test]
fn run_by_the_tool_is_the_same_and_recorded() {
    let results = for_each(&cases(Build::Plain), |case| trace_by_tool(*case, true));
    report("by the tool", results.into_iter());
}

#[test]
fn without_edges_is_the_same_and_recorded() {
    let results = for_each(&cases(Build::Plain), |case| trace_by_tool(*case, false));
    report("without edges", results.into_iter());
}

#[test]
fn linked_is_the_same_and_recorded() {
    let results = for_each(&cases(Build::Linked), |case| trace(*case, Build::Linked, "linked"));
    // Traces that did not fit are kept.
    let _ = fs::remove_dir(in_memory());
    report("linked", results.into_iter().map(|traced| traced.wrong));
}

#[test]
fn logged_is_the_same_and_logged() {
    let shim = shim();
    let results = for_each(&cases(Build::Plain), |(program, binary, native)| {
        if program.lines("// not logged:").next().is_some() {
            return None;
        }
        let outcome = program.run(&[binary], "logged", &[("LD_PRELOAD", &shim)]);
        let log = String::from_utf8_lossy(&outcome.stderr);
        outcome.differs(native, false).or_else(|| {
            let name = expectations::first_name(&program.text)?;
            let none = program.lines("// log: none").next().is_some();
            let there = none || native.skipped() || log.contains(&format!("{name}("));
            (!there).then(|| format!("no {name}( in the log:\n{}", c_programs::tail(&log, 20)))
        })
    });
    report("logged", results.into_iter());
}

#[test]
fn every_symbol_has_a_program_that_imports_it() {
    if std::env::var_os("C_TESTS").is_some() {
        return;
    }
    let openers = openers::openers();
    let known: BTreeSet<&str> =
        Op::ALL.iter().map(|op| op.symbol()).chain(openers.iter().map(String::as_str)).collect();
    let claimed: BTreeSet<&str> = programs().iter().flat_map(Program::exercises).collect();
    let missing: Vec<_> = known.difference(&claimed).collect();
    let unknown: Vec<_> = claimed.difference(&known).collect();
    assert!(missing.is_empty(), "no `// exercises:` line names {missing:?}");
    assert!(unknown.is_empty(), "not interposed, but on an `// exercises:` line: {unknown:?}");
    let wrong = for_each(&cases(Build::Plain), |(program, binary, _)| {
        let imports = imports(binary);
        let absent: Vec<&str> = program.exercises().into_iter().filter(|name| !imports.contains(*name)).collect();
        (!absent.is_empty()).then(|| format!("says that it exercises {absent:?}, but does not import it\n"))
    });
    report("imports", wrong.into_iter());
}

#[test]
fn every_symbol_is_recorded() {
    if std::env::var_os("C_TESTS").is_some() {
        return;
    }
    let mut by_symbol: BTreeMap<&str, usize> = BTreeMap::new();
    for traced in preloaded() {
        traced.symbols.iter().for_each(|symbol| *by_symbol.entry(symbol).or_default() += 1);
    }
    // What only a program exercises that this machine cannot run.
    let excused: BTreeSet<&str> =
        programs().iter().zip(native()).filter(|(_, n)| n.skipped()).flat_map(|(p, _)| p.exercises()).collect();
    let missing: Vec<&str> = Op::ALL
        .iter()
        .map(|op| op.symbol())
        .filter(|symbol| !by_symbol.contains_key(symbol) && !excused.contains(symbol))
        .filter(|symbol| !NEVER_RECORDED.iter().any(|(never, _)| never == symbol))
        .collect();
    println!("coverage: {} of {} symbols in the traces", by_symbol.len(), Op::ALL.len());
    assert!(missing.is_empty(), "in no trace: {missing:?}");
    for (never, reason) in NEVER_RECORDED {
        assert!(!by_symbol.contains_key(never), "{never} is recorded after all, not \"{reason}\"");
    }
}
