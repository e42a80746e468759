//! Traces of several machines as Parquet: what DuckDB, ClickHouse and Spark say of them is what the JSON Lines say.
//!
//! DuckDB is asked always, the others under `SOCKSHIM_SOAK=1`. What pip could not install is SKIPPED, by name.

#[path = "../support/built.rs"]
mod built;
mod machines;

use built::{lines, root, scratch, succeed, tool};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What an engine is called in `fleet.py`, and what Python has to have for it.
const ENGINES: [(&str, &str); 3] =
    [("duckdb", "import duckdb"), ("clickhouse", "import chdb"), ("spark", "import pyspark")];

fn soak() -> bool {
    std::env::var_os("SOCKSHIM_SOAK").is_some_and(|value| value == "1")
}

fn runs(command: &[&str]) -> bool {
    Command::new(command[0]).args(&command[1..]).output().is_ok_and(|output| output.status.success())
}

/// The Python that `make packages` has set up, or else the system's.
fn python() -> String {
    let own = scratch("").join("../python/bin/python3");
    if own.exists() { own.display().to_string() } else { "python3".into() }
}

/// The engines that are here. There may be no network for pip: then that is said, and no failure.
fn engines(test: &str) -> Vec<&'static str> {
    let wanted = ENGINES.iter().filter(|(engine, _)| *engine == "duckdb" || soak());
    let here = wanted.filter(|(engine, import)| {
        let reason = match *engine {
            _ if !runs(&[&python(), "-c", import]) => "pip has not installed it (`make packages`)",
            "spark" if !runs(&["java", "-version"]) => "there is no Java",
            _ => return true,
        };
        println!("SKIPPED: {test} in {engine}: {reason}");
        false
    });
    here.map(|(engine, _)| *engine).collect()
}

/// A trace, and the release of the program that it is of.
struct Part {
    trace: PathBuf,
    release: &'static str,
}

/// Exports traces of connections, and asks every engine that is here.
fn ask(test: &str, folder: &Path, parts: &[Part], pipes: &[String]) {
    let mut arguments = Vec::new();
    pipes.iter().for_each(|pipe| arguments.extend(["--pipe".into(), pipe.clone()]));
    for Part { trace, release } in parts {
        let lake = folder.join(format!("lake/release={release}"));
        let lined = trace.with_extension("jsonl");
        let export = |format: &str, output: &Path| {
            let mut export = Command::new(tool());
            succeed(export.args(["export", "--connections", "--format", format]).arg(trace).arg("-o").arg(output));
        };
        export("jsonl", &lined);
        // The second time it replaces what the first has written.
        export("parquet", &lake);
        export("parquet", &lake);
        arguments.push(format!("{release}={}", lined.display()));
    }
    for engine in engines(test) {
        let mut check = Command::new(python());
        check.arg(root().join("tests/fleet/check.py")).arg(engine).arg(folder.join("lake")).args(&arguments);
        // Two hundred tasks for a few rows would take minutes.
        let spark = "--master local[2] --conf spark.sql.shuffle.partitions=1 pyspark-shell";
        check.env("SPARK_LOCAL_IP", "127.0.0.1").env("PYSPARK_SUBMIT_ARGS", spark);
        let said = lines(check.current_dir(folder));
        println!("{engine}: {}", said.join(" "));
        assert!(said.last().unwrap().ends_with(" pipes"), "{said:?}");
    }
}

/// The Parquet files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    files.collect()
}

#[test]
fn engines_say_what_the_lines_say() {
    let folder = scratch(&format!("fleet.{}.alone", std::process::id()));
    let talk = root().join("tests/exports/talk.py");
    let parts = ["v1", "v2"].map(|release| Part { trace: folder.join(format!("{release}.sst")), release });
    for part in &parts {
        // It leaves a socket in the folder.
        let place = folder.join(part.release);
        fs::create_dir(&place).unwrap();
        let mut run = Command::new(tool());
        run.args(["run", "-q", "-o"]).arg(&part.trace).arg("--").arg("python3").arg(&talk).arg(place);
        succeed(run.current_dir(&folder));
    }
    ask("engines_say_what_the_lines_say", &folder, &parts, &[]);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let found = files(&folder.join("lake"));
    assert!(found.len() >= 2, "{found:?}");
    for file in &found {
        let path = file.display().to_string();
        let parts = [&format!("/host={}/", host.trim()), "/release=v", "/date=20", "/part-", ".parquet"];
        assert!(parts.iter().all(|part| path.contains(*part)), "{path}");
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn calls_are_those_of_the_lines_and_payload_is_asked_for() {
    let test = "calls_are_those_of_the_lines_and_payload_is_asked_for";
    if engines(test).is_empty() {
        return;
    }
    let folder = scratch(&format!("fleet.{}.calls", std::process::id()));
    let talk = root().join("tests/exports/talk.py");
    let mut run = Command::new(tool());
    succeed(run.args(["run", "-q", "-o", "x.sst", "--", "python3"]).arg(&talk).arg(".").current_dir(&folder));
    for (format, output, more) in
        [("jsonl", "x.jsonl", None), ("parquet", "bare.parquet", None), ("parquet", "x.parquet", Some("--payload"))]
    {
        let mut export = Command::new(tool());
        export.args(["export", "--format", format, "x.sst", "-o", output]).args(more).current_dir(&folder);
        succeed(&mut export);
    }
    let mut check = Command::new(python());
    let said = lines(check.arg(root().join("tests/fleet/calls.py")).current_dir(&folder));
    assert!(said[0].ends_with(" calls are the same"), "{said:?}");
    fs::remove_dir_all(folder).unwrap();
}
